# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A measured start beats the sums for the same image, model, GPUs and arguments, and for nothing else."""

from __future__ import annotations

import copy
import json
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._model.inspect import inspect
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import planner, report
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.weights import look_at
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.measurement import key_of
from ansible_collections.gpufleet.vllm.tests.data.model_configs import CONFIGS
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.fleet import memory_of, release_of

Json = dict[str, t.Any]
MODEL, IMAGE, IMAGE_ID = "/srv/models/qwen", "registry.example.com/vllm:1", "sha256:aa"
AT = "2026-11-26T10:00:00Z"
FILES: Json = {"config": CONFIGS["Qwen/Qwen2.5-7B-Instruct"], "weights": {"bytes": 2**30}, "problems": [], "notes": []}
FIGURES: Json = {"max_model_len": 2048, "kv_cache_gib": 0.25, "kv_tokens": 4096, "concurrency": 2.0, "weights_gib": 0.2}
# What no arithmetic lets through: the share of the GPU is smaller than a context.
ARGUMENTS: Json = {"max_model_len": 2048, "max_num_seqs": 4, "gpu_memory_utilization": 0.05}


def card(**changes: t.Any) -> t.Any:
    memory = {"total": 12288, "reserved": 400, "free": 11884, "source": "nvml"}
    return fleet.gpu(0, **{"compute_capability": "8.6", "memory_mib": memory, "processes": [], **changes})


def task(**changes: t.Any) -> Json:
    own = fleet.instance(model=MODEL, engine_args=ARGUMENTS)
    facts = {**fleet.host_facts(1), "gpus": [card()], "images": {IMAGE: {"id": IMAGE_ID}}}
    return {"instances": [own], "image": IMAGE, "facts": facts, "models": {MODEL: FILES}, **copy.deepcopy(changes)}


def measured(**changes: t.Any) -> Json:
    """What the host has measured of the release that `task` plans."""
    draft = fleet.outcome(**task()).drafts[0]
    key = key_of(release_of(draft), IMAGE_ID, FILES, [card()])
    assert key
    return {"key": key, "at": AT, **FIGURES, **changes}


def outcome(*rows: t.Any, **changes: t.Any) -> planner.Outcome:
    given = task(**changes)
    given["facts"]["measurements"] = list(rows)
    return fleet.outcome(**given)


def test_the_sums_refuse_it() -> None:
    assert any("does not fit" in text for text in outcome().errors)


def test_what_was_measured_takes_the_place_of_the_sums() -> None:
    found = outcome(measured())
    assert found.errors == ()
    (plan,) = found.plans
    memory = memory_of(plan)
    assert (plan["change"], plan["overruled"], memory["verdict"]) == ("create", [], "fits")
    assert (memory["kv"]["gib"]["expected"], memory["kv"]["tokens"], memory["kv"]["concurrency"]) == (0.25, 4096, 2.0)
    assert memory["gpus"][0]["weights_gib"]["expected"] == 0.2
    assert memory["measured"]["at"] == AT
    assert memory["changes"] == []
    told = report.block(plan)
    assert f"because Measured on this host at {AT}, of exactly this image, model, GPU and arguments: 0.25 GiB" in told
    assert "KV cache 0.25 GiB (measured)" in told
    assert "at most" not in told


def test_it_does_not_change_the_release() -> None:
    tried = outcome(settings={"memory_check": "warn"}).plans[0]
    assert outcome(measured()).plans[0]["digest"] == tried["digest"]


def test_a_start_of_which_nothing_is_known_but_that_it_served() -> None:
    (plan,) = outcome(measured(**dict.fromkeys(FIGURES))).plans
    assert memory_of(plan)["verdict"] == "fits"


def test_an_engine_that_says_only_how_many_requests_it_holds() -> None:
    plan = outcome(measured(kv_cache_gib=None)).plans[0]
    memory = memory_of(plan)
    assert "GiB (by what it was measured to hold)" in report.block(plan)
    assert memory["kv"]["gib"]["expected"] == pytest.approx(2.0 * memory["kv"]["gib_per_request"], abs=0.01)


CONFIG = {**FILES["config"], "num_hidden_layers": 27}
OTHERS: dict[str, Json] = {
    "argument": {"instances": [fleet.instance(model=MODEL, engine_args={**ARGUMENTS, "max_num_seqs": 5})]},
    "one argument more": {"instances": [fleet.instance(model=MODEL, engine_args={**ARGUMENTS, "seed": 1})]},
    "env": {"instances": [fleet.instance(model=MODEL, engine_args=ARGUMENTS, env={"VLLM_LOGGING_LEVEL": "DEBUG"})]},
    "image": {"facts": {**task()["facts"], "images": {IMAGE: {"id": "sha256:bb"}}}},
    "image that is not there": {"facts": {**task()["facts"], "images": {}}},
    "GPU": {"facts": {**task()["facts"], "gpus": [card(name="another board")]}},
    "size of the GPU": {
        "facts": {**task()["facts"], "gpus": [card(memory_mib={**card()["memory_mib"], "total": 12290})]}
    },
    "config.json": {"models": {MODEL: {**FILES, "config": CONFIG}}},
    "weights": {"models": {MODEL: {**FILES, "weights": {"bytes": 2**30 + 1}}}},
}


@pytest.mark.parametrize("name", OTHERS)
def test_for_nothing_else(name: str) -> None:
    found = outcome(measured(), **OTHERS[name])
    assert any("does not fit" in text for text in found.errors), found.plans
    assert memory_of(found.drafts[0])["measured"] is None


def test_a_port_and_a_name_are_no_other() -> None:
    own = fleet.instance(name="other", port=9000, model=MODEL, engine_args=ARGUMENTS)
    assert outcome(measured(), instances=[own]).errors == ()


@pytest.mark.parametrize(
    "rows",
    [
        None,
        "text",
        {},
        [None],
        [{"key": "a" * 64}],
        [{"key": "a" * 64, "at": AT}],
        [{"key": ["a"], "at": AT}],
        [["a" * 64, AT]],
    ],
)
def test_what_a_host_says_is_outside_data(rows: t.Any) -> None:
    given = task()
    given["facts"]["measurements"] = rows
    assert any("does not fit" in text for text in fleet.outcome(**given).errors)


def test_figures_that_cannot_be_are_left_out() -> None:
    (plan,) = outcome(measured(kv_cache_gib="<script>", kv_tokens=-4, concurrency=True)).plans
    assert memory_of(plan)["measured"]["kv_cache_gib"] is None
    assert memory_of(plan)["measured"]["concurrency"] is None
    assert "<script>" not in report.block(plan)


def test_the_newest_of_its_like_is_taken() -> None:
    newer = measured(at="2026-11-26T11:00:00Z", kv_tokens=5000)
    assert memory_of(outcome(measured(), newer).plans[0])["kv"]["tokens"] == 5000


def test_who_else_is_on_the_gpu_is_no_matter_of_a_start_before() -> None:
    held = [{"pid": 77, "name": "/usr/bin/trainer", "memory_mib": 11700}]
    memory = {**card()["memory_mib"], "free": 180}
    facts = {**task()["facts"], "gpus": [card(memory_mib=memory, processes=held)]}
    (error,) = outcome(measured(), facts=facts).errors
    assert "held by /usr/bin/trainer" in error
    assert "memory_check: warn" in error


def test_a_gpu_that_is_given_away_twice_is_no_matter_of_a_start_before() -> None:
    large = fleet.instance(name="b", port=8001, model=MODEL, engine_args={**ARGUMENTS, "gpu_memory_utilization": 0.97})
    pair = [fleet.instance(model=MODEL, engine_args=ARGUMENTS), large]
    found = outcome(measured(), instances=pair)
    assert any("instance assistant cannot run like this: 2 instances ask for 1.02" in text for text in found.errors)


def test_a_start_answers_every_prediction_of_the_engine() -> None:
    wrong = {**ARGUMENTS, "max_model_len": 2**20, "quantization": "awq"}
    own = fleet.instance(model=MODEL, engine_args=wrong)
    draft = outcome(instances=[own]).drafts[0]
    row = {"key": key_of(release_of(draft), IMAGE_ID, FILES, [card()]), "at": AT}
    found = outcome(row, instances=[own])
    assert found.errors == ()
    answered = [
        text for text in found.plans[0]["warnings"] if f"It has started on this host all the same, at {AT}." in text
    ]
    assert len(answered) == 2
    assert outcome(measured(), instances=[own]).errors


def test_a_hub_s_model_of_another_revision_is_another() -> None:
    """The key is of the files that are there: a release that is to serve others has none."""
    hub, there = "acme/tiny", {**FILES, "revision": "a" * 40}
    own = fleet.instance(model=hub, engine_args=ARGUMENTS)
    draft = outcome(instances=[own], models={hub: there}).drafts[0]
    row = {"key": key_of(release_of(draft), IMAGE_ID, there, [card()]), "at": AT}
    assert outcome(row, instances=[own], models={hub: there}).errors == ()
    pinned = fleet.instance(model=hub, engine_args=ARGUMENTS, revision="b" * 40)
    assert outcome(row, instances=[pinned], models={hub: there}).errors


def test_the_host_reads_the_model_that_the_planner_saw(tmp_path: pathlib.Path) -> None:
    hub, commit = "acme/tiny", "c" * 40
    repository = tmp_path / "models--acme--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    (snapshot / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"1234")
    (snapshot / "config.json").write_text(json.dumps(FILES["config"]))
    seen = inspect(hub, str(tmp_path))
    settings = {"hub_dir": str(tmp_path), "memory_check": "warn"}
    own = fleet.instance(model=hub, engine_args=ARGUMENTS)
    planned = outcome(instances=[own], models={hub: seen}, settings=settings).plans[0]
    assert look_at(release_of(planned)) == seen
    key = key_of(release_of(planned), IMAGE_ID, seen, [card()])
    again = outcome({"key": key, "at": AT}, instances=[own], models={hub: seen}, settings={"hub_dir": str(tmp_path)})
    assert again.errors == ()


def test_a_cpu_host_has_its_starts_too() -> None:
    given: Json = {
        "host_class": "cpu",
        "facts": {**fleet.host_facts(0), "images": {IMAGE: {"id": IMAGE_ID}}},
        "instances": [fleet.instance(model=MODEL, engine_args={"max_model_len": 2**20})],
    }
    draft = outcome(**given).drafts[0]
    row = {"key": key_of(release_of(draft), IMAGE_ID, FILES, []), "at": AT}
    assert outcome(row, **given).errors == ()
