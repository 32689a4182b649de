# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that measures a server, on a host whose Docker answers as a script says."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark import load_container
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.counts import Counts
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.server import Server
from ansible_collections.gpufleet.vllm.plugins.module_utils._watch.watch_record import Records
from ansible_collections.gpufleet.vllm.plugins.modules import vllm_benchmark as module
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._benchmark.cases import result
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene
from ansible_collections.gpufleet.vllm.tests.unit.plugins.modules.shown_host import known_to, ran

Json = dict[str, t.Any]
SMALL = {"prompt_tokens": 512, "answer_tokens": 32, "requests": 24, "concurrency": 1, "prefix_tokens": 0}


@pytest.fixture
def scene(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A host that serves, and loads that finish as they should."""
    made = known_to(module, tmp_path, monkeypatch)
    monkeypatch.setattr(module, "Host", lambda: made.host)
    monkeypatch.setattr(module, "Records", lambda store: Records(store, str(tmp_path / "run")))
    monkeypatch.setattr(
        "ansible_collections.gpufleet.vllm.plugins.module_utils._host.out_of_service.units.running", lambda _name: False
    )
    finished = [0]

    def run(_server: Server, _load: t.Any, _seed: int) -> Json:
        finished[0] += 24
        return result()

    monkeypatch.setattr(Server, "run", run)
    monkeypatch.setattr(Server, "counts", lambda _server: Counts(finished[0], 0, 512 * finished[0], 0))
    assert made.roll_out(1024) == "verified"
    return made


def run(**args: t.Any) -> Json:
    return ran(module, **{"instance": "assistant", **SMALL, **args})


def test_it_measures(scene: Scene) -> None:
    ended = run(targets={"first_token": 1})
    assert (ended["changed"], ended["found"]["outcome"]) == (False, "measured")
    assert ended["found"]["release"] == scene.store.load().current.digest  # type: ignore[union-attr]
    assert [len(load["runs"]) for load in ended["found"]["loads"].values()] == [3]
    assert ended["found"]["workload"]["seed"] > 0
    assert ended["table"][0].startswith("load")
    json.dumps(ended)


def test_one_request_at_a_time_is_left_out_of_the_result_too(scene: Scene) -> None:
    found = run(concurrency=4, sequential=False)["found"]
    assert (list(found["loads"]), found["differences"]) == (["parallel"], [])
    assert found["loads"]["parallel"]["runs"][0]["samples"] == [], "nobody looked at this engine"


def test_a_drawn_seed_is_another_one_each_time(scene: Scene) -> None:
    assert run()["found"]["workload"]["seed"] != run()["found"]["workload"]["seed"]
    assert run(seed=7)["found"]["workload"]["seed"] == 7


def test_check_mode_measures_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Server, "run")
    ended = run(_ansible_check_mode=True)
    assert (ended["changed"], ended["found"], ended["table"]) == (False, None, ["3 runs would be measured."])


def test_all_that_is_wrong_is_told_at_once(scene: Scene) -> None:
    ended = run(repeats=1, prompt_tokens=4096, targets={"speed": 1})
    assert ended["failed"]
    for told in ("repeats is 1", "the server takes 1024", "targets has 'speed'"):
        assert told in ended["msg"]


def test_an_instance_that_is_not_there(scene: Scene) -> None:
    assert run(instance="nobody")["msg"] == "No instance nobody is on this host, which knows assistant."


def test_one_that_does_not_run(scene: Scene) -> None:
    scene.docker.stop("vllm-assistant", 1)
    assert run()["msg"] == "assistant does not serve: see playbooks/status.yml."


def test_one_that_generates_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_container, "pools", lambda _arguments: True)
    assert run()["msg"].startswith("assistant cannot be measured: it generates no text")


def test_one_is_measured_by_one_at_a_time(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    records = Records(scene.store, str(tmp_path / "run"))
    with records.measured():
        assert run()["msg"] == "assistant is measured already: wait until that is over."
    assert run()["found"]["outcome"] == "measured"
