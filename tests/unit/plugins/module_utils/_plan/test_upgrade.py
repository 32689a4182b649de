# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What another release would break or change, told before anything is pulled."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import planner, upgrade
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import inputs
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm import images
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

Json = dict[str, t.Any]
OFFICIAL = "docker.io/vllm/vllm-openai:v0.17.0"


def read(target: str, version: str = "0.17.0", **changes: t.Any) -> inputs.Inputs:
    given = fleet.task(version=version, target={"version": target}, **{"image": OFFICIAL, **changes})
    errors: list[str] = []
    found = inputs.read(given, fleet.HISTORY, fleet.READINGS, errors)
    assert errors == []
    return found


def compared(target: str, version: str = "0.17.0", **changes: t.Any) -> Json:
    asked = upgrade.target(read(target, version, **changes))
    return upgrade.compare(asked, planner.plan_host(asked))


def texts(found: Json, kind: str) -> list[str]:
    return [one["text"] for one in found["changes"] if one["kind"] == kind]


@pytest.mark.parametrize(
    ("name", "version", "found"),
    [
        ("vllm/vllm-openai:v0.17.0", "0.33.0", "vllm/vllm-openai:v0.33.0"),
        ("vllm/vllm-openai:v0.17.0-cu129", "0.33.0", "vllm/vllm-openai:v0.33.0-cu129"),
        ("vllm/vllm-openai:v0.17.0@sha256:" + "a" * 64, "0.33.0", "vllm/vllm-openai:v0.33.0"),
        ("vllm/vllm-openai:v0.33.0@sha256:" + "a" * 64, "0.33.0", "vllm/vllm-openai:v0.33.0@sha256:" + "a" * 64),
        ("vllm/vllm-openai:nightly", "0.33.0", "vllm/vllm-openai:nightly"),
        ("registry.example/mine:1.2.3", "0.33.0", "registry.example/mine:1.2.3"),
        ("vllm/vllm-openai:v0.17.0", "newest", "vllm/vllm-openai:v0.17.0"),
    ],
)
def test_the_image_follows_where_its_tag_says_the_release(name: str, version: str, found: str) -> None:
    assert images.at(name, version) == found


def test_only_another_version_is_an_upgrade() -> None:
    assert upgrade.wanted(read("0.33.0"))
    assert not upgrade.wanted(read(""))
    assert not upgrade.wanted(read("0.17.0"))


def test_arguments_that_are_gone_break_and_those_left_out_change() -> None:
    given = fleet.instance(engine_args={"swap_space": 4, "override_pooler_config": "{}", "max_num_seqs": 4})
    found = compared("0.33.0", instances=[given])
    assert (found["from"], found["to"], found["image"]) == ("0.17.0", "0.33.0", "docker.io/vllm/vllm-openai:v0.33.0")
    assert [text for text in found["breaks"] if "swap_space is gone since vLLM 0.18.0" in text]
    assert not [text for text in found["breaks"] if "max_num_seqs" in text]
    older = compared("0.20.0", "0.10.0", image="vllm/vllm-openai:v0.10.0", instances=[
        fleet.instance(engine_args={"disable_log_requests": True})
    ])  # fmt: skip
    assert older["breaks"] == []
    assert texts(older, "argument") == ["disable_log_requests true is not passed on any more"]


def test_what_was_wrong_before_is_no_matter_of_the_upgrade() -> None:
    found = compared("0.33.0", instances=[fleet.instance(engine_args={"no_such_thing": 4})])
    assert found["breaks"] == []


def test_defaults_metrics_and_cuda() -> None:
    facts = {**fleet.host_facts(), "driver": {"version": "570.124.06"}}
    found = compared("0.33.0", "0.11.0", image="vllm/vllm-openai:v0.11.0", facts=facts)
    assert any("install a newer driver" in text for text in found["breaks"])
    assert any(text.startswith("gpu_memory_utilization ") for text in texts(found, "default"))
    assert "vllm:gpu_cache_usage_perc is gone: read vllm:kv_cache_usage_perc" in texts(found, "metric")
    assert texts(found, "cuda") == [
        "the image brings CUDA 13.0 instead of 12.8, which takes driver 580 or newer; the host has 570.124.06"
    ]
    assert texts(compared("0.33.0", image="mine:1"), "cuda")[0].startswith("which CUDA the image mine:1 brings is not")
    stated = compared("0.33.0", "0.11.0", instances=[fleet.instance(engine_args={"gpu_memory_utilization": 0.5})],
                      image="vllm/vllm-openai:v0.11.0")  # fmt: skip
    assert not any(text.startswith("gpu_memory_utilization ") for text in texts(stated, "default"))


def test_variables_that_are_not_read_any_more() -> None:
    found = compared("0.33.0", "0.14.0", image="vllm/vllm-openai:v0.14.0", instances=[
        fleet.instance(env={"VLLM_ATTENTION_BACKEND": "FLASHINFER", "VLLM_LOGGING_LEVEL": "INFO"})
    ])  # fmt: skip
    assert texts(found, "variable") == ["env.VLLM_ATTENTION_BACKEND is not read any more"]


def test_memory_that_moves() -> None:
    config = {
        "architectures": ["LlamaForCausalLM"],
        "num_hidden_layers": 32,
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "vocab_size": 128256,
        "max_position_embeddings": 8192,
    }
    seen = {"/srv/models/tiny": {"config": config, "weights": {"bytes": 16_060_522_496}, "problems": [], "notes": []}}
    memory = {"total": 24576, "reserved": 480, "free": 24000}
    gpu = fleet.gpu(0, memory_mib=memory, processes=[], compute_capability="8.6")
    found = compared("0.33.0", "0.14.0", image="vllm/vllm-openai:v0.14.0", models=seen,
                     facts={**fleet.host_facts(), "gpus": [gpu]})  # fmt: skip
    assert any(text.startswith("KV cache ") and text.endswith(" GiB") for text in texts(found, "memory"))


def test_nothing_moves_for_a_release_that_is_alike() -> None:
    found = {"from": "0.32.0", "to": "0.33.0", "image": "x", "breaks": [], "changes": []}
    assert upgrade.lines(found)[0].endswith("nothing breaks, and nothing that is known changes")
    assert upgrade.lines({}) == []


def test_lines_for_a_terminal() -> None:
    found = compared("0.33.0", "0.11.0", image="vllm/vllm-openai:v0.11.0",
                     instances=[fleet.instance(engine_args={"swap_space": 4})])  # fmt: skip
    said = upgrade.lines(found)
    assert said[0] == "upgrade vLLM 0.11.0 -> 0.33.0 (image vllm/vllm-openai:v0.33.0)"
    assert any(line.startswith("    BREAKS: instance assistant: swap_space is gone") for line in said)
    assert any(line.startswith("    default: instance assistant: ") for line in said)
    assert any(line.startswith("    metric: vllm:") for line in said)


def test_a_target_that_nobody_knows_breaks_and_says_so() -> None:
    asked = upgrade.target(read("banana"))
    found = upgrade.compare(asked, planner.plan_host(asked))
    assert "The vLLM version 'banana' is not of the form 0.32.0" in found["breaks"][0]
