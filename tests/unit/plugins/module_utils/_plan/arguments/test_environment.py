# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of a container."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.fleet import release_of


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        ({"VLLM_MAX_MODEL_LEN": "8192"}, {"max_model_len": 8192}),
        ({"VLLM_GPU_MEMORY_UTILIZATION": 0.9}, {"gpu_memory_utilization": 0.9}),
        ({"VLLM_MAX_NUM_BATCHED_TOKENS": 4096}, {"max_num_batched_tokens": 4096}),
        ({"VLLM_TP": 1}, {"tensor_parallel_size": 1}),
        ({"VLLM_TENSOR_PARALLEL_SIZE": 2}, {"tensor_parallel_size": 2}),
        ({"VLLM_DTYPE": "bfloat16"}, {"dtype": "bfloat16"}),
        ({"VLLM_ENABLE_PREFIX_CACHING": 1}, {"enable_prefix_caching": True}),
        ({"VLLM_ENABLE_PREFIX_CACHING": "0"}, {"enable_prefix_caching": False}),
    ],
)
def test_variables_that_are_engine_arguments(given: t.Any, arguments: t.Any) -> None:
    found = fleet.outcome(instances=[fleet.instance(env=given)])
    assert found.errors == ()
    release = release_of(found.plans[0])
    assert (release["arguments"], release["env"]) == (arguments, {})
    assert next(iter(given)) in found.warnings[0]
    assert {argument["origin"] for argument in found.plans[0]["arguments"]} == {"instance"}


def test_the_same_argument_twice_and_different() -> None:
    given = fleet.instance(env={"VLLM_TP": 2}, engine_args={"tensor_parallel_size": 1})
    assert "in engine_args and, differently, in env" in fleet.outcome(instances=[given]).errors[0]


def test_visible_devices_become_gpus() -> None:
    given = fleet.instance(env={"CUDA_VISIBLE_DEVICES": "1", "VLLM_TP": 1})
    found = fleet.outcome(instances=[given])
    assert release_of(found.plans[0])["gpus"]["uuids"] == ["GPU-1"]
    assert any("taken as gpus: [1]" in warning for warning in found.warnings)


def test_visible_devices_against_gpus() -> None:
    given = fleet.instance(env={"CUDA_VISIBLE_DEVICES": "1"}, gpus=[0])
    assert "name different GPUs; keep gpus" in fleet.outcome(instances=[given]).errors[0]


@pytest.mark.parametrize(
    ("version", "name", "warned"),
    [
        ("0.32.0", "VLLM_USE_V1", True),
        ("0.10.0", "VLLM_USE_V1", False),
        ("0.32.0", "VLLM_ATTENTION_BACKEND", True),
        ("0.32.0", "VLLM_LOGGING_LEVEL", False),
        ("0.32.0", "HF_HUB_OFFLINE", False),
        ("0.32.0", "TOKENIZERS_PARALLELISM", False),
        ("0.32.0", "VLLM_MULTI_STREAM_GEMM_TOKEN_THRESHOLD", False),
    ],
)
def test_variables_that_the_release_does_not_read(version: t.Any, name: t.Any, warned: t.Any) -> None:
    found = fleet.outcome(version=version, instances=[fleet.instance(env={name: "1"})])
    assert release_of(found.plans[0])["env"] == {name: "1"}
    assert [f"vLLM {version} does not read env.{name}" in warning for warning in found.warnings] == [True] * warned


SECRETS = (
    *("TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "CREDENTIALS", "APIKEY", "KEY", "KEY_ID"),
    *("HF_TOKEN", "DB_PASSWD", "GPG_PASSPHRASE", "AWS_CREDENTIALS", "SSH_KEY", "AWS_ACCESS_KEY_ID", "access_key"),
    *("SECRET_OF_ACME", "MY_SECRETS", "PASSWORD_OF_ACME", "DBPASSWORDS", "OPENAI_API_KEY_OLD"),
)
OPEN = (
    "KEYBOARD",
    "MONKEY",
    "TOKENIZERS_PARALLELISM",
    "TOKEN_LIMIT",
    "KEY_FORMAT",
    "PASSES",
    "MY_APIKEYS",
    "ACME_KEY_IDS",
)


@pytest.mark.parametrize("name", SECRETS)
def test_each_word_that_names_a_secret_is_refused(name: str) -> None:
    found = fleet.outcome(instances=[fleet.instance(env={name: "ni4rae"})])
    assert f"env.{name} is a secret by its name" in found.errors[0]
    assert "ni4rae" not in found.errors[0]


@pytest.mark.parametrize("name", OPEN)
def test_a_word_that_only_looks_like_one_is_let_through(name: str) -> None:
    found = fleet.outcome(instances=[fleet.instance(env={name: "1"})])
    assert found.errors == ()
    assert release_of(found.plans[0])["env"] == {name: "1"}
