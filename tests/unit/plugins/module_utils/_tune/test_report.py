# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a tuning tells, in all its forms."""

from __future__ import annotations

import json
import typing as t

import yaml as pyyaml

from ansible_collections.gpufleet.vllm.plugins.module_utils._tune import report
from ansible_collections.gpufleet.vllm.plugins.module_utils._tune.search import End, Step
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._tune.cases import asked, measured, refused

START = {"max_num_seqs": 1}
ABOUT: dict[str, t.Any] = {
    "host": "gpu-1",
    "instance": "assistant",
    "began": "2026-11-27T10:00:00Z",
    "at": "2026-11-27T11:00:00Z",
    "workload": {"prompt_tokens": 256},
    "notes": ["max_num_batched_tokens is not tuned."],
}
TRIALS = [
    measured(START, "start"),
    refused({"max_num_seqs": 9}, "it | does <b>not\nfit"),
    measured({"max_num_seqs": 4}, "final", tokens_per_second=200, waiting=None),
]
BETTER = End({"max_num_seqs": 4}, "better", "every run was better")


def test_the_document() -> None:
    found = report.document(asked(), START, TRIALS, BETTER, ABOUT)
    assert (found["outcome"], found["before"], found["after"]) == ("better", START, {"max_num_seqs": 4})
    assert (found["goal"], found["figure"], found["release"]) == ("throughput", "tokens_per_second", "d" * 64)
    assert len(found["trials"]) == 3
    json.dumps(found)


def test_one_that_has_not_ended() -> None:
    found = report.document(asked(), START, TRIALS[:2], Step(START, "final", ""), ABOUT)
    assert (found["outcome"], found["after"], found["why"]) == (None, START, "it has not ended")
    page = report.markdown(found, asked().aim, TRIALS[:2])
    assert "It began at 2026-11-27T10:00:00Z and has not ended." in page
    assert "`site.yml`" not in page


def test_the_page() -> None:
    found = report.document(asked(), START, TRIALS, BETTER, ABOUT)
    page = report.markdown(found, asked().aim, TRIALS)
    assert "# assistant on gpu-1, tuned for throughput" in page
    assert "| search | max_num_seqs 9 | refused |  |  |  | it \\| does &lt;b>not fit |" in page
    assert "| final | max_num_seqs 4 | measured | 200 (200..200) | 50% |  |  |" in page
    assert "max_num_batched_tokens is not tuned." in page
    assert "- name: assistant\n  engine_args:\n    max_num_seqs: 4\n" in page


def test_the_yaml_is_yaml() -> None:
    text = report.yaml("assistant", {"max_model_len": 4096, "gpu_memory_utilization": 0.95})
    assert pyyaml.safe_load(text) == [
        {"name": "assistant", "engine_args": {"max_model_len": 4096, "gpu_memory_utilization": 0.95}}
    ]


def test_a_line_on_a_terminal() -> None:
    aim = asked().aim
    assert report.line(aim, TRIALS[0]) == (
        "max_num_seqs 1: measured, tokens_per_second 100 (100..100); "
        "50% of the KV cache was taken, 4.0 requests waited."
    )
    assert report.line(aim, refused({"max_num_seqs": 9})) == "max_num_seqs 9: refused, it does not fit."
    length = asked(goal="length").aim
    assert report.line(length, measured({"max_model_len": 4096})).startswith(
        "max_model_len 4096: measured, max_model_len 4096;"
    )
