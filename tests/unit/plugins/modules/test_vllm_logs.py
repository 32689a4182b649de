# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that shows what engines have written."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.modules import vllm_logs as module
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import plan
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene
from ansible_collections.gpufleet.vllm.tests.unit.plugins.modules.shown_host import ran, shown_to

Json = dict[str, t.Any]
LENGTH, TOO_LONG = 1024, 2048


@pytest.fixture
def scene(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return shown_to(module, tmp_path, monkeypatch)


def run(**args: t.Any) -> Json:
    return ran(module, **args)


def serving(scene: Scene, *said: str) -> None:
    scene.engine(LENGTH, Engine(log=tuple((0.1 * at, text) for at, text in enumerate(said))))
    assert scene.roll_out(LENGTH) == "verified"


def test_a_host_with_nothing(scene: Scene) -> None:
    assert run() == {"changed": False, "logs": []}


@pytest.mark.parametrize("check", [False, True])
def test_the_newest_lines_come_and_nothing_changes(scene: Scene, check: bool) -> None:
    serving(scene, "first", "second", "third")
    writes = len(scene.docker.writes)
    (log,) = run(lines=2, _ansible_check_mode=check)["logs"]
    assert [line.split()[-1] for line in log["lines"]] == ["second", "third"]
    assert (log["instance"], log["problem"], log["failed"]) == ("assistant", "", None)
    assert log["container"] == plan(LENGTH)["release"]["container"]["name"]
    assert len(scene.docker.writes) == writes


def test_secrets_are_masked(scene: Scene) -> None:
    serving(
        scene,
        "api_key='hunter2-hunter2'",
        "get https://me:pa55word@example.net/x",
        "HF_TOKEN=hf_abcdefghijklmnopqrstuv",
    )
    told = "\n".join(run()["logs"][0]["lines"])
    assert "hunter2" not in told and "pa55word" not in told and "hf_abc" not in told
    assert "***" in told


def test_why_the_last_release_failed(scene: Scene) -> None:
    serving(scene, "all is well")
    scene.engine(
        TOO_LONG, Engine(ready_after=99, exits_after=1.0, log=((0.5, "torch.OutOfMemoryError: CUDA out of memory"),))
    )
    assert scene.roll_out(TOO_LONG) == "rolled_back"
    (log,) = run()["logs"]
    failed = log["failed"]
    assert (failed["digest"], failed["failure_class"]) == (plan(TOO_LONG)["digest"], "oom")
    assert failed["cause"] and failed["advice"] and failed["stage"]
    assert failed["log"][-1].endswith("CUDA out of memory")
    assert pathlib.Path(failed["folder"], "engine.log").is_file()
    assert "all is well" in log["lines"][-1]


def test_of_two_failures_the_last_is_told(scene: Scene) -> None:
    serving(scene, "well")
    for length, said in (
        (TOO_LONG, "torch.OutOfMemoryError: CUDA out of memory"),
        (4096, "OSError: [Errno 98] address already in use"),
    ):
        scene.engine(length, Engine(ready_after=99, exits_after=1.0, log=((0.5, said),)))
        scene.roll_out(length)
    failed = run()["logs"][0]["failed"]
    assert failed["digest"] == plan(4096)["digest"]
    assert failed["log"][-1].endswith("address already in use")


def test_a_diagnosis_without_its_log_is_told(scene: Scene) -> None:
    """The disk was full, and the log made room."""
    serving(scene, "well")
    scene.engine(TOO_LONG, Engine(ready_after=99, exits_after=1.0, log=((0.5, "CUDA out of memory"),)))
    scene.roll_out(TOO_LONG)
    scene.store.diagnoses.free()
    failed = run()["logs"][0]["failed"]
    assert (failed["failure_class"], failed["log"]) == ("oom", [])


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', "[" * 100_000])
def test_a_diagnosis_that_is_damaged_is_passed_by(scene: Scene, text: str) -> None:
    serving(scene, "well")
    damaged = pathlib.Path(scene.store.diagnoses.folder, "20991231T235959Z-abc")
    damaged.mkdir(parents=True)
    (damaged / "diagnosis.json").write_text(text)
    assert run()["logs"][0]["failed"] is None


def test_a_container_that_is_gone_hides_no_failure(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    serving(scene, "well")

    def gone(_container: str) -> str:
        raise DockerError(404, "No such container")

    monkeypatch.setattr(scene.docker, "logs", gone)
    (log,) = run()["logs"]
    assert log["problem"].endswith("is gone") and log["lines"] == []


@pytest.mark.parametrize("lines", [0, -1, 10_001])
def test_numbers_out_of_bounds_are_refused(scene: Scene, lines: int) -> None:
    assert run(lines=lines)["msg"] == f"lines is {lines}: ask for 1 to 10000 lines of each log."


def test_an_instance_that_nobody_knows_is_refused(scene: Scene) -> None:
    serving(scene, "well")
    result = run(instances=["asistant", "../../etc"])
    assert result["failed"]
    assert result["msg"] == "The host knows no instance asistant, ../../etc; it knows assistant. Name one of those."
