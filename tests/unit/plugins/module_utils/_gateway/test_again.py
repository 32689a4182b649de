# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second run for a door that runs: a real HAProxy says what it holds, with keys and without."""

from __future__ import annotations

import dataclasses
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.action.vllm_gateway import arguments
from ansible_collections.gpufleet.vllm.plugins.module_utils._door.applying import Ports, Wanted, apply
from ansible_collections.gpufleet.vllm.plugins.module_utils._door.runtime import DoorError
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.files import Files
from ansible_collections.gpufleet.vllm.plugins.modules.vllm_gateway import wanted
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gateway.doors import (
    ENGINE,
    Door,
    Engine,
    endpoint,
    needs_haproxy,
)

pytestmark = needs_haproxy
OPEN: t.Final = {"api_keys": [], "open": True}
Built = t.Callable[..., "tuple[Door, Wanted, Ports]"]


@pytest.fixture
def built(tmp_path: pathlib.Path) -> t.Iterator[Built]:
    """A door that runs with these keys of engines, what is wanted of it, and a host that has the same files."""
    made: list[Door | Engine] = []

    def build(engine_keys: tuple[str, ...], **stated: t.Any) -> tuple[Door, Wanted, Ports]:
        engine = Engine("engine")
        door = Door(tmp_path, [dataclasses.replace(endpoint(engine), keys=engine_keys)], **stated)
        made.extend([door, engine])
        files, due = Files(str(tmp_path / "host")), wanted(arguments(door.door), door.places, "", 0)
        files.put(due.files)
        ports = Ports(files, lambda _command: (0, "HAProxy version 2.6.12"), door.runtime, set)
        return door, due, ports

    yield build
    for one in made:
        one.stop()


@pytest.mark.parametrize("engine_keys", [(), (ENGINE,)])
@pytest.mark.parametrize("stated", [{}, OPEN])
def test_a_door_as_planned_is_left_alone(built: Built, engine_keys: tuple[str, ...], stated: dict[str, t.Any]) -> None:
    _door, due, ports = built(engine_keys, **stated)
    assert apply(due, ports, check=False) == "none"


def test_what_a_cut_off_run_left_behind_is_seen_and_mended(built: Built) -> None:
    """The files are as planned, and what runs is not."""
    door, due, ports = built(())
    names = door.places.map("names")
    door.runtime.bring(names, {"other": "nothing"})
    assert apply(due, ports, check=False) == "live"
    assert door.runtime.entries(names) == due.maps[names]


def test_a_map_that_haproxy_does_not_use_is_none(built: Built) -> None:
    door, due, _ports = built((), **OPEN)
    assert set(due.held) == {door.places.map("names")}
    with pytest.raises(DoorError, match="Unknown map identifier"):
        door.runtime.entries(door.places.map("engines"))
