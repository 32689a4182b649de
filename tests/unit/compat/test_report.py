# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of a release is told as."""

from __future__ import annotations

import dataclasses
import json
import pathlib

import pytest

from ansible_collections.gpufleet.vllm.tests.compat import control, releases, report

UNITS = "<testsuites><testsuite><testcase name='a'/><testcase name='b'><skipped/></testcase></testsuite></testsuites>"
LAB = (
    "<testsuites><testsuite><testcase name='test_create'/>"
    "<testcase name='test_rollback'><failure/></testcase></testsuite></testsuites>"
)
VERSIONS = {"ansible-core": "2.21.5", "ansible": "14.5.0", "python": "3.13.5", "system": "Debian"}
RUN = {"date": "2026-11-26", "commit": "abc"}
CELL = releases.Cell(releases.RELEASES[2], "3.13", "", lab=True, units=True)


def result(**parts: str) -> dict[str, object]:
    return dataclasses.asdict(control.Result(str(CELL), RUN, VERSIONS, parts))


def test_what_tests_left_is_read(tmp_path: pathlib.Path) -> None:
    (tmp_path / "units.xml").write_text(UNITS)
    (tmp_path / "lab.xml").write_text(LAB)
    assert control._tally(tmp_path / "units.xml") == "1 passed, 1 skipped"
    assert control._each(tmp_path / "lab.xml") == {"create": "passed", "rollback": "FAILED"}


@pytest.mark.parametrize("text", ["", "<testsuites/>", "<testsuites><testsu"])
def test_what_left_nothing_has_failed(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / "lab.xml").write_text(text)
    assert "FAILED" in control._tally(tmp_path / "lab.xml")
    assert control._each(tmp_path / "lab.xml") == {"lab": "FAILED: none ran"}
    assert not control.Result("nothing").passed


def test_only_what_is_pinned_is_installed() -> None:
    wanted = control.requirements(CELL)
    assert wanted[:2] == ["ansible-core==2.21.5", "ansible==14.5.0"]
    assert all("==" in one for one in wanted)


def test_a_failure_and_what_did_not_run_are_told() -> None:
    row = report.cells(result(units="1 FAILED", create="passed", rollback="FAILED"))
    seen = ["2.21.5", "14.5.0", "3.13.5", "Debian", "2026-11-26", "abc"]
    assert row == [*seen, "1 FAILED", "passed", "-", "-", "-", "-", "-", "FAILED"]
    assert report.cells(result(lab="FAILED: none ran"))[7:] == ["FAILED: none ran"] * len(report.LAB)


def test_a_control_node_that_could_not_be_made_is_a_row_too() -> None:
    broken = dataclasses.asdict(control.Result(str(CELL), RUN, {}, {"lab": "FAILED: none ran"}))
    row = report.cells(broken)
    assert row[:4] == ["2.21", "", "3.13", "not made"]
    told = report.table([row])
    assert report.rows_of(told) == [row]
    assert "Not run: 2.19 on Python 3.11, " in told and "2.21 on Python 3.13" not in told


def test_rows_on_the_page_are_those_of_the_last_run_of_each(tmp_path: pathlib.Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n\n{report.BEGIN}\n\nNot run yet.\n\n{report.END}\n\nafter\n")
    report.write([result(create="passed")], keep=False, build=tmp_path, page=page)
    assert "Not run yet." in page.read_text()
    newest = {"cell": "2.22 on Python 3.13", "run": RUN, "versions": {**VERSIONS, "ansible-core": "2.22.0rc1"}}
    report.write([{**newest, "parts": {"create": "passed"}}], keep=True, build=tmp_path, page=page)
    report.write([result(create="FAILED")], keep=True, build=tmp_path, page=page)
    report.write([result(create="passed", no_op="FAILED")], keep=True, build=tmp_path, page=page)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n")
    assert [row[0] for row in report.rows_of(text)] == ["2.21.5", "2.22.0rc1"]
    assert [row[7:9] for row in report.rows_of(text)] == [["passed", "FAILED"], ["passed", "-"]]
    assert json.loads((tmp_path / "compat.json").read_text())[0]["cell"] == "2.21 on Python 3.13"


def test_a_page_without_a_place_for_the_result_is_said() -> None:
    with pytest.raises(ValueError, match="no place for the result"):
        report.parts_of("nothing")
