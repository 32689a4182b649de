# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and folders that an instance's arguments name, against what each argument needs.

Source: `vllm/lora/peft_helper.py` (rank, DoRA, modules_to_save), `vllm/entrypoints/openai/models/` (an
adapter without enable_lora), `vllm/tokenizers/` and `vllm/transformers_utils/` (files of tokenizers and drafters).

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from ..._findings.findings import Findings
from ..._outside.documents import Json
from ..._vllm import path_arguments
from ..._vllm.images import OF_IMAGE
from ..arguments.mounts import Mount, Mounts
from ..model.architecture import from_config
from . import tokenizers

Values = t.Mapping[str, t.Any]
MISSING = "is not there on the host"
TOKENIZERS = (
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "tekken.json", "vocab.json", "vocab.txt",
)  # fmt: skip
WEIGHTS, PICKLES = ("adapter_model.safetensors",), ("adapter_model.bin", "adapter_model.pt")
# vLLM's own default of max_lora_rank.
RANK = 16
# Docker takes a colon in a volume for its end.
UNUSABLE = re.compile(r"[:\x00-\x1f\x7f]")


def check(
    values: Values,
    variables: Values,
    mounts: Mounts,
    facts: t.Mapping[str, Json],
    found: Findings,
    config: t.Mapping[str, t.Any] | None = None,
) -> None:
    """FACTS: what was found at each path. CONFIG: the model's. What is neither on the host nor in the image is
    inside.missing's."""
    for one in path_arguments.stated(values, variables):
        fact, what = facts.get(one.path), f"{one.place} is {one.path}"
        brought = one.path.startswith(path_arguments.BROUGHT)
        if brought and fact is None:
            found.error(f"{what}, and nobody has looked for it: pass what gpufleet.vllm.vllm_files returned.")
        elif brought and one.kind in path_arguments.FOLDERS:
            found.error(f"{what}, and this argument needs a folder: put it on the host and write its path there.")
        elif fact is None or (fact.get("problem") == MISSING and not brought and one not in mounts.later):
            continue
        elif one in mounts.wanted and fact.get("problem"):
            found.error(f"{what}, which {fact['problem']}.")
        elif f"{one.path}/".startswith(OF_IMAGE) and not fact.get("problem") and one not in mounts.later:
            found.warn(
                f"{what}, which is taken as a file of the image's. The host has one of that name too: to have that one "
                "served with, put it into another folder, such as /srv."
            )
    for mount in mounts.mounts:
        _kind(mount, facts[mount.path], found)
        if mount.place == "tokenizer":
            tokenizers.check(mount, facts[mount.path].get("tokenizer") or {}, values, config, found)
        if mount.kind == "adapter":
            _adapter(mount, facts[mount.path], values, found)
            _made_for(mount, facts[mount.path].get("adapter") or {}, config, found)


def _kind(mount: Mount, fact: Json, found: Findings) -> None:
    """Whether it is what the argument needs."""
    what, names = f"{mount.place} is {mount.path}", set(fact.get("names") or [])
    if mount.is_folder and UNUSABLE.search(mount.path):
        found.error(f"{what!r}, and a folder with a colon or a control character cannot be mounted: rename it.")
    if mount.kind in path_arguments.FOLDERS and not mount.is_folder:
        if not mount.source:  # of those that are brought it is said already
            found.error(f"{what}, which is a file: name the folder that holds it.")
        return
    if mount.kind not in path_arguments.FOLDERS and mount.is_folder:
        found.error(f"{what}, which is a folder: name the file in it.")
        return
    unreadable = (fact.get("unreadable") or {}).get(mount.kind)
    if unreadable:
        found.error(f"{what}, which {unreadable}.")
    if mount.kind == "python" and not mount.inside.endswith(".py"):
        found.error(f"{what}, and vLLM imports it as Python: give it a name that ends in .py.")
    if mount.kind == "tokenizer" and not names & set(TOKENIZERS):
        found.error(f"{what}, which has no file of a tokenizer ({', '.join(TOKENIZERS)}): name the folder that has.")
    if mount.kind in ("config", "model") and "config.json" not in names:
        found.error(f"{what}, which has no config.json: name the folder that holds it.")
    if mount.kind == "model":
        found.errors += [f"{what}: {text}" for text in (fact.get("model") or {}).get("problems") or []]


def _adapter(mount: Mount, fact: Json, values: Values, found: Findings) -> None:
    what, names = f"{mount.place} is {mount.path}", set(fact.get("names") or [])
    adapter = fact.get("adapter")
    if mount.is_folder and adapter is None:
        found.error(f"{what}, which has no adapter_config.json: name the folder that the adapter was saved to.")
    if adapter is None:
        return
    if not names & {*WEIGHTS, *PICKLES}:
        found.error(f"{what}, which has no adapter_model.safetensors: bring the adapter whole.")
    elif not names & set(WEIGHTS):
        found.warn(f"{what}, whose weights are a pickle, which can carry code: prefer adapter_model.safetensors.")
    if values.get("enable_lora") is not True:
        found.doubt("value", f"{what}, and enable_lora is not true: set it, without it vLLM loads no adapter.")
    rank, most = adapter.get("r"), values.get("max_lora_rank") or RANK
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        found.error(f"{what}, whose adapter_config.json states no rank (r is {rank!r}): it is no LoRA adapter.")
    elif isinstance(most, int) and rank > most:
        found.doubt("value", f"{what}, of rank {rank}, and max_lora_rank is {most}: set it to {rank} or more.")
    if adapter.get("use_dora"):
        found.doubt("value", f"{what}, which is a DoRA adapter: vLLM serves LoRA alone, train one without use_dora.")
    if adapter.get("modules_to_save"):
        found.doubt(
            "value", f"{what}, which brings whole modules (modules_to_save), and vLLM takes none: train one without."
        )


def _made_for(mount: Mount, adapter: Json, config: t.Mapping[str, t.Any] | None, found: Findings) -> None:
    """Its weights against the model's layers, which vLLM does not compare."""
    what = f"{mount.place} is {mount.path}"
    if adapter.get("damaged"):
        found.error(f"{what}, whose {WEIGHTS[0]} {adapter['damaged']}.")
    model = from_config(config)
    if model is None:
        return
    width, layers = adapter.get("width"), adapter.get("layers")
    if isinstance(width, int) and model.hidden_size and width != model.hidden_size:
        found.doubt(
            "value",
            f"{what}, whose weights are for layers with a width of {width}, and the model's have {model.hidden_size}: "
            "vLLM serves such an adapter where it is narrower, and it answers nonsense. Name one of this model.",
        )
    if isinstance(layers, int) and layers > model.layers.count:
        found.doubt(
            "value",
            f"{what}, whose weights are for {layers} layers or more, and the model has {model.layers.count}: name an "
            "adapter of this model.",
        )


def base_caution(mount: Mount, fact: Json, model: str) -> str:
    """That an adapter was trained for another model, as far as names tell; a quantized build has a longer one."""
    base = str((fact.get("adapter") or {}).get("base_model_name_or_path") or "").rstrip("/")
    mine, its = (name.rstrip("/").rpartition("/")[2].lower() for name in (model, base))
    if mount.kind != "adapter" or not its or mine.startswith(its) or its.startswith(mine):
        return ""
    return f"{mount.place} was trained for {base}, and the model is {model}: vLLM refuses one whose layers differ."
