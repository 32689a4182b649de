# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""speculative_config against the release and the model: its method, and what a drafter is trained for.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from ..._settings.names import listed, meant
from ..._vllm import drafters
from ..._vllm.drafters import FIRST_READ, coming, methods, targets
from ..._vllm.schema import version_key, version_text
from ..memory.catalogue import Model
from ..model import quantized
from ..model.architecture import from_config
from .starting import Start

Values = t.Mapping[str, t.Any]
# The part of config.json that files by speculators have: they are a drafter and name the model that it is for.
OF_SPECULATORS = "speculators_config"
# What vLLM tells a drafter of another kind by, in its name, its model_type or its architecture.
OTHER_KINDS = re.compile(r"eagle|dflash|dspark|medusa|mlp_speculator|mtp|assistant|speculator", re.IGNORECASE)


def asked(values: Values, model: Model) -> Values:
    """The arguments without speculative_config where the files bring a method and a drafter, whatever it says.

    maybe_override_with_speculators, read from 0.11.0 on: up to 0.28.0 vLLM keeps nothing of it, then all but
    `method` and `model`.
    """
    if OF_SPECULATORS not in (model.config or {}):
        return values
    return {name: value for name, value in values.items() if name != "speculative_config"}


def problem(values: Values, model: Model, version: str) -> str:
    """Why the release refuses it; '' where it does not."""
    stated = values.get("speculative_config")
    at = version_key(version)
    method = stated.get("method") if isinstance(stated, dict) else None
    if not isinstance(method, str) or at < FIRST_READ:
        return ""
    known = methods(at)
    if method not in known:
        later = coming(method, at)
        if later:
            return (
                f"speculative_config.method {method} comes with vLLM {version_text(later)} and is not supported in "
                f"{version}: use a newer image."
            )
        guess = meant(method, known) or f" It has {listed(sorted(known))}."
        return f"speculative_config.method is '{method}', which vLLM {version} does not know.{guess}"
    fitting = targets(method, at)
    kind = str(quantized.text_config(model.config or {}).get("model_type") or "")
    if fitting is not None and kind and not any(name in kind for name in fitting):
        return (
            f"speculative_config.method {method} is not supported for {model.name} ({kind}) in vLLM {version}, only "
            f"for {listed(fitting)}."
        )
    return _own_layers(values, stated or {}, model, version) if method.endswith("mtp") else ""


def _own_layers(values: Values, stated: Values, model: Model, version: str) -> str:
    """MTP by the model's own layers: SpeculativeConfig, hf_config_override and what follows it."""
    config = model.config or {}
    named = config.get("architectures")
    architecture = str(named[0]) if isinstance(named, list) and named else ""
    kind = str(config.get("model_type") or "")
    if stated.get("model") or not kind:
        return ""
    taken = drafters.guesses(kind, architecture, version_key(version))
    if taken is False:
        return (
            f"speculative_config.method {stated['method']} guesses with layers of the model itself, and {model.name} "
            f"({kind}) has none that vLLM {version} knows: leave speculative_config out, or name a drafter."
        )
    if isinstance(taken, tuple):
        return (
            f"speculative_config.method {stated['method']} for {model.name} ({kind}) comes with vLLM "
            f"{version_text(taken)} and is not supported in {version}: use a newer image."
        )
    stages = values.get("pipeline_parallel_size")
    if taken and _stages(stages) and not drafters.in_stages(kind, architecture, version_key(version)):
        return (
            f"pipeline_parallel_size is {stages}, and speculative_config.method {stated['method']} guesses with layers "
            f"of {model.name} ({kind}), which vLLM {version} does not split into stages: use tensor_parallel_size, "
            f"leave speculative_config out, or use vLLM {version_text(drafters.STAGED[1])} or newer."
        )
    layers = _layers(config)
    tokens = stated.get("num_speculative_tokens")
    if not taken or layers is None or not isinstance(tokens, int) or isinstance(tokens, bool):
        return ""
    if not layers:
        return (
            f"{model.name} has no layers that guess ahead (config.json), and speculative_config.method is "
            f"{stated['method']}: leave speculative_config out, or take files that have them."
        )
    if tokens > layers and tokens % layers:
        return (
            f"speculative_config.num_speculative_tokens is {tokens}, and {model.name} has {layers} layers that guess "
            "ahead: a larger number has to be a multiple of that."
        )
    return ""


def _stages(value: t.Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 1


def _layers(config: t.Mapping[str, t.Any]) -> int | None:
    """n_predict: how many layers guess; None where config.json does not say."""
    text = quantized.text_config(config)
    found = [text.get(key) for key in ("num_nextn_predict_layers", "mtp_num_hidden_layers")]
    whole = [one for one in found if isinstance(one, int) and not isinstance(one, bool)]
    return whole[0] if len(whole) == 1 else None


def generic(start: Start) -> str:
    """A model that guesses as it is: __post_init__ and verify_equal_vocab_size_if_draft_model of SpeculativeConfig."""
    stated = start.values.get("speculative_config")
    named = start.drafter or {}
    drafter, known = from_config(named), start.model.architecture
    if not isinstance(stated, dict) or stated.get("method") not in (None, "draft_model") or drafter is None:
        return ""
    name, (first, after) = str(stated.get("model")), drafters.GENERIC
    if stated.get("method") is None and (OTHER_KINDS.search(f"{name} {named.get('model_type')} {drafter.name}")):
        return ""
    if first <= start.at < after:
        return (
            f"speculative_config.model {name} guesses as a model of its own, which vLLM {start.version} does not have "
            f"yet: use ngram, an EAGLE drafter, or vLLM {version_text(after)} or newer."
        )
    sizes = (drafter.vocab_size, known.vocab_size if known is not None else None)
    if start.at < after or not start.known or not all(sizes) or sizes[0] == sizes[1]:
        return ""
    if stated.get("use_heterogeneous_vocab") is True or start.values.get("hf_overrides"):
        return ""
    return (
        f"speculative_config.model {name} knows {sizes[0]} tokens and {start.model.name} {sizes[1]} (vocab_size): as a "
        "drafter it needs the same, take one of the same family."
    )


def misspelt(values: Values, version: str) -> list[str]:
    """Keys that vLLM's class does not have and that are nearly one of it."""
    stated, at = values.get("speculative_config"), version_key(version)
    if not isinstance(stated, dict):
        return []
    found = {key: drafters.misspelt(str(key), at) for key in stated}
    return [
        f"speculative_config has no key {key} in vLLM {version}. Did you mean {near}?"
        for key, near in found.items()
        if near
    ]


def caution(values: Values, models: t.Mapping[str, t.Any]) -> str:
    """A drafter of which nobody has seen the files."""
    stated = values.get("speculative_config")
    drafter = stated.get("model") if isinstance(stated, dict) else None
    if not isinstance(drafter, str) or not drafter or (models.get(drafter) or {}).get("config"):
        return ""
    return (
        f"The draft model {drafter} (speculative_config) is not known here: neither whether it goes with the model and "
        "with this release, nor what it takes of the GPU."
    )
