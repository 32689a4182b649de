# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tokenizer beside the model: refused where it is another model's, as far as numbers of tokens tell."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.test_files import folder

Json = dict[str, t.Any]
MODEL, PATH = "/srv/models/tiny", "/srv/t"
# Numbers of tokens are those of Qwen3 and of others that people have tried with it.
QWEN: Json = {
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "num_hidden_layers": 2, "hidden_size": 256,
    "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 151936, "eos_token_id": 151645,
    "max_position_embeddings": 4096,
}  # fmt: skip
ITS_OWN = (151643, 151669)


def outcome(tokens: t.Any, config: Json | None = None, **changes: t.Any) -> t.Any:
    knows = dict(zip(("tokens", "with_added", "damaged"), (*tokens, ""), strict=False)) if tokens else None
    given = fleet.instance(model=MODEL, engine_args={"tokenizer": PATH, **changes.pop("args", {})}, **changes)
    models = {MODEL: {"config": config or QWEN, "problems": [], "notes": [], "weights": {"bytes": 2**20}}}
    found = {PATH: {**folder("tokenizer.json"), "tokenizer": knows}}
    return fleet.outcome(instances=[given], models=models, files=found)


@pytest.mark.parametrize(
    ("tokens", "config", "words"),
    [
        ((262144, 262145), {}, "which cuts texts into 262144 tokens, and the model knows 151936 (vocab_size)"),
        (
            (128000, 128256),
            {},
            "which has 128256 tokens, and the model ends its answers with number 151645 (eos_token_id)",
        ),
        ((128000, 128256), {"eos_token_id": [151645, 151643]}, "ends its answers with number 151643"),
        ((32000, 32000), {"eos_token_id": 2}, "which has 32000 tokens, and the model knows 151936 (vocab_size)"),
        ((262144, 262145), {"vocab_size": None, "text_config": {**QWEN}}, "which cuts texts into 262144 tokens"),
    ],
)
def test_one_of_another_model_is_refused(tokens: tuple[int, int], config: Json, words: str) -> None:
    (error,) = outcome(tokens, {**QWEN, **config}).errors
    assert error.startswith(f"instance assistant: tokenizer is {PATH}, which ")
    for text in (words, "it is another model's", "leave tokenizer out"):
        assert text in error


def test_whoever_knows_better_has_it_tried() -> None:
    found = outcome((262144, 262145), value_check="warn")
    assert found.errors == () and found.plans[0]["overruled"]


@pytest.mark.parametrize(
    ("tokens", "config"),
    [
        (ITS_OWN, {}),
        (ITS_OWN, {"eos_token_id": None}),
        (ITS_OWN, {"vocab_size": None}),
        (ITS_OWN, {"vocab_size": "many", "eos_token_id": ["x", True]}),
        (None, {}),
        ((None, None), {}),
        ((0, 0), {}),
        (("x", True), {}),
    ],
)
def test_one_that_belongs_and_one_that_tells_nothing(tokens: t.Any, config: Json) -> None:
    found = outcome(tokens, {**QWEN, **config})
    assert found.errors == ()
    assert not [text for text in found.plans[0]["warnings"] if "tokenizer is" in text]


@pytest.mark.parametrize(
    ("tokens", "config", "words"),
    [
        ((32000, 32001), {"vocab_size": 32000, "eos_token_id": 2}, "to which tokens were added up to 32001"),
        (
            (128000, 128256),
            {"eos_token_id": 2},
            "which has 128256 tokens, and the model knows 151936: is it this model's?",
        ),
    ],
)
def test_what_may_be_right_is_warned_of(tokens: tuple[int, int], config: Json, words: str) -> None:
    found = outcome(tokens, {**QWEN, **config})
    assert found.errors == ()
    assert [text for text in found.plans[0]["warnings"] if f"tokenizer is {PATH}, {words}" in text]


def test_with_another_vocabulary_by_hf_overrides_nothing_is_known() -> None:
    assert outcome((262144, 262145), args={"hf_overrides": {"vocab_size": 262208}}).errors == ()


def test_a_damaged_one() -> None:
    (error,) = outcome((None, None, "is no valid JSON (x)")).errors
    assert "whose tokenizer.json is no valid JSON (x): bring it again." in error
