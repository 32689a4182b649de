# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that is gone while Docker's proxy takes connections for it, and one that answers badly and is there."""

from __future__ import annotations

import concurrent.futures
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gateway.doors import (
    Door,
    Engine,
    Proxy,
    endpoint,
    needs_haproxy,
    until,
)

pytestmark = needs_haproxy
# Seconds between two checks that nobody asked for: none is due while a test runs.
NEVER = 3600
# HAProxy's own count of a server that three failed checks in succession take out: rise, and fall less one.
PASSED = "3"


class House(t.NamedTuple):
    door: Door
    engines: list[Engine]

    def ready(self) -> int:
        """Servers that get requests; the waiting room is none."""
        backend = self.door.backends[0]
        mine = {(backend.id, one.server) for one in backend.endpoints}
        return sum(kept.up for kept in self.door.runtime.servers() if (kept.backend, kept.server) in mine)

    def settled(self) -> int:
        """Servers of which no check is due: those that HAProxy makes at its start have all passed."""
        names, *rows = (line.split() for line in self.door.runtime.ask("show", "servers", "state").splitlines()[1:])
        states = [dict(zip(names[1:], row, strict=False)) for row in rows]
        return sum(
            state.get("be_name") == self.door.backends[0].id and state["srv_check_health"] == PASSED for state in states
        )


@pytest.fixture
def built(tmp_path: pathlib.Path) -> t.Iterator[t.Callable[[int], House]]:
    """So many replicas of one name on the door's own host, each behind a proxy."""
    made: list[Engine | Proxy | Door] = []

    def build(replicas: int) -> House:
        engines = [Engine(f"engine-{number}") for number in range(replicas)]
        proxies = [Proxy(engine) for engine in engines]
        door = Door(tmp_path, [endpoint(one) for one in proxies], check_interval=NEVER)
        made.extend([door, *proxies, *engines])
        house = House(door, engines)
        until(lambda: house.settled() == replicas)
        return house

    yield build
    for one in made:
        one.stop()


def test_an_engine_that_is_gone_behind_dockers_proxy_is_left_out_and_comes_back(
    built: t.Callable[[int], House],
) -> None:
    house = built(2)
    house.engines[0].stop()

    def left_out() -> bool:
        house.door.chat()
        return house.ready() == 1

    until(left_out)
    assert {house.door.chat()[1]["who"] for _again in range(6)} == {"engine-1"}
    house.engines[0].start()
    until(lambda: house.ready() == 2)
    assert {house.door.chat()[1]["who"] for _again in range(6)} == {"engine-0", "engine-1"}


def test_requests_wait_for_the_only_one_that_is_gone(built: t.Callable[[int], House]) -> None:
    house = built(1)
    house.engines[0].stop()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first = pool.submit(house.door.chat)
        until(lambda: house.ready() == 0)
        later = pool.submit(house.door.chat)
        house.engines[0].start()
        assert later.result()[0] == 200
        # Broken off, and then nobody knows what came of it; or refused, and then it waited too.
        assert first.result()[0] in (200, 502)


def test_an_engine_that_answers_badly_and_is_healthy_stays(built: t.Callable[[int], House]) -> None:
    """Overloaded, or asked by somebody for what it cannot do."""
    house = built(1)
    house.engines[0].sheds = True
    assert {house.door.chat()[0] for _again in range(20)} == {503}
    assert len(house.engines[0].asked) == 20, "each was asked of the engine: none waited in the door"
    assert house.ready() == 1
