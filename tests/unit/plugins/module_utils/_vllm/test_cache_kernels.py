# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Types of the KV cache that a GPU has nothing for: v1/attention/backends of the releases named."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.supports.cache_kernels import problem


@pytest.mark.parametrize(
    ("cache_dtype", "version", "capability", "says"),
    [
        # vllm-project/vllm#35720, a V100: Triton has fp8e4nv from 8.9 on; FlashInfer begins at 7.5, or 8.0 (0.24.0).
        ("fp8", (0, 16, 0), (7, 0), "fp8 has no attention backend on compute capability 7.0 in vLLM 0.16.0"),
        ("fp8_e5m2", (0, 16, 0), (7, 0), "fp8_e5m2 has no attention backend"),
        ("fp8", (0, 16, 0), (7, 5), ""),
        ("fp8", (0, 24, 0), (7, 5), "on compute capability 7.5 in vLLM 0.24.0"),
        ("fp8", (0, 24, 0), (8, 0), ""),
        # V0 reads one there.
        ("fp8", (0, 10, 2), (7, 0), ""),
        ("fp8", (0, 99, 0), (7, 0), ""),
        ("auto", (0, 16, 0), (7, 0), ""),
    ],
)
def test_what_no_backend_reads(
    cache_dtype: str, version: tuple[int, int, int], capability: tuple[int, int], says: str
) -> None:
    said = problem(cache_dtype, version, capability)
    assert bool(said) == bool(says)
    assert says in said
