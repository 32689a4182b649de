# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the attention backends that one can ask for do not do, by release; a start that asks for it all the same ends.

Rows are (first release that it holds for, what holds), newest first. Source: the backends' classes in
v1/attention/backends (`supported_kv_cache_dtypes`, `supports_head_size`, `supports_compute_capability`,
`supports_combination`, `supports_sink`, `supports_mm_prefix`, `is_mla`), and `validate_configuration` that asks them
all; read from 0.13.0 on, which has the argument. Left to vLLM itself, it takes the first of CHOSEN that does.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..._settings.names import listed
from ..gates import NEWEST_KNOWN
from ..schema import Version, of_release, version_text

Capability = tuple[int, int]
FIRST_READ: Version = (0, 13, 0)
ALWAYS: Version = (0, 0, 0)


@dataclasses.dataclass(frozen=True)
class Backend:
    """LATENT: whether it is made for latent attention. LOWEST, MAJORS: of the GPU; MAJORS empty where any does.

    FP8: majors on which it reads an FP8 cache, none where on no GPU, and None where on all; E5M2 the first release in
    which it reads no fp8_e5m2 whatever the GPU, None where none is known. HEADS: sizes that it has, LARGEST the largest
    where it has all below. SINKS: majors on which it takes attention sinks, None where on all. PREFIX: majors on which
    it attends to an image as a whole, None where on all. FP8_FROM: what its kernels for an FP8 cache need, whatever it
    says when it is asked. PACKED: beginnings of the types of cache that it has beside plain ones and FP8.
    """

    latent: bool
    lowest: tuple[tuple[Version, Capability], ...] = ()
    majors: tuple[int, ...] = ()
    fp8: tuple[tuple[Version, tuple[int, ...] | None], ...] = ((ALWAYS, None),)
    e5m2: Version | None = None
    heads: tuple[tuple[Version, tuple[int, ...]], ...] = ()
    largest: tuple[tuple[Version, int], ...] = ()
    sinks: tuple[tuple[Version, tuple[int, ...] | None], ...] = ((ALWAYS, None),)
    prefix: tuple[tuple[Version, tuple[int, ...] | None], ...] = ((ALWAYS, None),)
    fp8_from: Capability | None = None
    packed: tuple[str, ...] = ()

    def unread(self, at: Version) -> bool:
        """Whether it reads no fp8_e5m2 in a release, whatever the GPU."""
        return self.e5m2 is not None and at >= self.e5m2


BACKENDS: dict[str, Backend] = {
    "FLASH_ATTN": Backend(
        latent=False,
        lowest=((ALWAYS, (8, 0)),),
        fp8=(((0, 27, 0), (9, 10)), (ALWAYS, (9,))),
        # supports_kv_cache_dtype: all that begins with fp8 before, then fp8 and fp8_e4m3.
        e5m2=(0, 22, 0),
        # From 0.20.0 on larger ones go where FlashAttention 4 does.
        largest=(((0, 20, 0), 512), (ALWAYS, 256)),
        sinks=(((0, 20, 0), (9, 10)), (ALWAYS, (9,))),
        prefix=(((0, 24, 0), (9, 10, 11)), (ALWAYS, ())),
    ),
    "FLASHINFER": Backend(
        latent=False,
        lowest=(((0, 24, 0), (8, 0)), (ALWAYS, (7, 5))),
        heads=(((0, 22, 0), (64, 128, 256, 512)), (ALWAYS, (64, 128, 256))),
        sinks=(((0, 30, 0), (9, 10, 12)), ((0, 28, 0), (10, 12)), (ALWAYS, (10,))),
        prefix=((ALWAYS, ()),),
        packed=("nvfp4",),
    ),
    # Its kernels load fp8e4nv, which Triton has from 8.9 on; 0.24.0 says so before it compiles one.
    "TRITON_ATTN": Backend(latent=False, fp8_from=(8, 9), packed=("int4_per_token", "int8_per_token", "fp8_per_token")),
    "FLEX_ATTENTION": Backend(latent=False, fp8=((ALWAYS, ()),), sinks=((ALWAYS, ()),)),
    "TURBOQUANT": Backend(
        latent=False,
        fp8=((ALWAYS, ()),),
        sinks=((ALWAYS, ()),),
        prefix=((ALWAYS, ()),),
        packed=("turboquant_",),
    ),
    # None for latent attention reads fp8_e5m2, on NVIDIA GPUs.
    "TRITON_MLA": Backend(latent=True, fp8=(((0, 18, 0), None), (ALWAYS, ())), e5m2=ALWAYS, fp8_from=(8, 9)),
    # It says 10.x too, and is_flashmla_dense_supported, which is asked with it, does not.
    "FLASHMLA": Backend(latent=True, majors=(9,), e5m2=ALWAYS),
    "CUTLASS_MLA": Backend(latent=True, majors=(10,), e5m2=ALWAYS),
    "FLASHINFER_MLA": Backend(latent=True, majors=(10,), e5m2=ALWAYS),
    "FLASH_ATTN_MLA": Backend(latent=True, majors=(9,), fp8=((ALWAYS, ()),), e5m2=ALWAYS),
}
# Models that vLLM gives latent attention, by model_type: is_deepseek_mla in transformers_utils. Others with the same
# keys in config.json are run without.
LATENT = (
    "deepseek_v2", "deepseek_v3", "deepseek_v32", "glm4_moe_lite", "glm_moe_dsa", "kimi_k2", "kimi_linear",
    "longcat_flash",
)  # fmt: skip
# What vLLM chooses from where nobody names one, in this order but for a few GPUs: _get_backend_priorities of
# platforms/cuda.py. The first that says yes is taken, also where its kernels then do not compile.
CHOSEN = ("FLASH_ATTN", "FLASHINFER", "TRITON_ATTN", "FLEX_ATTENTION", "TURBOQUANT")
# Caches of a type of their own, by how their names begin.
PACKED = ("turboquant_", "nvfp4", "int4_per_token", "int8_per_token", "fp8_per_token")
# Models whose images are attended to as a whole: is_mm_prefix_lm. Gemma 4 says it in config.json.
PREFIXED: tuple[tuple[Version, tuple[str, ...]], ...] = (
    ((0, 21, 0), ("bagel", "gemma3", "molmo2", "moondream3", "paligemma", "umm")),
    ((0, 16, 0), ("gemma3", "molmo2", "paligemma")),
    ((0, 13, 0), ("gemma3", "paligemma")),
)
# From here on a model that no prompt may bring anything but text has none of it.
PREFIXED_BY_LIMITS: Version = (0, 27, 0)
FP8 = ("fp8", "fp8_e4m3", "fp8_e5m2")
# Gemma4Config in model_executor/models/config.py: heads of two sizes, one above this, go through one backend, which is
# Triton where FlashAttention 4 does not run.
LARGE_HEADS = 256
FA4 = (9, 10, 11)
# Names of older releases.
GONE = ("XFORMERS",)
# A drafter of dflash attends to later tokens (use_non_causal of v1/spec_decode/dflash.py). Releases in which these
# alone do (supports_non_causal); before nobody is asked, and then TRITON_ATTN does, which reads FP8 on every GPU.
NON_CAUSAL = ("FLASH_ATTN", "FLEX_ATTENTION")
NON_CAUSAL_ALONE: tuple[Version, Version] = ((0, 21, 0), (0, 24, 0))
# From here on the drafter's files may say that theirs is causal (dflash_config.causal).
CAUSAL_DRAFTERS: Version = (0, 23, 0)


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a model and its GPUs ask of a backend. LATENT: its layers keep latents. HEAD: sizes of its heads. PREFIX: it
    attends to images as a whole."""

    latent: bool
    head: tuple[int, ...]
    cache_dtype: str
    sinks: bool
    capabilities: tuple[Capability, ...]
    prefix: bool = False


def problem(name: str, at: Version, asked: Asked) -> str:
    """Why the release refuses the backend; '' where it does not, or nobody knows."""
    if not FIRST_READ <= at <= NEWEST_KNOWN:
        return ""
    release = version_text(at)
    if name in GONE:
        return f"attention_backend {name} is gone from vLLM {release}: leave it out, or take FLASH_ATTN or TRITON_ATTN."
    known = BACKENDS.get(name)
    if known is None:
        return ""
    why = next((text for text in _reasons(known, at, asked) if text), "")
    return (
        f"attention_backend {name} {why} in vLLM {release}: leave it out, vLLM then takes one that does." if why else ""
    )


def no_choice(at: Version, asked: Asked) -> str:
    """Why none is left to choose from for such a KV cache; '' where one is, or nobody knows."""
    packed = asked.cache_dtype.startswith(PACKED) and not asked.latent
    if not FIRST_READ <= at <= NEWEST_KNOWN or not (packed or asked.cache_dtype in FP8):
        return ""
    for capability in asked.capabilities:
        # Each layer chooses for itself.
        for size in asked.head or (0,):
            layer = dataclasses.replace(asked, head=(size,) if size else (), capabilities=(capability,))
            if not any(_takes(name, at, layer) for name in _offered(at, asked, capability)):
                return (
                    f"No attention backend that vLLM {version_text(at)} chooses reads kv_cache_dtype "
                    f"{asked.cache_dtype} on compute capability {capability[0]}.{capability[1]} {_features(asked)}: "
                    "leave kv_cache_dtype out (auto)."
                )
    return ""


def _offered(at: Version, asked: Asked, capability: Capability) -> tuple[str, ...]:
    """What vLLM chooses from: of heads of two sizes, one of them large, one backend for all."""
    if asked.latent:
        return tuple(name for name, known in BACKENDS.items() if known.latent)
    if len(asked.head) > 1 and max(asked.head) > LARGE_HEADS and (at < (0, 24, 0) or capability[0] not in FA4):
        return ("TRITON_ATTN",)
    return CHOSEN


def _takes(name: str, at: Version, asked: Asked) -> bool:
    return not any(_reasons(BACKENDS[name], at, asked))


def _features(asked: Asked) -> str:
    """What of the model leaves so few."""
    found = ["latent attention (MLA)"] if asked.latent else []
    found += ["attention sinks"] if asked.sinks else []
    found += ["images that are attended to as a whole"] if asked.prefix else []
    if asked.head and not asked.latent:
        found.append(f"heads of {' and '.join(map(str, asked.head))}")
    return f"for a model with {listed(found)}" if found else "for this model"


def drafter_problem(at: Version, cache_dtype: str, capabilities: t.Sequence[Capability]) -> str:
    """Why no backend is left for a drafter of dflash beside such a KV cache; '' where one is, or nobody knows."""
    first, after = NON_CAUSAL_ALONE
    if not first <= at < after or not cache_dtype.startswith("fp8"):
        return ""
    for capability in capabilities:
        asked = Asked(latent=False, head=(), cache_dtype=cache_dtype, sinks=False, capabilities=(capability,))
        if all(_of_gpu(BACKENDS[name], at, asked, capability) for name in NON_CAUSAL):
            return (
                "speculative_config.method dflash attends to later tokens (non-causal), which "
                f"{' and '.join(NON_CAUSAL)} alone do in vLLM {version_text(at)}, and on compute capability "
                f"{capability[0]}.{capability[1]} neither reads kv_cache_dtype {cache_dtype}: leave kv_cache_dtype "
                f"out, or use vLLM {version_text(after)} or newer."
            )
    return ""


def _reasons(known: Backend, at: Version, asked: Asked) -> t.Iterator[str]:
    if asked.latent and not known.latent:
        yield "is not for latent attention (MLA), as the model has it,"
    if known.latent and not asked.latent:
        yield "is for latent attention (MLA) only, which the model has not,"
    yield _of_heads(known, at, asked)
    for capability in asked.capabilities:
        yield _of_gpu(known, at, asked, capability)


def _of_heads(known: Backend, at: Version, asked: Asked) -> str:
    sizes, largest = of_release(known.heads, at), of_release(known.largest, at)
    for size in () if asked.latent else asked.head:
        if sizes is not None and size not in sizes:
            return f"has heads of {' or '.join(map(str, sizes))} only, and the model has heads of {size},"
        if largest is not None and size > largest:
            return f"has heads of up to {largest}, and the model has heads of {size},"
    return ""


def _of_gpu(known: Backend, at: Version, asked: Asked, capability: Capability) -> str:
    this = f"this GPU has {capability[0]}.{capability[1]},"
    lowest = of_release(known.lowest, at)
    if lowest is not None and capability < lowest:
        return f"needs compute capability {lowest[0]}.{lowest[1]}, {this}"
    if known.majors and capability[0] not in known.majors:
        return f"needs compute capability {_majors(known.majors)}, {this}"
    unread = _of_cache(known, at, asked.cache_dtype, capability)
    if unread:
        return f"reads kv_cache_dtype {asked.cache_dtype} {unread}"
    if asked.prefix:
        whole = of_release(known.prefix, at)
        if whole is not None and capability[0] not in whole:
            where = f"on compute capability {_majors(whole)} only, {this}" if whole else "on no GPU,"
            return f"attends to the model's images as a whole {where}"
    sinks = of_release(known.sinks, at)
    if asked.sinks and sinks is not None and capability[0] not in sinks:
        where = f"on compute capability {_majors(sinks)} only, {this}" if sinks else "on no GPU,"
        return f"takes the model's attention sinks {where}"
    return ""


def _of_cache(known: Backend, at: Version, cache_dtype: str, capability: Capability) -> str:
    """Where it reads such a cache instead; '' where it does on this GPU."""
    this = f"this GPU has {capability[0]}.{capability[1]},"
    if cache_dtype.startswith(PACKED):
        if not cache_dtype.startswith(known.packed or ("none",)):
            return "on no GPU,"
    elif cache_dtype.startswith("fp8"):
        reads = () if cache_dtype == "fp8_e5m2" and known.unread(at) else of_release(known.fp8, at)
        if reads is not None and capability[0] not in reads:
            return f"on compute capability {_majors(reads)} only, {this}" if reads else "on no GPU,"
    if cache_dtype.startswith("fp8") and known.fp8_from is not None and capability < known.fp8_from:
        return f"from compute capability {known.fp8_from[0]}.{known.fp8_from[1]} on, {this}"
    return ""


def _majors(majors: t.Sequence[int]) -> str:
    return " or ".join(f"{major}.x" for major in majors)
