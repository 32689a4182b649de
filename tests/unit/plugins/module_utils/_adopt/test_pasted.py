# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command lines and scripts that people keep."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._adopt.pasted import NotUnderstood, servers
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._adopt.adopting import typed

SCRIPT = """#!/bin/bash
# The model that we serve.
MODEL=/models/qwen
ARGS="--max-num-seqs 4 --kv-cache-dtype fp8"
NAME=${1:-chat}
export HF_TOKEN=hf_abcdefabcdefabcdefabcdef
mkdir -p /srv/logs
docker run -d -it --name "$NAME" --gpus '"device=0,1"' --ipc=host --shm-size 8g -p 127.0.0.1:9000:8000 \\
  -v /srv/models:/models:ro --mount type=bind,source=/srv/hub,target=/root/.cache/huggingface \\
  -e VLLM_LOGGING_LEVEL=DEBUG -e VLLM_API_KEY=sk-0123456789 \\
  vllm/vllm-openai:v0.26.0 --model ${MODEL} --chat-template /models/t.jinja $ARGS
"""


def test_a_script_with_docker_run() -> None:
    made = typed(SCRIPT)
    assert made.instance == {
        "name": "chat",
        "model": "/srv/models/qwen",
        "served_model_name": "/models/qwen",
        "image": "vllm/vllm-openai:v0.26.0",
        "version": "0.26.0",
        "port": 9000,
        "gpus": [0, 1],
        "api_key": "{{ vault_vllm_api_key_chat }}",
        "engine_args": {"chat_template": "/srv/models/t.jinja", "max_num_seqs": 4, "kv_cache_dtype": "fp8"},
        "env": {"VLLM_LOGGING_LEVEL": "DEBUG"},
    }
    assert made.variables == {"vllm_server_ipc": "host"}
    assert "0123456789" not in str(made) + str(servers(SCRIPT))


def test_a_command_line() -> None:
    made = typed(
        "CUDA_VISIBLE_DEVICES=1 HF_HOME=/srv/hf nohup vllm serve Qwen/Qwen3-8B --port=8001 -tp 2 --api-key k &"
    )
    assert made.instance == {
        "name": "qwen3-8b",
        "model": "Qwen/Qwen3-8B",
        "served_model_name": "Qwen/Qwen3-8B",
        "bind": "0.0.0.0",
        "port": 8001,
        "gpus": [1],
        "api_key": "{{ vault_vllm_api_key_qwen3_8b }}",
        "engine_args": {"tensor_parallel_size": 2},
    }
    assert made.variables == {"vllm_server_hub_dir": "/srv/hf/hub"}


def test_options_alone() -> None:
    made = typed("--model /srv/m --served-model-name a b --no-enable-prefix-caching")
    assert made.instance["served_model_name"] == ["a", "b"]
    assert (made.instance["name"], made.instance["engine_args"]) == ("a", {"enable_prefix_caching": False})


def test_the_contrary_of_an_option_has_nothing_behind_it() -> None:
    made = typed("--disable-prefix-caching /srv/m --served-model-name a")
    assert (made.instance["model"], made.instance["engine_args"]) == ("/srv/m", {"enable_prefix_caching": False})


def test_several_servers_of_one_script() -> None:
    first, second = servers("vllm serve a --port 1\nvllm serve b --port 2")
    assert (first["words"][0], second["words"][0]) == ("a", "b")


@pytest.mark.parametrize(
    ("options", "port", "bind"),
    [
        ("-p 8001:8000", 8001, "0.0.0.0"),
        ("-p 10.0.0.1:8001:8000/tcp", 8001, "10.0.0.1"),
        ("--network host", 8000, "0.0.0.0"),
        ("-p 9:9", 8000, ""),
        ("-p8001:8000", 8001, "0.0.0.0"),
    ],
)
def test_the_port_of_the_host(options: str, port: int, bind: str) -> None:
    made = typed(f"docker run {options} vllm/vllm-openai m")
    assert (made.instance["port"], made.instance.get("bind", "")) == (port, bind)
    unpublished = any("No port of it was published" in remark for remark in made.remarks)
    assert unpublished == (options == "-p 9:9")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("vllm serve $1", "$1 has no value there: write what it stands for."),
        ("vllm serve ${MODEL}", "$MODEL has no value there"),
        ("vllm serve 'm", "cannot be read"),
        ("echo hello", "no vLLM server is started there"),
        ("", "no vLLM server is started there"),
        ("docker run", "no vLLM server is started there"),
        ("docker run -p", "no vLLM server is started there"),
        ("vllm serve m --port $(cat port)", "a shell has to work out a part of it"),
        ("vllm serve m `cat options`", "a shell has to work out a part of it"),
        ("ARGS=(--port 1)\nvllm serve m ${ARGS[@]}", "a shell has to work out a part of it"),
    ],
)
def test_what_is_not_understood_is_said(text: str, said: str) -> None:
    with pytest.raises(NotUnderstood) as refused:
        servers(text)
    assert said in str(refused.value)


def test_where_output_goes_is_no_part_of_it() -> None:
    for end in ("> log 2>&1 &", ">log", "2> errors >> log", "< /dev/null | tee log"):
        (served,) = servers(f"nohup vllm serve m --max-num-seqs 2 {end}")
        assert served["words"] == ["m", "--max-num-seqs", "2"]
    (quoted,) = servers("vllm serve m --chat-template 'a > b'")
    assert quoted["words"][-1] == "a > b"


def test_variables_that_stand_joined() -> None:
    (served,) = servers("docker run -eA=1 -e=B=2 -p 1:9 --rm -it vllm/vllm-openai m --port=9")
    assert (served["image"], served["words"][0], served["port"]) == ("vllm/vllm-openai", "m", 1)
    assert served["variables"] == {"A": "1", "B": "2"}
