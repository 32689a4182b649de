# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What engines say of their memory, in the words of several releases."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis.measured import figures

# vLLM 0.26.0 on an H200, Qwen2.5 7B.
WHOLE = """
(EngineCore pid=1465) INFO 11-26 08:14:38 [model_runner.py:305] Model loading took 14.29 GiB and 1.268919 seconds
(EngineCore pid=1465) INFO 11-26 08:14:55 [gpu_worker.py:560] Available KV cache memory: 112.98 GiB
(EngineCore pid=1465) INFO 11-26 08:14:55 [kv_cache_utils.py:2177] GPU KV cache size: 2,115,440 tokens
(EngineCore pid=1465) INFO 11-26 08:14:55 [kv_cache_utils.py:2178] Maximum concurrency for 32,768 tokens per request: 64.56x
(EngineCore pid=1465) INFO 11-26 08:14:59 [model_runner.py:747] Graph capturing finished in 3 secs, took 0.89 GiB
(EngineCore pid=1465) INFO 11-26 08:14:59 [gpu_worker.py:857] Free memory on device (139.29/139.8 GiB) on startup. Desired GPU memory utilization is (0.92, 128.62 GiB). Actual usage is 14.29 GiB for weight, 1.13 GiB for peak activation, 0.22 GiB for non-torch memory, and 0.89 GiB for CUDAGraph memory.
"""  # noqa: E501


def test_all_figures_of_a_start() -> None:
    assert figures(WHOLE) == {
        "weights_gib": 14.29,
        "activation_gib": 1.13,
        "non_torch_gib": 0.22,
        "graphs_gib": 0.89,
        "kv_cache_gib": 112.98,
        "kv_tokens": 2115440,
        "concurrency": 64.56,
    }


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("", {}),
        ("INFO Application startup complete.", {}),
        (
            "CPU KV cache size: 2,097,152 tokens, Maximum concurrency for 1,024 tokens per request: 2048.00x",
            {"kv_tokens": 2097152, "concurrency": 2048.0},
        ),
        # Ranks: what is taken by its largest, what is left by its smallest.
        ("Model loading took 7.5 GiB and\nModel loading took 7.9 GiB memory and", {"weights_gib": 7.9}),
        ("Available KV cache memory: 20.1 GiB\nAvailable KV cache memory: 19.9 GiB", {"kv_cache_gib": 19.9}),
        ("Available KV cache memory: -1.69 GiB", {}),
        ("Model loading took 1.2.3 GiB", {}),
    ],
)
def test_figures(log: str, expected: dict[str, float]) -> None:
    assert figures(log) == expected
