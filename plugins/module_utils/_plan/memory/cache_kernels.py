# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On which GPUs a release has kernels for a type of the KV cache.

Source: what the attention backends that `platforms/cuda.py` offers say they support, read in 0.20.0 to 0.33.0. A type
that is not here has kernels wherever the release takes its name, or nobody knows.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .request import Version

# First release, and the major compute capabilities that it has kernels for; newest first, none where it has none.
MAJORS: dict[str, tuple[tuple[Version, tuple[int, ...]], ...]] = {
    "nvfp4": (((0, 32, 0), (8, 9, 10, 12)), ((0, 21, 0), (10,)), ((0, 0, 0), ())),
    "nvfp4_4over6": (((0, 0, 0), (10,)),),
    "nvfp4_ds_mla": (((0, 0, 0), (10,)),),
    "octave_k3v3": (((0, 0, 0), ()),),
    "octave_k3v3_compact": (((0, 0, 0), ()),),
    "octave_k3v4": (((0, 0, 0), ()),),
    "ultraquant_4bit": (((0, 0, 0), ()),),
}
# Made for AMD's GPUs.
NEVER = ("octave", "ultraquant")


def problem(cache_dtype: str, version: Version, capability: tuple[int, int]) -> str:
    """Why such a GPU has no kernel for the type; '' where it has one, or nobody knows."""
    rows = MAJORS.get(cache_dtype, ())
    majors = next((majors for first, majors in rows if version >= first), None)
    if majors is None or capability[0] in majors:
        return ""
    release = ".".join(map(str, version))
    if not majors:
        what = "GPUs of NVIDIA" if cache_dtype.startswith(NEVER) else "any GPU yet"
        return f"kv_cache_dtype {cache_dtype} has no kernel for {what} in vLLM {release}: use fp8, or leave it out."
    needed = " or ".join(f"{major}.x" for major in majors)
    return (
        f"kv_cache_dtype {cache_dtype} needs compute capability {needed} in vLLM {release}, this GPU has "
        f"{capability[0]}.{capability[1]}: use fp8, or leave it out."
    )
