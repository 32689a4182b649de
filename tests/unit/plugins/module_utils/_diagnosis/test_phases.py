# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The phases of a start, and the capacity that the engine reports, as the releases have worded them."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis.phases import phase_of


@pytest.mark.parametrize(
    ("line", "phase"),
    [
        ("INFO [gpu_model_runner.py:1] Starting to load model /m...", "loading weights"),
        ("INFO [model_runner.py:284] Loading model from scratch...", "loading weights"),
        ("Loading safetensors checkpoint shards:  50% Completed | 1/2", "loading weights"),
        ("Model loading took 5.2 GiB memory and 3.1 seconds", "weights loaded"),
        ("torch.compile takes 12.3 s in total", "compiling"),
        ("INFO [monitor.py:53] torch.compile took 15.06 s in total", "compiling"),
        ("Dynamo bytecode transform time: 3.2 s", "compiling"),
        ("GPU KV cache size: 123,456 tokens", "KV cache ready"),
        (
            "CPU KV cache size: 2,097,152 tokens, Maximum concurrency for 1,024 tokens per request: 2048.00x",
            "KV cache ready",
        ),
        ("# cuda blocks: 1712, # CPU blocks: 2048", "KV cache ready"),
        ("Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  10%", "capturing graphs"),
        ("Graph capturing finished in 4 secs, took 0.52 GiB", "capturing graphs"),
        ("init engine (profile, create kv cache, warmup model) took 20.31 s", "engine ready"),
        ("INFO:     Application startup complete.", "listening"),
        ("INFO: 127.0.0.1 - GET /health 200", ""),
    ],
)
def test_phase(line: str, phase: str) -> None:
    assert phase_of(line) == phase
