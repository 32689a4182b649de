# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model that several hosts need: what leaves the hub where each asks it, and where all others ask the first."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import socket
import subprocess
import sys
import time
import typing as t

from ansible_collections.gpufleet.vllm.tests.fetches.kills import LONGEST, MODEL, Host, corrupt
from ansible_collections.gpufleet.vllm.tests.hub.server import Hub
from ansible_collections.gpufleet.vllm.tests.ports import free_port


@dataclasses.dataclass(frozen=True)
class Uplink:
    """Bytes that left the hub, requests to it, and seconds: the first host, and then all others side by side."""

    sent: int
    asked: int
    seconds: float


@contextlib.contextmanager
def serving(host: Host, program: pathlib.Path) -> t.Iterator[str]:
    """The first host's store, served by the program; where."""
    place = ("127.0.0.1", free_port())
    at = f"{place[0]}:{place[1]}"
    words = ["serve", host.request["hub_dir"], f"--at={at}", "--to", "127.0.0.0/8"]
    process = subprocess.Popen([sys.executable, "-I", "-S", str(program), *words])
    try:
        until = time.monotonic() + LONGEST
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(place, 1):
                break
            time.sleep(0.01)
        yield at
    finally:
        process.kill()
        process.wait()


def brought(hosts: t.Sequence[Host]) -> None:
    """Side by side. Raises AssertionError where one is not whole, or has another content than the hub."""
    movers = [host.start() for host in hosts]
    said = [mover.communicate(timeout=LONGEST)[1] for mover in movers]
    for host, words in zip(hosts, said, strict=True):
        assert host.is_whole(), words.decode("utf-8", "replace")
        (commit,) = host.hub.models[MODEL].commits
        assert corrupt(host, commit) == 0, host.folder


def uplink(count: int, shared: bool, folder: pathlib.Path, program: pathlib.Path, hub: Hub) -> Uplink:
    """Of `count` hosts, in folders of their own. Raises AssertionError."""
    hub.log.clear()
    began = time.monotonic()
    first, *others = [Host(folder / str(at), program, hub) for at in range(count)]
    brought([first])
    with serving(first, program) if shared else contextlib.nullcontext("") as at:
        for other in others:
            if at:
                other.request["peers"] = [at]
        brought(others)
    return Uplink(hub.sent(), len(hub.log), time.monotonic() - began)
