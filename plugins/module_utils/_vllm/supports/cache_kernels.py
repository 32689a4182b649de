# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On which GPUs a release has kernels for a type of the KV cache.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from ..capabilities import CACHE_TYPES
from ..gates import NEWEST_KNOWN
from ..schema import Version, of_release, version_text
from .attention import BACKENDS

# Made for AMD's GPUs.
NEVER = ("octave", "ultraquant")
# From here on V1 is all: on what FlashInfer does not take, Triton is left, which has FP8 from 8.9 on, and
# FLEX_ATTENTION, which reads none.
ONLY_V1: Version = (0, 11, 0)


def problem(cache_dtype: str, version: Version, capability: tuple[int, int]) -> str:
    """Why such a GPU has no kernel for the type; '' where it has one, or nobody knows."""
    lowest = of_release(BACKENDS["FLASHINFER"].lowest, version)
    if cache_dtype.startswith("fp8") and ONLY_V1 <= version <= NEWEST_KNOWN and lowest and capability < lowest:
        return (
            f"kv_cache_dtype {cache_dtype} has no attention backend on compute capability "
            f"{capability[0]}.{capability[1]} in vLLM {version_text(version)}: leave it out."
        )
    majors = of_release(CACHE_TYPES.get(cache_dtype, ()), version)
    if majors is None or capability[0] in majors:
        return ""
    release = version_text(version)
    if not majors:
        what = "GPUs of NVIDIA" if cache_dtype.startswith(NEVER) else "any GPU yet"
        return f"kv_cache_dtype {cache_dtype} has no kernel for {what} in vLLM {release}: use fp8, or leave it out."
    needed = " or ".join(f"{major}.x" for major in majors)
    return (
        f"kv_cache_dtype {cache_dtype} needs compute capability {needed} in vLLM {release}, this GPU has "
        f"{capability[0]}.{capability[1]}: use fp8, or leave it out."
    )
