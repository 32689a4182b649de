# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import pathlib

import pytest

from ansible_collections.gpufleet.vllm.tests.faults import report
from ansible_collections.gpufleet.vllm.tests.faults.matrix import Record

GOOD = Record("F1", "test_f01", "one | two", [2, 2], "abc", "Hello", "current abc", 50, 3, 1.5, "refused", passed=True)
BAD = Record("F2", "test_f02", "another", notes=["repaired before the row"], error="nothing serves")


def test_the_table_says_what_failed() -> None:
    lines = report.table([GOOD, BAD]).splitlines()
    assert lines[1].endswith("passed")
    assert lines[2].endswith("FAILED")
    assert report.tally([GOOD, BAD]) == "1 passed, 1 failed"


def test_what_is_kept_says_what_it_is_the_result_of(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "BUILD", tmp_path)
    report.write("faults", [GOOD, BAD], {"vLLM": "0.32.0"})
    document = json.loads((tmp_path / "faults.json").read_text())
    assert (document["passed"], document["failed"]) == (1, 1)
    assert document["versions"] == {"vLLM": "0.32.0"}
    assert [row["fault"] for row in document["rows"]] == ["F1", "F2"]
    kept = (tmp_path / "faults.md").read_text()
    assert "vLLM 0.32.0" in kept
    assert "one \\| two" in kept
    assert "- F2: repaired before the row" in kept
    assert "- F2: nothing serves" in kept
    assert kept.endswith("**1 passed, 1 failed**\n")
