# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is lost of many requests while an engine behind the door is killed and a host goes away. Prints one JSON object.

    python tests/bench/door_losses.py [--requests 20000] [--clients 32]

Needs haproxy, iproute2 and root. Two stand-ins answer behind the door of the role: one beside it, one on a host of its
own, which is a network namespace. Every third request streams. After a quarter of the requests the first one is killed,
after half of them it is back, and after three quarters the cable of the other host is pulled. A request that was in
flight at one of these two moments may be lost, since nobody knows what came of it. Exit code 1 where any other one is.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import contextlib
import http.client
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

# Importing it makes the collection importable.
from tests.conftest import CHECKOUT  # noqa: I001
from ansible_collections.gpufleet.vllm.plugins.module_utils._gateway import served
from ansible_collections.gpufleet.vllm.tests.bench.stand_in import ANSWER, PIECES
from ansible_collections.gpufleet.vllm.tests.ports import free_port
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gateway.doors import KEY, Door, until

Json = dict[str, t.Any]
SECONDS = 0.05
# Longer than the door takes to notice that a host is gone.
WITHIN = 300
HERE, AWAY = "127.0.0.1", "10.213.7.2"
NAMESPACE, CABLE = "gpufleet-door", "gpufleet-door"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextlib.contextmanager
def other_host() -> t.Iterator[None]:
    ip("netns", "add", NAMESPACE)
    try:
        ip("link", "add", CABLE, "type", "veth", "peer", "name", "eth0", "netns", NAMESPACE)
        ip("addr", "add", "10.213.7.1/30", "dev", CABLE)
        ip("link", "set", CABLE, "up")
        ip("-n", NAMESPACE, "addr", "add", f"{AWAY}/30", "dev", "eth0")
        ip("-n", NAMESPACE, "link", "set", "eth0", "up")
        yield
    finally:
        ip("netns", "del", NAMESPACE)
        # It goes with its other end, a moment later.
        subprocess.run(["ip", "link", "del", CABLE], check=False, stderr=subprocess.DEVNULL)


def stand_in(address: str, port: int) -> subprocess.Popen[bytes]:
    words = [sys.executable, str(CHECKOUT / "tests" / "bench" / "stand_in.py"), address, str(port)]
    inside = ["ip", "netns", "exec", NAMESPACE] if address == AWAY else []
    return subprocess.Popen([*inside, *words, "--seconds", str(SECONDS)])


def asked(port: int, name: str, streams: bool) -> str:
    """What is wrong with the answer, or ''."""
    body = json.dumps({"model": "assistant", "messages": [{"role": "user", "content": name}], "stream": streams})
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=WITHIN)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "X-Request-Id": name}
    try:
        line.request("POST", "/v1/chat/completions", body, headers)
        answer = line.getresponse()
        raw = answer.read()
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        line.close()
    whole = b"".join(PIECES) if streams else ANSWER
    return "" if (answer.status, raw) == (200, whole) else f"{answer.status}, {len(raw)} of {len(whole)} bytes"


class Lost(t.NamedTuple):
    """A request without a whole and right answer, and its time by the clock of what happened."""

    name: str
    wrong: str
    began: float
    ended: float


class Happened(t.NamedTuple):
    """A process that is killed takes connections until the kernel has ended it: nothing happens in no time."""

    began: float
    done: float


def judged(lost: t.Sequence[Lost], happened: t.Mapping[str, Happened]) -> Json:
    """What was lost with each of what happened, and what with none."""
    in_flight = {
        what: {one.name for one in lost if one.began <= moment.done and moment.began <= one.ended}
        for what, moment in happened.items()
    }
    excused: set[str] = set().union(*in_flight.values())
    return {
        "lost": len(lost),
        "in_flight": {what: len(names) for what, names in in_flight.items()},
        "as": dict(sorted(collections.Counter(one.wrong for one in lost).items())),
        "not_in_flight": [one.name for one in lost if one.name not in excused],
    }


class Load:
    """REQUESTS of CLIENTS, with what is done after so many of them."""

    def __init__(self, port: int, requests: int, events: t.Mapping[int, t.Callable[[], None]]) -> None:
        self.port, self.requests, self.events = port, requests, events
        self.numbers = itertools.count()
        self.lost: list[Lost] = []
        self.streams = 0
        self.longest = 0.0
        self.lock = threading.Lock()

    def client(self, _number: int) -> None:
        while (number := next(self.numbers)) < self.requests:
            if number in self.events:
                self.events[number]()
            name, streams = str(uuid.uuid4()), number % 3 == 0
            began = time.monotonic()
            wrong = asked(self.port, name, streams)
            with self.lock:
                self.streams += streams
                ended = time.monotonic()
                self.longest = max(self.longest, ended - began)
                if wrong:
                    self.lost.append(Lost(name, wrong, began, ended))

    def run(self, clients: int) -> float:
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            list(pool.map(self.client, range(clients)))
        return time.monotonic() - began


def measured(folder: pathlib.Path, requests: int, clients: int) -> Json:
    port = free_port()
    engines = {HERE: stand_in(HERE, port), AWAY: stand_in(AWAY, port)}
    door = Door(
        folder,
        [
            served.Endpoint("gpu-1", "one", "m", "", ("assistant",), HERE, port, active=True, here=True),
            served.Endpoint("gpu-2", "two", "m", "", ("assistant",), AWAY, port, active=True, here=False),
        ],
    )
    until(lambda: asked(door.port, "", streams=False) == "")
    servers = {one.address: one for one in door.backends[0].endpoints}

    def up(address: str) -> bool:
        mine = (door.backends[0].id, servers[address].server)
        return any(kept.up for kept in door.runtime.servers() if (kept.backend, kept.server) == mine)

    happened: dict[str, Happened] = {}

    def killed() -> None:
        began = time.monotonic()
        engines[HERE].kill()
        engines[HERE].wait(60)
        happened["killed"] = Happened(began, time.monotonic())

    def back() -> None:
        engines[HERE] = stand_in(HERE, port)
        until(lambda: up(HERE))

    def away() -> None:
        began = time.monotonic()
        ip("-n", NAMESPACE, "link", "set", "eth0", "down")
        happened["away"] = Happened(began, time.monotonic())

    load = Load(door.port, requests, {requests // 4: killed, requests // 2: back, requests * 3 // 4: away})
    try:
        seconds = load.run(clients)
    finally:
        door.stop()
        for engine in engines.values():
            engine.kill()
            engine.wait(60)
    return {
        "requests": requests,
        "streams": load.streams,
        "clients": clients,
        "seconds": round(seconds, 1),
        "longest_s": round(load.longest, 1),
        **judged(load.lost, happened),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What is lost while engines behind the door go away.")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=32)
    given = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("a network namespace is root's: run it as root")
    with tempfile.TemporaryDirectory() as folder, other_host():
        found = measured(pathlib.Path(folder), given.requests, given.clients)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    if found["not_in_flight"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
