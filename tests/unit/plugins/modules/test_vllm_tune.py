# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a tuning that is done on a host: it keeps what was found."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._host.status import observe_one
from ansible_collections.gpufleet.vllm.plugins.modules import vllm_tune as module
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._state.test_tuned import FOUND
from ansible_collections.gpufleet.vllm.tests.unit.plugins.modules.shown_host import known_to, ran


@pytest.fixture
def scene(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = known_to(module, tmp_path, monkeypatch)
    assert made.roll_out(1024) == "verified"
    return made


def run(**args: t.Any) -> dict[str, t.Any]:
    return ran(module, **{"instance": "assistant", "found": FOUND, **args})


def test_it_is_kept_and_shown_with_the_instance(scene: Scene) -> None:
    assert run(_ansible_check_mode=True)["changed"]
    assert observe_one(scene.store, scene.docker, scene.host.http, scene.client_dir)["tuned"] is None
    assert run()["changed"]
    assert not run()["changed"]
    assert observe_one(scene.store, scene.docker, scene.host.http, scene.client_dir)["tuned"] == FOUND


def test_an_instance_that_is_not_there(scene: Scene) -> None:
    assert run(instance="b")["msg"] == "No instance b is on this host, which knows assistant."


def test_a_disk_that_does_not_take_it(scene: Scene) -> None:
    pathlib.Path(scene.store.path("tuned.json")).mkdir()
    ended = run()
    assert ended["failed"]
    assert "What was found is not kept: tuned.json of assistant cannot be written" in ended["msg"]


def test_without_its_action_it_says_so(scene: Scene) -> None:
    ended = ran(module, instance="assistant")
    assert ended["failed"]
    assert "runs with its action" in ended["msg"]
