# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of stages is all there is: each is entered somewhere, and none that is not in it can be."""

from __future__ import annotations

import pathlib
import re

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.stages import Stage
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

PLUGINS = pathlib.Path(__file__).resolve().parents[5] / "plugins"
# How the action and the console align them.
WIDTH = 10


def test_a_stage_that_is_not_in_the_table_cannot_be_entered(scene: Scene) -> None:
    with pytest.raises(AttributeError):
        scene.journal().stage("warmup")  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        Stage["WARMUP"]
    assert scene.store.stages_size() == 0


def test_each_stage_of_the_table_is_entered_somewhere() -> None:
    found: set[str] = set()
    for path in PLUGINS.rglob("*.py"):
        found.update(re.findall(r"\bStage\.([A-Z]+)\b", path.read_text(encoding="utf-8")))
    assert found == {stage.name for stage in Stage}


@pytest.mark.parametrize("stage", Stage)
def test_a_stage_says_what_it_is(stage: Stage) -> None:
    assert len(stage.word) <= WIDTH
    assert stage.happens and stage.failure and "|" not in stage.happens + stage.failure


# What an operator sees of each request, on an instance that serves its second release.
TOLD: dict[str, list[str]] = {
    "rollout": ["preflight", "breadcrumb", "drain", "stop", "start", "ready", "smoke", "hold", "commit"],
    "rollback": ["preflight", "breadcrumb", "drain", "stop", "start", "ready", "smoke", "hold", "commit"],
    "repair": ["preflight", "smoke", "commit"],
    "live": ["live"],
    "remove": ["drain", "remove"],
}


@pytest.mark.parametrize(("kind", "stages"), TOLD.items(), ids=TOLD)
def test_a_request_tells_each_stage_that_it_comes_to(scene: Scene, kind: str, stages: list[str]) -> None:
    scene.roll_out(512)
    scene.roll_out(1024)
    before = scene.store.stages_size()
    assert scene.ask(kind, 2048 if kind == "rollout" else 1024) not in ("refused", "failed", "rolled_back")
    lines, _offset = scene.store.stages_from(before)
    told = [line["stage"] for line in lines]
    assert [stage for at, stage in enumerate(told) if stage and (at == 0 or told[at - 1] != stage)] == stages
