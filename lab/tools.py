# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the lab keeps its things, and how it runs commands and speaks."""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import time
import typing as t

ROOT = pathlib.Path(__file__).resolve().parents[1]
LAB = ROOT / "lab"
WORK = pathlib.Path(os.environ.get("GPUFLEET_LAB_DIR") or ROOT / ".lab").resolve()
LABEL = "gpufleet.vllm.lab"
INPUTS_LABEL = f"{LABEL}.inputs"

PATIENCE = 4  # a build machine that does other things too takes this many times as long

_STARTED = time.monotonic()


class LabError(Exception):
    """Something the lab needs is missing or failed; the text says what to do."""


class LateError(LabError):
    """It was waited for, and it was not ready in time."""


def say(text: str) -> None:
    print(f"lab {time.monotonic() - _STARTED:5.0f} s  {text}", file=sys.stderr, flush=True)


def run(*command: str | pathlib.Path, env: t.Mapping[str, str] | None = None, log: pathlib.Path | None = None) -> str:
    """Run a command and return its standard output; with a log, both outputs go there instead.

    Raises LabError with the end of what the command said when it fails.
    """
    arguments = [str(word) for word in command]
    environment = {**os.environ, **(env or {})}
    if log is None:
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
        status, output, said = done.returncode, done.stdout, done.stdout + done.stderr
    else:
        with log.open("w") as to:
            both = subprocess.run(arguments, env=environment, stdout=to, stderr=subprocess.STDOUT, check=False)
        status, output, said = both.returncode, "", log.read_text(errors="replace")
    if status:
        raise LabError(f"`{' '.join(arguments[:6])} ...` failed with status {status}:\n{said[-3000:]}")
    return output


def succeeds(*command: str) -> bool:
    return (
        shutil.which(command[0]) is not None
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


def work_directory(*parts: str) -> pathlib.Path:
    """A directory of the lab's own, made when it is first asked for; git ignores all of it."""
    path = WORK.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    ignore = WORK / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return path


def digest(*inputs: pathlib.Path | str) -> str:
    """Digest of what a product is made from: the content of paths, and texts as they are."""
    state = hashlib.sha256()
    for item in inputs:
        state.update(item.read_bytes() if isinstance(item, pathlib.Path) else item.encode())
        state.update(b"\0")
    return state.hexdigest()[:16]


def mirror() -> str:
    """The Debian mirror that this machine's own apt uses."""
    said = run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages")
    found = sorted({line for line in said.splitlines() if line.rstrip("/").endswith("/debian")})
    return found[0] if found else "http://deb.debian.org/debian"


def is_running(pid_file: pathlib.Path, mark: str) -> int | None:
    """The process that a pid file names, if it lives and its command line holds the mark (a pid is used again)."""
    try:
        pid = int(pid_file.read_text())
        command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except (OSError, ValueError):
        return None
    return pid if mark in command else None


def wait_for(what: str, ready: t.Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something is ready; seconds is how long that may take on a quiet machine. Raises LateError."""
    end = time.monotonic() + seconds * PATIENCE
    while not ready():
        if time.monotonic() > end:
            raise LateError(f"{what} was not ready after {seconds * PATIENCE:.0f} s")
        time.sleep(0.3)
