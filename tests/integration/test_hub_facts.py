# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook plan.yml asks the hub about a model that is not on the host, and goes on without it where it is away."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
import yaml

from ansible_collections.gpufleet.vllm.tests.hub.content import MIB, Made
from ansible_collections.gpufleet.vllm.tests.hub.server import Hub

Json = dict[str, t.Any]
CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
MODEL = "acme/secret-project"
TOKEN = "hf_" + "q" * 34
CONFIG: Json = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "num_hidden_layers": 28,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151936,
    "max_position_embeddings": 4096,
    "torch_dtype": "bfloat16",
}


class Weights:
    """A safetensors file of 64 MiB that nobody keeps."""

    header = json.dumps({"w": {"dtype": "BF16", "shape": [32 * MIB], "data_offsets": [0, 64 * MIB]}}).encode()
    start = len(header).to_bytes(8, "little") + header
    size = len(start) + 64 * MIB

    def read(self, start: int, end: int) -> bytes:
        return self.start[start:end] + Made(self.size).read(max(start, len(self.start)), end)


@pytest.fixture
def hub() -> t.Iterator[Hub]:
    with Hub() as made:
        made.add(MODEL, {"config.json": json.dumps(CONFIG).encode(), "model.safetensors": Weights()}, gated="manual")
        made.tokens[TOKEN] = {MODEL}
        yield made


def plan(folder: pathlib.Path, *words: str, **given: t.Any) -> tuple[Json, str]:
    """What plan.yml has written of a host, and all that was said at -vvv."""
    instance = {"name": "a", "model": MODEL, "port": 8000, "engine_args": {"max_model_len": 8192}}
    host = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_become": False,
        "gpu_detect_host_class": "cpu",
        "vllm_server_image": "vllm-cpu:0.32.0",
        "vllm_server_version": "0.32.0",
        "vllm_server_hub_dir": str(folder / "none"),
        "vllm_server_instances": [instance],
        **given,
    }
    inventory = folder / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"gpu_hosts": {"hosts": {"gpu-1": host}}}))
    written = folder / "plan.json"
    command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "playbooks/plan.yml", "-vvv"]
    command += ["-i", str(inventory), "-l", "gpu_hosts", "-e", f"vllm_plan_json={written}", *words]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "XDG_CACHE_HOME": str(folder / "cache")}
    ran = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert written.exists(), ran.stdout
    return json.loads(written.read_text())["hosts"][0], ran.stdout + ran.stderr


def digests(found: Json) -> list[str]:
    """Drafts are what would be planned for a machine that cannot be a host."""
    return [one["digest"] for one in (*found["plans"], *found["drafts"])]


def test_a_plan_has_facts_of_the_hub_with_their_source(hub: Hub, tmp_path: pathlib.Path) -> None:
    asked = {"vllm_server_hub_facts": True, "vllm_server_hub_endpoint": hub.url, "vllm_server_hub_token": TOKEN}
    found, said = plan(tmp_path, **asked, vllm_server_value_check="warn")
    commit = hub.models[MODEL].branches["main"]
    assert f"config.json and weights are from the hub at {commit} ({hub.url})" in json.dumps(found)
    # 8192 tokens are more than config.json has: that is known from the hub alone.
    assert "made for 4096 tokens (config.json)" in said
    assert hub.sent() < MIB
    assert TOKEN not in said + "".join(path.read_text() for path in tmp_path.rglob("*.json"))


def test_nobody_is_asked_unless_allowed_and_a_hub_that_is_away_changes_nothing(
    hub: Hub, tmp_path: pathlib.Path
) -> None:
    without, said = plan(tmp_path, vllm_server_hub_endpoint=hub.url, vllm_server_hub_token=TOKEN)
    assert hub.log == []
    assert TOKEN not in said
    assert "(vllm_server_hub_facts)" in said
    hub.kill()
    found, said = plan(tmp_path, vllm_server_hub_facts=True, vllm_server_hub_endpoint=hub.url)
    assert "Its hub was asked in vain, and is not in this plan." in said
    assert digests(found) == digests(without) != []
