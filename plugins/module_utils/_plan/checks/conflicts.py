# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engine arguments that need each other.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._engine.pooled import ARGUMENTS
from ..._findings.checks import Doubt
from ..._vllm import together
from ..._vllm.gates import ADAPTERS_AND_DRAFTS, AUTO_LENGTH, DRAFTS_OR_PROCESSORS, NEWEST_KNOWN
from ..._vllm.methods import STATE_BACKENDS
from ..._vllm.schema import Schema, version_key

Values = t.Mapping[str, t.Any]


def _auto_tool_choice(values: Values, schema: Schema) -> str:
    if values.get("enable_auto_tool_choice") and not values.get("tool_call_parser"):
        return "enable_auto_tool_choice needs tool_call_parser: name the parser of the model's tool calls."
    return ""


def _batch_holds_sequences(values: Values, schema: Schema) -> str:
    tokens, sequences = values.get("max_num_batched_tokens"), values.get("max_num_seqs")
    if isinstance(tokens, int) and isinstance(sequences, int) and tokens < sequences:
        return (
            f"max_num_batched_tokens ({tokens}) is below max_num_seqs ({sequences}), and every running request takes "
            "at least "
            "one token of a batch: raise the first or lower the second."
        )
    return ""


def _whole_prompts(values: Values, schema: Schema) -> str:
    tokens, length = values.get("max_num_batched_tokens"), values.get("max_model_len")
    if values.get("enable_chunked_prefill") is not False or not isinstance(tokens, int) or not isinstance(length, int):
        return ""
    if tokens < length:
        return (
            f"max_num_batched_tokens ({tokens}) is below max_model_len ({length}) while enable_chunked_prefill is "
            "false, so a "
            "full prompt fits into no batch: raise it or leave chunked prefill on."
        )
    return ""


def _automatic_length(values: Values, schema: Schema) -> str:
    if values.get("max_model_len") == "auto" and not AUTO_LENGTH.open_at(version_key(schema.version)):
        return f"max_model_len 'auto' comes with vLLM {AUTO_LENGTH.release}: write a number."
    return ""


def _graph_sizes(values: Values, schema: Schema) -> str:
    """_set_cudagraph_sizes in config/vllm.py: the largest that is stated twice has to be the same."""
    largest, sizes = values.get("max_cudagraph_capture_size"), values.get("cudagraph_capture_sizes")
    if values.get("enforce_eager") is True or not isinstance(sizes, list) or not isinstance(largest, int):
        return ""
    if not sizes or max(sizes) == largest:
        return ""
    return (
        f"max_cudagraph_capture_size ({largest}) is not the largest of cudagraph_capture_sizes ({max(sizes)}): keep "
        "one of them."
    )


def _adapters_and_drafts(values: Values, schema: Schema) -> str:
    """create_engine_config in engine/arg_utils.py: a batch has to hold what every request may guess."""
    tokens, sequences = values.get("max_num_batched_tokens"), values.get("max_num_seqs")
    section = values.get("speculative_config")
    guesses = section.get("num_speculative_tokens") if isinstance(section, dict) else None
    known = ADAPTERS_AND_DRAFTS.open_at(version_key(schema.version)) and version_key(schema.version) <= NEWEST_KNOWN
    if not known or values.get("enable_lora") is not True:
        return ""
    if not (isinstance(tokens, int) and isinstance(sequences, int) and isinstance(guesses, int)):
        return ""
    if tokens >= sequences * (guesses + 1):
        return ""
    return (
        f"max_num_batched_tokens ({tokens}) is below max_num_seqs x (num_speculative_tokens + 1), which is "
        f"{sequences * (guesses + 1)}, and with enable_lora vLLM wants room for every guess: raise it, or lower "
        "max_num_seqs."
    )


def _drafts_and_processors(values: Values, schema: Schema) -> str:
    known = DRAFTS_OR_PROCESSORS.open_at(version_key(schema.version)) and version_key(schema.version) <= NEWEST_KNOWN
    if known and values.get("logits_processors") and values.get("speculative_config"):
        return "logits_processors and speculative_config exclude each other: leave one of them out."
    return ""


def _states_backend(values: Values, schema: Schema) -> str:
    """`cpu` is taken by some of them; of which nobody has read."""
    stated = values.get("mamba_backend")
    taken = (*STATE_BACKENDS, "cpu")
    if isinstance(stated, str) and stated.lower() not in taken and version_key(schema.version) <= NEWEST_KNOWN:
        return f"mamba_backend is '{stated}', and vLLM has {' and '.join(STATE_BACKENDS)}: use one, or leave it out."
    return ""


GENERATES: dict[str, tuple[str, ...]] = {
    "runner": ("auto", "generate"),
    "task": ("auto", "generate"),
    "convert": ("auto", "none"),
}


def _answers(values: Values, schema: Schema) -> str:
    for name, fine in GENERATES.items():
        allowed = (*fine, *ARGUMENTS[name])
        if name in schema.arguments and values.get(name, fine[0]) not in allowed:
            return (
                f"{name} is '{values[name]}', and a release proves itself by a generation or by what it pools, which "
                f"such a server does not give: leave {name} out or write {' or '.join(fine)}."
            )
    return ""


TOGETHER: tuple[t.Callable[[Values, Schema], str], ...] = (
    _auto_tool_choice,
    _batch_holds_sequences,
    _whole_prompts,
    _automatic_length,
    _graph_sizes,
    _drafts_and_processors,
    _adapters_and_drafts,
    _states_backend,
    _answers,
)
# What is no prediction: such a server could never give its proof.
NEVER = (_answers,)


def contradictions(
    values: Values, schema: Schema, variables: t.Mapping[str, str] | None = None, on_cpu: bool = False
) -> list[Doubt]:
    """One doubt for each pair of arguments that vLLM would refuse together, with VARIABLES of the environment."""
    found = [(rule, rule(values, schema)) for rule in TOGETHER]
    of_rules = [Doubt(None if rule in NEVER else "value", text) for rule, text in found if text]
    of_rows = dict.fromkeys(together.problems(values, version_key(schema.version), variables, on_cpu))
    return [*of_rules, *(Doubt("value", text) for text in of_rows)]
