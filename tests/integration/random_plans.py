# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random engine arguments that a release takes, as the planner checks and renders them."""

from __future__ import annotations

import random
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._findings.findings import Findings
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.arguments import layers, render
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.arguments.layers import Layer
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.arguments.translate import PARSER_LISTS
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.schema import Argument, Schema
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.spellings import OURS
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.values import MAXIMUM, MINIMUM, SHARES

Json = dict[str, t.Any]
# The parser keeps LoRA modules as objects and loads the plugins that are named.
LEFT_OUT = {*OURS, "lora_modules", "reasoning_parser_plugin", "tool_parser_plugin", "grpc", "kv_cache_memory"}
NAMES = {**PARSER_LISTS, "quantization": "quantization_methods"}
TEXTS = (
    "plain",
    "two words",
    "a=b",
    "-dash",
    "--double",
    "ümläut",
    "/srv/models/x",
    "with.dots",
    "quote'd",
    '{"',
    "%s",
)
# Those whose keys the parser itself checks.
KEYED: dict[str, Json] = {
    "attention_config": {"flash_attn_max_num_splits_for_cuda_graph": 16},
    "aux_output_config": {},
    "compilation_config": {"cudagraph_capture_sizes": [1, 2, 4]},
    "ec_manager_config": {},
    "ec_transfer_config": {},
    "engram_config": {},
    "eplb_config": {"window_size": 500},
    "fault_tolerance_config": {},
    "ir_op_priority": {},
    "kernel_config": {},
    "kv_events_config": {"enable_kv_cache_events": False},
    "kv_transfer_config": {"kv_connector": "ExampleConnector", "kv_role": "kv_both"},
    "logging_config": {},
    "pooler_config": {},
    "profiler_config": {},
    "quantization_config": {},
    "reasoning_config": {},
    "structured_outputs_config": {"backend": "xgrammar"},
    "weight_transfer_config": {},
}
# A CPU build has no other.
NARROWER = {"mm_processor_device": ("auto", "cpu")}
DOCUMENTS: tuple[Json, ...] = (
    {},
    {"key": 1},
    {"nested": {"list": [1, 2.5, "x"], "none": None}, "text": "two words"},
    {"quote": 'a "b"', "yes": True},
)


def one_value(argument: Argument, schema: Schema, chance: random.Random) -> t.Any:
    """As somebody may write it in an inventory."""
    if argument.name in NAMES:
        return chance.choice(sorted(getattr(schema, NAMES[argument.name])))
    if argument.type in ("switch", "flag"):
        return argument.type == "flag" or chance.random() < 0.5
    if argument.name in KEYED:
        return KEYED[argument.name]
    if argument.choices:
        return chance.choice(NARROWER.get(argument.name, argument.choices))
    low, high = MINIMUM.get(argument.name, 0), MAXIMUM.get(argument.name, 100_000)
    if argument.type == "int":
        return chance.randint(int(max(low, 0)), int(high))
    if argument.type == "float":
        return round(chance.uniform(0.01, 1.0), 3) if argument.name in SHARES else round(chance.uniform(0, 50), 3)
    if argument.type == "size":
        return chance.choice([chance.randint(1, 99_999), "32k", "32K", "1.5k", "2M"])
    if argument.type in ("json", "str_or_json"):
        return chance.choice(DOCUMENTS)
    return chance.choice(TEXTS)


def value(argument: Argument, schema: Schema, chance: random.Random) -> t.Any:
    if not argument.many:
        return one_value(argument, schema, chance)
    # A word that begins with a dash cannot stand among several values.
    items = [one_value(argument, schema, chance) for _item in range(chance.randint(1, 3))]
    return [item for item in items if not str(item).startswith("-")] or ["x" if argument.type == "str" else 1]


def plan(schema: Schema, chance: random.Random) -> Json:
    """`words` follow the image's entry point, `planned` is what they must mean."""
    names = [name for name in sorted(schema.arguments) if name not in LEFT_OUT]
    given = {
        name: value(schema.arguments[name], schema, chance) for name in chance.sample(names, chance.randint(1, 12))
    }
    findings = Findings()
    checked = layers.check(layers.resolve([Layer("instance", given)], schema), schema, findings)
    if findings.errors:
        raise ValueError("; ".join(findings.errors))
    words = render.command(schema, "/srv/models/x", None, ["served"], checked)
    return {"words": words, "planned": {argument.name: argument.value for argument in checked if argument.set}}
