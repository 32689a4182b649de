# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which words of a command line are vLLM's own."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._adopt.commands import port, serving

OWN = ["m", "--port", "1"]


@pytest.mark.parametrize(
    "words",
    [
        ["vllm", "serve", *OWN],
        ["/opt/venv/bin/python3", "/opt/venv/bin/vllm", "serve", *OWN],
        ["python3", "-m", "vllm.entrypoints.openai.api_server", *OWN],
        ["python3", "/usr/lib/python3/vllm/entrypoints/openai/api_server.py", *OWN],
        ["numactl", "-m", "0", "vllm", "serve", *OWN],
        ["bash", "-c", "source /opt/venv/bin/activate && exec vllm serve m --port 1 2>&1 | tee log"],
        ["sh", "-lc", "cd /srv; vllm serve m --port 1; sleep 1"],
    ],
)
def test_found(words: list[str]) -> None:
    found = serving(words)
    assert found is not None and found[:3] == OWN


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["vllm"],
        ["vllm", "bench", "serve"],
        ["vim", "vllm"],
        ["grep", "vllm serve"],
        ["bash", "-c", "vllm serve $MODEL"],
        ["bash", "-c", "echo 'unclosed"],
        ["bash", "-c"],
        ["x"] * 24 + ["vllm", "serve"],
    ],
)
def test_not_found(words: list[str]) -> None:
    assert serving(words) is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["m"], "8000"),
        (["m", "--port", "1"], "1"),
        (["m", "--port=1"], "1"),
        (["--port", "1", "m", "--port=2"], "2"),
        (["m", "--port"], "8000"),
        (["m", "--served-model-name", "port"], "8000"),
    ],
)
def test_the_port_that_a_server_was_told(words: list[str], told: str) -> None:
    assert port(words) == told
