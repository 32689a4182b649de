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
    report.write(report.FAULTS, [GOOD, BAD], {"vLLM": "0.32.0"}, minutes=27, at_once=2)
    document = json.loads((tmp_path / "faults.json").read_text())
    assert (document["passed"], document["failed"]) == (1, 1)
    assert document["versions"] == {"vLLM": "0.32.0"}
    assert [row["fault"] for row in document["rows"]] == ["F1", "F2"]
    kept = (tmp_path / "faults.md").read_text()
    assert "in 27 min, 2 at a time: vLLM 0.32.0." in kept
    assert "one \\| two" in kept and "| F2 | another |" in kept and " FAILED |" in kept
    assert "- F2: repaired before the row" in kept
    assert "- F2: nothing serves" in kept
    assert kept.endswith("**1 passed, 1 failed**\n")


def test_of_kills_it_is_kept_what_they_hit_and_what_they_cost() -> None:
    kills = [
        Record(
            "kill", f"test_kill[{number}]", "a kill", asked=50, failed=3, longest_gap=gap, passed=True, struck=struck
        )
        for number, (gap, struck) in enumerate(
            [(2.0, ("playbook", "stop")), (8.0, ("transaction", "stop")), (3.0, ("transaction", "hold"))]
        )
    ]
    text = report.section(report.KILLS, kills, {"date": "2026-11-26", "minutes": 52, "at_once": 1, "versions": {}})
    assert text.startswith("Run on 2026-11-26 in 52 min, one after another")
    assert "| all | 0 | 2 | 0 | 0 | 0 | 1 | 0 | 0 |" in text
    assert "3.0 s in the median, rerun included, and 8.0 s at most. Of 150 questions 9 failed." in text
    assert text.endswith("**3 passed, 0 failed**\n")


def test_a_section_of_the_page_is_replaced_and_the_rest_stays(tmp_path: pathlib.Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(report.PAGE.read_text())
    for text in ("Of an older run.\n", "Of this run.\n"):
        report.put_on_page(report.FAULTS, text, page)
        report.put_on_page(report.KILLS, text, page)
    written = page.read_text()
    assert written.count("Of this run.") == 2 and "Of an older run." not in written
    assert [line for line in written.splitlines() if line.startswith("#")] == [
        line for line in report.PAGE.read_text().splitlines() if line.startswith("#")
    ]
    assert "## What a restart costs" in written
    page.write_text("# Another page\n")
    with pytest.raises(ValueError, match="has no section between <!-- faults --> and <!-- end of faults -->"):
        report.put_on_page(report.FAULTS, "", page)
    assert page.read_text() == "# Another page\n"
