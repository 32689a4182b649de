# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry that asks for a login, and small images to put there: programs that the lab has installed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import subprocess
import tarfile
import time
import typing as t
import urllib.error
import urllib.request

from ansible_collections.gpufleet.vllm.tests.ports import free_port

USER, PASSWORD = "puller", "hidden-word-of-a-registry"
CONFIG = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "{address}"}}
{auth}"""
AUTH = "auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n"


def docker(*words: str, given: bytes | None = None, config: pathlib.Path | None = None) -> str:
    """Docker's own client, with a configuration of its own."""
    command = ["docker", *(["--config", str(config)] if config else []), *words]
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


class Registry:
    """One that can be stopped and started. `address` is on the loopback, where Docker asks for no TLS."""

    def __init__(self, folder: pathlib.Path, login: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.address = folder, f"127.0.0.1:{free_port()}"
        # perl is part of every Debian, and crypts as htpasswd does.
        crypted = subprocess.run(
            ["perl", "-e", 'print crypt($ARGV[0], "\\$2y\\$05\\$abcdefghijklmnopqrstuu")', PASSWORD],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        (folder / "htpasswd").write_text(f"{USER}:{crypted}\n")
        auth = AUTH.format(folder=folder) if login else ""
        (folder / "config.yml").write_text(CONFIG.format(folder=folder, address=self.address, auth=auth))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["docker-registry", "serve", str(self.folder / "config.yml")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(f"http://{self.address}/v2/", timeout=2).close()
                return
            except urllib.error.HTTPError as error:
                error.close()
                return  # it answers, and asks who is there
            except OSError:
                time.sleep(0.1)
        raise TimeoutError(f"{command} does not answer; {self.folder}/log says why")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def login(self, folder: pathlib.Path) -> pathlib.Path:
        """A folder with the config.json of who is logged in."""
        docker("login", "--username", USER, "--password-stdin", self.address, given=PASSWORD.encode(), config=folder)
        return folder


@contextlib.contextmanager
def started(folder: pathlib.Path, login: bool = True) -> t.Iterator[Registry]:
    made = Registry(folder, login)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def import_image(name: str, size: int = 4096) -> str:
    """An image of one file with random content; its id."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo("content")
        member.size = size
        tar.addfile(member, io.BytesIO(os.urandom(size)))
    return docker("import", "-", name, given=packed.getvalue())


def pushed(name: str, config: pathlib.Path) -> str:
    """Push an image; its name by digest."""
    docker("push", "--quiet", name, config=config)
    digests: list[str] = json.loads(docker("image", "inspect", "--format", "{{json .RepoDigests}}", name))
    return next(one for one in digests if one.startswith(name.rpartition(":")[0]))
