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
CELL = releases.Cell(releases.RELEASES[2], "3.13", "", lab=True, units=True)


def result(**parts: str) -> dict[str, object]:
    return dataclasses.asdict(control.Result(str(CELL), VERSIONS, parts))


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
    assert row == ["2.21.5", "14.5.0", "3.13.5", "Debian", "1 FAILED", "passed", "-", "-", "-", "-", "-", "FAILED"]
    assert report.cells(result(lab="FAILED: none ran"))[5:] == ["FAILED: none ran"] * len(report.LAB)


def test_only_a_run_of_all_writes_the_page_and_only_the_result(tmp_path: pathlib.Path) -> None:
    page = tmp_path / "page.md"
    old = f"before\n\n{report.BEGIN}\n\nold\n\n{report.END}\n\nafter\n"
    page.write_text(old)
    report.write([result(create="passed")], whole=False, build=tmp_path, page=page)
    assert page.read_text() == old
    report.write([result(create="passed")], whole=True, build=tmp_path, page=page)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n")
    assert "| 2.21.5 | 14.5.0 |" in text and "old" not in text
    assert json.loads((tmp_path / "compat.json").read_text())["rows"][0]["cell"] == "2.21 on Python 3.13"


def test_a_page_without_a_place_for_the_result_is_said() -> None:
    with pytest.raises(ValueError, match="no place for the result"):
        report.placed("nothing", "text")
