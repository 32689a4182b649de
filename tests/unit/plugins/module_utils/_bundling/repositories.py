# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository of apt, served to a real apt here: that of tests/data, signed by a key that was thrown away."""

from __future__ import annotations

import contextlib
import functools
import http.server
import pathlib
import shutil
import subprocess
import threading
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._bundling.wanted import Source, Wanted

DATA = pathlib.Path(__file__).resolve().parents[4] / "data" / "apt_repository"
FINGERPRINT = "2FCC9BC107A5C69B7B3D1ED4BE5CEED0FA2EF47C"
KEY = (DATA / "key.asc").read_text()
# What each package holds, by its file.
CONTENTS = {
    f"{name}_{version.rpartition(':')[2]}_all.deb": f"{name} {version}".encode() * 50
    for name, version in (("engine", "1:2.0-1"), ("library", "1.1+b1"), ("library", "1.0"), ("broken", "1"))
}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_words: t.Any) -> None: ...


@contextlib.contextmanager
def served(place: pathlib.Path) -> t.Iterator[str]:
    """Its address, with what is in PLACE."""
    shutil.copytree(DATA, place, dirs_exist_ok=True)
    for file, content in CONTENTS.items():
        (place / "pool" / file[0]).mkdir(parents=True, exist_ok=True)
        (place / "pool" / file[0] / file).write_bytes(content)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(place)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def wanted(url: str, *packages: str, **changed: t.Any) -> Wanted:
    source = Source(
        name="test",
        uris=[url],
        suites=["./"],
        components=[],
        keyrings=[],
        key=KEY,
        key_url="",
        fingerprints=[FINGERPRINT],
    )
    made = Wanted(
        system="debian-13-amd64",
        architecture="amd64",
        sources=[t.cast("Source", {**source, **changed.pop("source", {})})],
        preferences={},
        first=[],
        packages=[*packages],
    )
    return t.cast("Wanted", {**made, **changed})


def run(command: list[str], environment: dict[str, str], cwd: str | None) -> tuple[int, str, str]:
    done = subprocess.run(
        command, env={"PATH": "/usr/bin:/bin", **environment}, cwd=cwd, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr
