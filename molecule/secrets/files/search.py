# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Search for a secret where none may be, and print the places that have it as a JSON list.

    search.py host SECRET_FILE                  processes, containers, journal and files of this host, as they are now
    search.py run SECRET_FILE OUTPUT COMMAND    run the command, and watch processes and temporary files until it ends

The secret is read from a file, `-` is standard input: this script must not be what is found.
"""

from __future__ import annotations

import base64
import json
import os
import pathlib
import stat
import subprocess
import sys
import time
import typing as t

FOLDERS = (
    *("/var/lib/gpufleet", "/etc", "/root", "/home", "/tmp", "/var/tmp", "/var/log", "/run", "/dev/shm"),
    "/var/lib/docker/containers",
)
# What a run leaves on the control node, if it leaves anything.
TEMPORARY = ("~/.ansible", "~/.ansible_async", "/tmp/ansible*", "/var/tmp/ansible*")
LARGEST = 64 * 2**20
PAUSE = 0.2
# Nanoseconds: what was written later than that may be written once more, and its time be the same.
SETTLED = 10**9


def forms(secret: str) -> list[bytes]:
    """The secret as it is, and in base64 wherever it may begin."""
    encoded = [base64.b64encode(b"\0" * shift + secret.encode())[4 if shift else 0 : -4] for shift in range(3)]
    return [secret.encode(), *encoded]


class Search:
    """Looks at places, and remembers those that had it. `own` files are where the test keeps the secret."""

    def __init__(self, secret: str, own: t.Sequence[str] = ()) -> None:
        self.forms, self.own, self.found = forms(secret), set(own), set[str]()
        self.read: dict[str, tuple[int, int, int]] = {}

    def look(self, place: str, content: bytes) -> None:
        if any(form in content for form in self.forms):
            self.found.add(place)

    def file(self, path: str, place: str = "") -> None:
        try:
            if path.startswith("/proc/") or self._is_new(path):
                self.look(place or path, pathlib.Path(path).read_bytes())
        except OSError:  # it has ended, or is gone
            return

    def _is_new(self, path: str) -> bool:
        """Whether a file was not read as it is now. A run is watched all the time, and leaves thousands of them."""
        now = os.stat(path)
        if not stat.S_ISREG(now.st_mode) or now.st_size > LARGEST:
            return False
        state = (now.st_ino, now.st_size, now.st_mtime_ns)
        if self.read.get(path) == state:
            return False
        if time.time_ns() - now.st_mtime_ns > SETTLED:
            self.read[path] = state
        return True

    def processes(self) -> None:
        for pid in (name for name in os.listdir("/proc") if name.isdigit()):
            for what in ("cmdline", "environ"):
                self.file(f"/proc/{pid}/{what}", f"process {what}")

    def files(self, folders: t.Iterable[str]) -> None:
        for folder in folders:
            for parent, _folders, names in os.walk(folder):
                for name in names:
                    path = os.path.join(parent, name)
                    if path not in self.own and not os.path.islink(path):
                        self.file(path)

    def output(self, place: str, *command: str) -> None:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
        self.look(place, done.stdout)

    def host(self) -> None:
        self.processes()
        self.files(FOLDERS)
        self.output("journal", "journalctl", "--all", "--output=export", "--no-pager")
        listed = subprocess.run(["docker", "ps", "--all", "--quiet"], check=True, stdout=subprocess.PIPE, text=True)
        for container in listed.stdout.split():
            self.output("docker inspect", "docker", "inspect", container)
            self.output("docker logs", "docker", "logs", container)

    def temporary(self) -> None:
        for pattern in TEMPORARY:
            at = pathlib.Path(os.path.expanduser(pattern))
            matching = [str(path) for path in at.parent.glob(at.name)]
            self.files(matching)
            for path in matching:
                self.file(path)

    def run(self, output: str, command: list[str]) -> int:
        """The exit code of the command, whose output is searched as well."""
        self.own.add(output)
        with pathlib.Path(output).open("wb") as file:
            running = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
            while running.poll() is None:
                self.processes()
                self.temporary()
                time.sleep(PAUSE)
        self.temporary()
        self.file(output, "output")
        return running.returncode


def described(place: str) -> str:
    """A file with its mode, which says who may read it; one that is gone was there for a while."""
    if not place.startswith("/"):
        return place
    return f"{oct(os.stat(place).st_mode & 0o777)} {place}" if os.path.exists(place) else f"for a while {place}"


def main() -> int:
    verb, secret_file, *rest = sys.argv[1:]
    secret = (sys.stdin.read() if secret_file == "-" else pathlib.Path(secret_file).read_text()).strip()
    search = Search(secret, [secret_file])
    code = 0
    if verb == "run":
        code = search.run(rest[0], rest[1:])
    else:
        search.host()
    found = [described(place) for place in sorted(search.found)]
    json.dump({"code": code, "found": found}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
