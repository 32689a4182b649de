# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ten kills of a download at random bytes, of a small model; `make fetches` has more, of a larger one."""

from __future__ import annotations

import dataclasses
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.fetches import kills
from ansible_collections.gpufleet.vllm.tests.fetches.kills import Cost, Kill
from ansible_collections.gpufleet.vllm.tests.hub.content import MIB
from ansible_collections.gpufleet.vllm.tests.hub.server import Hub

SIZE = 4 * MIB


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return kills.packed(tmp_path_factory.mktemp("program"))


@pytest.mark.parametrize("kill", kills.drawn(10, seed=15), ids=str)
def test_a_kill_costs_little_and_one_rerun_ends_it(kill: Kill, tmp_path: pathlib.Path, program: pathlib.Path) -> None:
    cost = kills.one(kill, tmp_path / "host", program, SIZE)
    assert kills.problems(cost) == []
    # Where the kill came when all had been sent and nothing was synced, all is fetched again, and no byte a third time.
    assert cost.twice <= cost.model


FINE = Cost(Kill(1, "mover", 0.5), SIZE, 100, 0, 0, 1, 0)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"twice": kills.MOST_TWICE + 1}, "67108865 bytes were fetched twice"),
        ({"corrupt": 1}, "1 files are corrupt"),
        ({"reruns": 2}, "2 reruns were needed"),
        ({"second_run": 5}, "5 bytes were fetched by a run that had nothing to fetch"),
    ],
)
def test_what_may_not_be_is_told(wrong: dict[str, t.Any], told: str) -> None:
    assert kills.problems(FINE) == []
    assert kills.problems(dataclasses.replace(FINE, **wrong)) == [f"1: mover at 50%: {told}"]


def test_every_target_is_struck_equally_often_and_a_seed_gives_the_same_kills() -> None:
    drawn = kills.drawn(100, seed=3)
    assert {target: [kill.target for kill in drawn].count(target) for target in kills.TARGETS} == dict.fromkeys(
        kills.TARGETS, 25
    )
    assert drawn == kills.drawn(100, seed=3) != kills.drawn(100, seed=4)


def test_what_is_corrupt_is_counted(tmp_path: pathlib.Path, program: pathlib.Path) -> None:
    with Hub() as hub:
        commit = hub.add(kills.MODEL, kills.files_of(SIZE))
        host = kills.Host(tmp_path, program, hub)
        assert kills.corrupt(host, commit) == len(kills.files_of(SIZE))
        host.start().communicate(timeout=300)
        assert host.is_whole() and kills.corrupt(host, commit) == 0
        (blob, *_others) = (tmp_path / "hub" / "models--org--model" / "blobs").iterdir()
        raw = bytearray(blob.read_bytes())
        raw[-1] ^= 1
        blob.write_bytes(raw)
        assert kills.corrupt(host, commit) == 1
