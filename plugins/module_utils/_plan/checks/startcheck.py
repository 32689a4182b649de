# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release of vLLM refuses at start for this model, these GPUs and this container, beside memory.

Source: vLLM's own checks; each rule, or its gate in _vllm/gates.py, names where.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from ..._findings.checks import Doubt
from ..._settings.names import listed
from ..._vllm.capabilities import SPARSE, SPARSE_KERNELS
from ..._vllm.gates import OFFLOAD_OF_ONE_KIND, TURBOQUANT_WITH_STATES
from ..._vllm.images import parse_capability
from ..._vllm.schema import of_release, version_key
from ..model import figures, quantized
from . import attention, connectors, drafting, fp8_blocks, interfaces, methods, schemes
from .image import states_release
from .starting import Start

__all__ = ["Start", "cautions", "problems"]
# get_pp_indices in distributed/utils.py.
PARTITION = "VLLM_PP_LAYER_PARTITION"
PORT = "VLLM_PORT"


def problems(start: Start) -> list[Doubt]:
    """One doubt for each rule that would stop it."""
    found = [
        Doubt("capability", _sparse(start)),
        Doubt("capability", _architecture(start)),
        Doubt("capability", schemes.problem(start)),
        Doubt("capability", fp8_blocks.problem(start)),
        Doubt("capability", attention.problem(start)),
        Doubt("capability", attention.drafter_problem(start)),
        Doubt("quantization", quantized.unread(start.model.config, start.version)),
        Doubt("value", _offload(start)),
        Doubt("value", _partition(start)),
        Doubt("value", _port(start)),
        Doubt("value", _one_kind(start)),
        Doubt("value", schemes.experts_backend(start)),
        Doubt("value", connectors.problem(start)),
        Doubt("value", drafting.generic(start)),
        Doubt("value", _context_parallel(start)),
        *(Doubt("value", text) for text in interfaces.problems(start)),
        *methods.problems(start),
    ]
    if states_release(start.image):
        found.append(Doubt("value", _turboquant(start)))
    return [doubt for doubt in found if doubt.text]


def cautions(start: Start) -> list[str]:
    """What may stop it, where the image's release is not sure."""
    found = [] if states_release(start.image) else [_turboquant(start)]
    doubted = [f"{text} The image may be newer than its version says." for text in found if text]
    return [*doubted, *filter(None, [connectors.caution(start)])]


def _architecture(start: Start) -> str:
    """model_executor/models/registry.py. A model with code of its own, or run by Transformers, needs no class there."""
    config = start.model.config or {}
    named = config.get("architectures")
    names = [str(one) for one in named] if isinstance(named, list) else []
    own_code = bool(config.get("auto_map")) and start.values.get("trust_remote_code") is True
    known = [name for name in names if name in start.architectures]
    if not known or own_code or start.values.get("model_impl") in ("transformers", "terratorch"):
        return ""
    if any(sum(version_key(mark) <= start.at for mark in start.architectures[name]) % 2 for name in known):
        return ""
    name = known[0]
    past = [mark for mark in start.architectures[name] if version_key(mark) <= start.at]
    if past:
        return (
            f"{start.model.name} is of the architecture {name}, which is gone since vLLM {past[-1]} and not supported "
            f"in {start.version}: use an older image, or another model."
        )
    return (
        f"{start.model.name} is of the architecture {name}, which comes with vLLM {start.architectures[name][0]} "
        f"and is not supported in {start.version}: use a newer image."
    )


def _sparse(start: Start) -> str:
    text = quantized.text_config(start.model.config or {})
    kind = str((start.model.config or {}).get("model_type") or "")
    if not kind.startswith("deepseek_v4") and not (text.get("index_topk") and text.get("kv_lora_rank")):
        return ""
    majors = of_release(SPARSE, start.at) or ()
    # Whoever names a backend is not given vLLM's own choice.
    named = bool(start.values.get("attention_backend") or start.variables.get("VLLM_ATTENTION_BACKEND"))
    for capability in start.capabilities:
        known = parse_capability(capability)
        if known is not None and known[0] not in majors and not (named and known[0] in SPARSE_KERNELS):
            return (
                f"{start.model.name} has sparse latent attention, which needs compute capability "
                f"{' or '.join(f'{major}.x' for major in majors)} in vLLM {start.version}; this GPU has {capability}."
            )
    return ""


def _context_parallel(start: Start) -> str:
    """verify_with_parallel_config in config/model.py: ranks that hold the same KV heads share out a context."""
    shared = figures.integer(start.values, "decode_context_parallel_size") or 1
    ranks, known = figures.integer(start.values, "tensor_parallel_size") or 1, start.model.architecture
    if shared < 2 or known is None or known.mla or not known.kv_heads or not start.known:
        return ""
    if ranks > known.kv_heads and shared <= ranks // known.kv_heads:
        return ""
    return (
        f"decode_context_parallel_size is {shared}, and it goes over ranks that hold the same KV heads, of which "
        f"{start.model.name} has {known.kv_heads} for tensor_parallel_size {ranks}: leave it out."
    )


def _offload(start: Start) -> str:
    size = start.values.get("cpu_offload_gb")
    if isinstance(size, bool) or not isinstance(size, (int, float)) or not size:
        return ""
    if not OFFLOAD_OF_ONE_KIND.open_at(start.at):
        return ""
    kinds = start.kinds()
    one_group = start.values.get("disable_hybrid_kv_cache_manager") is True and "linear" not in kinds
    if len(kinds) < 2 or one_group:
        return ""
    return (
        f"cpu_offload_gb does not work with {start.model.name} in vLLM {start.version}: its layers are of several "
        f"kinds ({listed(sorted(kinds))}), for which the input batch cannot be re-initialized while weights are "
        f"offloaded. Leave it out, or use vLLM {OFFLOAD_OF_ONE_KIND.first_without} or newer."
    )


def _turboquant(start: Start) -> str:
    asked = str(start.values.get("kv_cache_dtype") or "")
    if not asked.startswith("turboquant") or TURBOQUANT_WITH_STATES.open_at(start.at) or "linear" not in start.kinds():
        return ""
    return (
        f"kv_cache_dtype {asked} is not supported in vLLM {start.version} for models with linear attention or Mamba "
        f"layers beside their attention, as {start.model.name} is: use fp8, or vLLM "
        f"{TURBOQUANT_WITH_STATES.release} or newer."
    )


def _partition(start: Start) -> str:
    stated = start.variables.get(PARTITION)
    if not stated:
        return ""
    stages = start.values.get("pipeline_parallel_size") or 1
    try:
        layers = [int(part) for part in stated.split(",")]
    except ValueError:
        return f"env.{PARTITION} is '{stated}': write the layers of each stage, as in 20,20,24."
    if len(layers) != stages:
        return f"env.{PARTITION} has {len(layers)} stages and pipeline_parallel_size is {stages}: make them agree."
    known = start.model.architecture
    if known is not None and sum(layers) != known.layers.count:
        return (
            f"env.{PARTITION} has {sum(layers)} layers in all and {start.model.name} has {known.layers.count}: make "
            "them agree."
        )
    return ""


def _port(start: Start) -> str:
    """get_vllm_port in envs.py."""
    stated = start.variables.get(PORT)
    if stated is None or (stated.isascii() and stated.isdecimal()):
        return ""
    return (
        f"env.{PORT} is '{stated}': it is the first of the ports that the engine uses inside, a number. Leave it out; "
        "the server's own port is the instance's."
    )


def _one_kind(start: Start) -> str:
    """unify_hybrid_kv_cache_specs in v1/core/kv_cache_utils.py: windows become whole, states do not."""
    kinds = start.kinds()
    if start.values.get("disable_hybrid_kv_cache_manager") is not True or "linear" not in kinds or len(kinds) < 2:
        return ""
    return (
        f"disable_hybrid_kv_cache_manager does not go with {start.model.name}: beside attention it has layers that "
        "keep states, and only the hybrid manager keeps both. Leave it out."
    )
