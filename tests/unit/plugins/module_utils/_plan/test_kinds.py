# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example of each kind of server in docs/inventory.md is planned as it stands there."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
import yaml

from ansible_collections.gpufleet.vllm.tests.data.model_configs import CONFIGS
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.fleet import Json
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.test_files import adapter, file, folder

PAGE = pathlib.Path(__file__).resolve().parents[5] / "docs" / "inventory.md"
TEXT = PAGE.read_text().partition("## Kinds of servers\n")[2].partition("```yaml\n")[2].partition("```")[0]
EXAMPLES: dict[str, Json] = {one["name"]: one for one in yaml.safe_load(TEXT)["vllm_server_instances"]}
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
VISION = "Qwen/Qwen3-VL-2B-Instruct"
ENCODER: Json = {
    "architectures": ["XLMRobertaModel"], "model_type": "xlm-roberta", "num_hidden_layers": 24, "hidden_size": 1024,
    "num_attention_heads": 16, "intermediate_size": 4096, "vocab_size": 250002, "max_position_embeddings": 8194,
}  # fmt: skip
# As openai/whisper-large-v3-turbo has them.
WHISPER: Json = {
    "architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper", "is_encoder_decoder": True,
    "num_hidden_layers": 32, "encoder_layers": 32, "decoder_layers": 4, "d_model": 1280, "vocab_size": 51866,
    "encoder_attention_heads": 20, "decoder_attention_heads": 20, "max_source_positions": 1500,
    "max_target_positions": 448, "num_mel_bins": 128, "torch_dtype": "float16",
}  # fmt: skip
EMOTIONS: Json = {
    "architectures": ["RobertaForSequenceClassification"], "model_type": "roberta", "num_hidden_layers": 12,
    "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072, "vocab_size": 50265,
    "max_position_embeddings": 514, "id2label": {"0": "admiration", "15": "gratitude"},
}  # fmt: skip
PROCESS_REWARD: Json = {
    "architectures": ["Qwen2ForProcessRewardModel"], "model_type": "qwen2", "num_hidden_layers": 28,
    "hidden_size": 3584, "num_attention_heads": 28, "num_key_value_heads": 4, "intermediate_size": 18944,
    "vocab_size": 152064, "max_position_embeddings": 4096, "torch_dtype": "bfloat16",
}  # fmt: skip
CATALOGUE = json.loads((fleet.ROLE / "files" / "models.json").read_text())["models"]
DRAFTER: Json = {"architectures": ["LlamaForCausalLMEagle3"], "model_type": "llama", "num_hidden_layers": 1}
MODELS: dict[str, tuple[Json, int]] = {
    "BAAI/bge-m3": (ENCODER, 2_271_064_456),
    "BAAI/bge-reranker-v2-m3": ({**ENCODER, "architectures": ["XLMRobertaForSequenceClassification"]}, 2_271_071_852),
    "SamLowe/roberta-base-go_emotions": (EMOTIONS, 500_000_000),
    "Qwen/Qwen2.5-Math-PRM-7B": (PROCESS_REWARD, 14_200_000_000),
    VISION: (CATALOGUE[VISION]["config"], 4_255_140_312),
    "openai/whisper-large-v3-turbo": (WHISPER, 1_617_824_864),
    LLAMA: (CONFIGS[LLAMA], 16_060_556_672),
}
FILES: Json = {
    "/srv/adapters/sql": {**adapter(r=32, base_model_name_or_path=LLAMA)},
    "/srv/adapters/law": {**adapter(r=16, base_model_name_or_path=LLAMA)},
    "inventory:assistant.jinja": file(),
    "/srv/models/draft": {
        **folder("config.json", "model.safetensors"),
        "model": {"config": DRAFTER, "weights": {"bytes": 850_000_000}, "problems": []},
    },
}


def plan(name: str) -> t.Any:
    models = {
        model: {"config": config, "weights": {"bytes": size}, "problems": [], "notes": [], "revision": "0" * 40}
        for model, (config, size) in MODELS.items()
    }
    memory = {"total": 81559, "reserved": 500, "free": 81000}
    facts = fleet.host_facts(1)
    facts["gpus"][0] |= {"memory_mib": memory, "compute_capability": "9.0", "processes": []}
    found = fleet.outcome(instances=[EXAMPLES[name]], models=models, files=FILES, facts=facts)
    assert found.errors == ()
    planned: t.Any = found.plans[0]
    assert planned["memory"]["verdict"] == "fits"
    return planned


def smoke(name: str) -> t.Any:
    return plan(name)["settings"]["smoke"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_is_planned(name: str) -> None:
    assert plan(name)["change"] == "create"


def test_each_kind_is_proved_by_what_it_is_for() -> None:
    assert smoke("embedding") == {"dimension": 1024}
    assert smoke("reranker")["rank"]["documents"][0] == "It runs for ten hours."
    assert smoke("classifier")["pattern"] == "gratitude"
    assert smoke("vision") == {"image": True}
    assert smoke("speech") == {"transcription": True}
    for name in ("reward", "adapter", "template", "drafter", "own-image"):
        assert smoke(name) == {}
    for name in ("embedding", "reranker", "classifier", "reward"):
        said = " ".join(plan(name)["warnings"])
        assert "does not generate" in said or EXAMPLES[name].get("engine_args", {}).get("runner") == "pooling"


def test_files_are_mounted_and_the_image_is_its_own() -> None:
    for name, path in (
        ("adapter", "/srv/adapters/sql"),
        ("template", "assistant.jinja"),
        ("drafter", "/srv/models/draft"),
    ):
        assert [path in one["path"] for one in plan(name)["files"]] == [True]
    release = plan("own-image")["release"]
    assert (release["image"], release["version"]) == ("docker.io/vllm/vllm-openai:v0.33.0", "0.33.0")


def test_what_each_brings_counts() -> None:
    """Against the same model with nothing beside it: slots of adapters, and a drafter's weights."""
    plain = plan("template")["memory"]["gpus"][0]["weights_gib"]["expected"]
    for name, more in (("adapter", 0.1), ("drafter", 0.7)):
        assert plan(name)["memory"]["gpus"][0]["weights_gib"]["expected"] > plain + more
    kept = plan("speech")["memory"]["kv"]
    # Four layers keep 448 tokens of the answer and 1500 of the sound, key and value of 1280 elements each.
    assert kept["gib_per_request"] == pytest.approx(4 * (448 + 1500) * 2 * 1280 * 2 / 2**30, rel=0.05)
    assert plan("embedding")["memory"]["kv"]["gib"]["expected"] == 0
