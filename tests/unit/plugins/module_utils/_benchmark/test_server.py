# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine that is measured, on a scripted host."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark import server
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.counts import Counts
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.server import SETTLES, Server
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._benchmark.cases import stated
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene


@pytest.fixture
def scene(tmp_path: pathlib.Path) -> Scene:
    made = Scene(tmp_path)
    assert made.roll_out(1024) == "verified"
    return made


def server_of(scene: Scene) -> Server:
    current = scene.store.load().current
    assert current is not None
    return Server(scene.host, current, stated())


def test_when_it_was_started(scene: Scene) -> None:
    engine = server_of(scene)
    before = engine.started()
    assert before
    scene.clock.sleep(5)
    scene.docker.stop("vllm-assistant", 1)
    assert engine.started() == ""
    scene.docker.start("vllm-assistant")
    assert engine.started() not in ("", before)


def test_it_waits_until_all_is_counted(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([Counts(23), Counts(23), Counts(24)])
    monkeypatch.setattr(server, "in_flight", lambda _http, _entry: 0)
    monkeypatch.setattr(Server, "counts", lambda _server: next(readings))
    server_of(scene).settled(24)
    assert next(readings, None) is None


def test_others_are_not_waited_for_for_ever(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "in_flight", lambda _http, _entry: 1)
    began = scene.clock.monotonic()
    server_of(scene).settled(None)
    assert scene.clock.monotonic() - began >= SETTLES
