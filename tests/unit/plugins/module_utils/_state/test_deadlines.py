# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits: what is stated, what this host's history lets expect, and the one above all of them."""

from __future__ import annotations

import pathlib
import typing as t
from dataclasses import replace

import pytest
import yaml

from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.rollout import Settings
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.deadlines import (
    FIRST_READY,
    LEAST_READY,
    MARGIN,
    QUESTIONS,
    TIMEOUTS,
    last_deadline,
    ready_limit,
    timeout,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import Entry
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import entry
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

CHECKOUT = pathlib.Path(__file__).resolve().parents[5]
IMAGE = "sha256:aa"
CANDIDATE = entry(2048, image_id=IMAGE)


def started(seconds: float | None, at: str = "2026-01-01T00:00:00Z", **changes: t.Any) -> Entry:
    return replace(entry(1024, image_id=IMAGE, start_seconds=seconds, verified_at=at), **changes)


@pytest.mark.parametrize(
    ("timeouts", "limit"), [({}, 60.0), ({"hold": None}, 60.0), ({"hold": 0}, 0.0), ({"hold": "90"}, 90.0)]
)
def test_timeout(timeouts: dict[str, object], limit: float) -> None:
    assert timeout(entry(settings={"timeouts": timeouts}), "hold") == limit
    assert timeout(entry(settings={}), "hold") == 60.0


def test_the_role_has_the_same_limits_as_its_defaults() -> None:
    defaults = yaml.safe_load((CHECKOUT / "roles" / "vllm_server" / "defaults" / "main.yml").read_text())
    stated = {name: limit for name, limit in defaults["vllm_server_timeouts"].items() if limit is not None}
    assert stated == {name: TIMEOUTS[name] for name in stated}
    assert set(TIMEOUTS) - set(stated) == {"docker"}


@pytest.mark.parametrize(
    ("known", "seconds", "why"),
    [
        ((), FIRST_READY, "first start of this image and model on this host"),
        ((None, started(None)), FIRST_READY, "first start of this image and model on this host"),
        ((started(20.0, image_id="sha256:bb"),), FIRST_READY, "first start of this image and model on this host"),
        ((started(20.0, release={"model": {"id": "other"}}),), FIRST_READY, "first start of this image and model"),
        ((started(20.0),), LEAST_READY, "its last start took 20 s"),
        ((started(400.5),), 1602.0, "its last start took 400.5 s"),
        ((started(5000.0),), FIRST_READY, "its last start took 5000 s"),
        ((started(900.0, "2025"), started(200.0, "2026")), 800.0, "its last start took 200 s"),
    ],
)
def test_the_ready_limit_comes_from_the_last_start(known: tuple[Entry | None, ...], seconds: float, why: str) -> None:
    found = ready_limit(CANDIDATE, known)
    assert found.seconds == seconds and found.why.startswith(why)


def test_a_stated_limit_holds() -> None:
    found = ready_limit(replace(CANDIDATE, settings={"timeouts": {"ready": 90}}), (started(20.0),))
    assert str(found) == "at most 90 s (stated)"


def test_where_the_limit_came_from_is_said(scene: Scene) -> None:
    scene.engine(1024, Engine(ready_after=200.0))
    scene.roll_out(1024)
    scene.roll_out(2048)
    lines, _offset = scene.store.stages_from(0)
    told = [line["detail"] for line in lines if "waiting for the engine" in line["detail"]]
    assert told == [
        "waiting for the engine, at most 3600 s (first start of this image and model on this host)",
        "waiting for the engine, at most 800 s (its last start took 200 s)",
    ]


def trial(ready: float = FIRST_READY, smoke: float = 60) -> float:
    fixed = sum(TIMEOUTS[name] for name in ("free", "hold", "stop", "docker"))
    return fixed + ready + QUESTIONS * smoke


ONCE = TIMEOUTS["pull"] + TIMEOUTS["drain"] + TIMEOUTS["stop"] + MARGIN


@pytest.mark.parametrize(
    ("settings", "deadline"),
    [
        ([], ONCE + 2 * (trial(smoke=0))),
        ([{}], ONCE + 2 * trial()),
        ([{"timeouts": {"ready": 100, "hold": None}}], ONCE + 2 * trial(100)),
        ([{"timeouts": {"ready": 100}, "fallback_steps": 2}], ONCE + 4 * trial(100)),
        ([{"timeouts": {"ready": 100}}, {"timeouts": {"ready": 9000}}], ONCE + 2 * trial(9000)),
        ([{"timeouts": {"ready": 100}}, {"timeouts": {}}], ONCE + 2 * trial()),
        ([{"timeouts": {"ready": 100, "drain": 130}, "smoke": {"deadline": 10}}], ONCE + 100 + 2 * trial(100, 10)),
    ],
)
def test_the_last_deadline_is_above_every_rung_and_the_rollback(settings: list[Settings], deadline: float) -> None:
    assert last_deadline(*settings) == deadline
