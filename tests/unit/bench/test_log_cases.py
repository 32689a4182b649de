# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a diagnosis is judged, and the totals that are made of it."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis.diagnosis import Diagnosis
from ansible_collections.gpufleet.vllm.tests.bench.log_cases import judged, report

WANTED: dict[str, t.Any] = {"classes": ["oom"], "cause": ["OUT OF"], "advice": ["lower"], "advice_not": ["raise"]}
ANY = {**WANTED, "classes": None}


@pytest.mark.parametrize(
    ("failure_class", "cause", "advice", "expected", "verdict"),
    [
        ("oom", "CUDA out of memory", "Lower it.", WANTED, "right"),
        ("else", "CUDA out of memory", "Lower it.", ANY, "right"),
        ("else", "CUDA out of memory", "Lower it.", WANTED, "wrong"),
        ("unknown", "CUDA out of memory", "Lower it.", WANTED, "vague"),
        ("oom", "CUDA out of memory", "Report it.", WANTED, "vague"),
        ("oom", "a wrapper", "Lower it.", WANTED, "wrong"),
        ("oom", "CUDA out of memory", "Lower this, or raise that.", WANTED, "wrong"),
    ],
)
def test_a_diagnosis_is_judged(failure_class: str, cause: str, advice: str, expected: t.Any, verdict: str) -> None:
    found, errors = judged(Diagnosis(failure_class, cause, advice), expected)
    assert found == verdict
    assert bool(errors) == (verdict != "right")


def test_cases_are_counted_and_those_without_an_answer_left_out(tmp_path: pathlib.Path) -> None:
    (tmp_path / "logs").mkdir()
    rows = []
    for name, log, expected in (
        ("a", "CUDA out of memory", WANTED),
        ("b", "ValueError: x", {**ANY, "cause": ["x"]}),
        ("c", "", None),
        ("d", "ValueError: x", WANTED),
    ):
        (tmp_path / "logs" / f"{name}.log").write_text(log)
        rows.append({"id": name, "exit_code_given": 0, "expected": expected})
    (tmp_path / "cases.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    found = report(tmp_path / "cases.jsonl")
    assert found["totals"] == {"right": 1, "vague": 1, "wrong": 1}
    assert [case["id"] for case in found["cases"]] == ["a", "b", "d"]
    assert found["misleading"] == []
    assert [case["id"] for case in report(tmp_path / "cases.jsonl", "wrong")["cases"]] == ["d"]
