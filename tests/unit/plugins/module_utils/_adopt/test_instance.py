# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has a place in an inventory, and what is remarked on."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._adopt import pasted
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._adopt.adopting import adopted, typed


@pytest.mark.parametrize(
    ("words", "engine_args"),
    [
        ("--max-model-len 32k", {"max_model_len": "32k"}),
        ("--max-model-len -1", {"max_model_len": -1}),
        ("--gpu-memory-utilization=.9", {"gpu_memory_utilization": 0.9}),
        ("-O3", {"optimization_level": "3"}),
        ("-O 3", {"optimization_level": "3"}),
        ("--compilation-config.mode 3", {"compilation_config": {"mode": 3}}),
        ('--speculative-config \'{"method": "ngram"}\'', {"speculative_config": {"method": "ngram"}}),
        ("--enforce-eager --dtype half", {"enforce_eager": True, "dtype": "half"}),
        ("--max-num-seqs many", {"max_num_seqs": "many"}),
        ("--lora-modules a=/x b=/y --enable-lora", {"lora_modules": ["a=/x", "b=/y"], "enable_lora": True}),
        ("--max-num-seqs 1 --max-num-seqs 2", {"max_num_seqs": 2}),
        ("--speculative-config '{'", {"speculative_config": "{"}),
        ("--disable-log-requests", {}),
    ],
)
def test_engine_arguments(words: str, engine_args: dict[str, object]) -> None:
    assert typed(f"vllm serve m {words}").instance.get("engine_args", {}) == engine_args


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        ("vllm serve m --brand-new 1", "vLLM 0.26.0 has no --brand-new."),
        ("vllm serve m --config c.yaml", "It reads c.yaml: write what stands there under engine_args."),
        ("vllm serve m --ssl-keyfile k", "It speaks TLS itself"),
        ('vllm serve m --kv-transfer-config \'{"password": "x"}\'', "*** stands for a secret that was not read"),
        ("vllm serve m --uds /run/x", "It listens on no port of its own"),
        ("vllm serve --port 1", "No model is named"),
        ("vllm serve m", "with no key: state an api_key"),
        ("vllm serve m --host 127.0.0.1 --api-key k", "Its API key was not read"),
        ("vllm serve m --hf-token hf_abcdefabcdefabcdefabcd", "It has a token of the hub"),
        ("AWS_SECRET_ACCESS_KEY=x vllm serve m", "Secrets that were not read, and are not passed on: AWS_SECRET"),
        ("docker run -p 1:8000 vllm/vllm-openai /baked/in", "model is /baked/in in its container, which is nowhere"),
        ("docker run -p 1:8000 -v ./m:/m vllm/vllm-openai /m", "model is ./m on the host: write its whole path."),
        (
            "docker run -p 1:8000 --env-file .env --ulimit=x -it vllm/vllm-openai m",
            "Options of Docker that have no place here: --env-file and --ulimit.",
        ),
        ("docker run -p 1:8000 vllm/vllm-openai:latest m", "Its vLLM release could not be told"),
    ],
)
def test_remarks(text: str, remark: str) -> None:
    assert [one for one in typed(text).remarks if remark in one]


def test_nothing_is_remarked_without_need() -> None:
    assert typed("docker run -p 127.0.0.1:1:8000 vllm/vllm-openai:v0.26.0 m").remarks == []


@pytest.mark.parametrize(
    "word",
    [
        "--api-key=topsecret",
        "--api-key topsecret other",
        "--api-k topsecret",
        "--hf-tok=topsecret",
        "--hf-token topsecret",
        "--x https://u:topsecret@h/",
        '--kv-transfer-config \'{"kv_connector_extra_config": {"password": "topsecret"}}\'',
        '--kv-transfer-config=\'{"password": "topsecret"}\'',
        '--kv-transfer-config \'{"password": "topsecret"\'',
        "--kv-transfer-config.kv_connector_extra_config.token topsecret",
        '--lora-modules \'{"name": "a", "path": "/a", "api_key": "topsecret"}\'',
    ],
)
def test_a_secret_goes_no_further(word: str) -> None:
    (served,) = pasted.servers(f"vllm serve m {word}")
    assert served["withheld"] and "topsecret" not in str(served) + str(adopted(served))


def test_what_is_joined_hides_no_word_behind_it() -> None:
    assert typed("vllm serve --api-key=k m --port 7").instance["model"] == "m"


def test_abbreviations_are_vllms_own() -> None:
    made = typed("vllm serve m --served-model foo --gpu-memory-utilizatio 0.5 --max-model=7 --api-k k")
    assert made.instance["served_model_name"] == "foo"
    assert made.instance["api_key"] == "{{ vault_vllm_api_key_foo }}"
    assert made.instance["engine_args"] == {"gpu_memory_utilization": 0.5, "max_model_len": 7}


def test_names_are_an_instances_own() -> None:
    (served,) = pasted.servers("docker run --name My_Server.1 i m")
    names = [adopted(served, taken=taken).instance["name"] for taken in ((), ("my-server-1",))]
    assert names == ["my-server-1", "my-server-1-2"]
    (nameless,) = pasted.servers("vllm serve ///")
    assert adopted(nameless).instance["name"] == "vllm"
