# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of a run's summary."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.plugin_utils.summary import COLUMNS, Summary, documents, table

Json = dict[str, t.Any]
OLD, NEW = "a" * 64, "b" * 64


def plans(*changes: tuple[str, str]) -> Json:
    return {"plans": [{"instance": name, "change": change, "digest": NEW} for name, change in changes]}


def shown(summary: Summary, *ended_badly: str) -> list[list[str]]:
    return [line.split() for line in table(summary.rows(ended_badly))[1:]]


def test_a_run_that_touches_no_instance_says_nothing() -> None:
    assert table(Summary().rows(())) == []


def test_what_was_rolled_out_and_what_serves() -> None:
    summary = Summary()
    summary.planned("gpu2", plans(("assistant", "restart"), ("coder", "none")), check=False)
    summary.planned("gpu1", plans(("assistant", "create")), check=False)
    summary.rolled_out(
        "gpu2", {"results": [{"instance": "assistant", "outcome": "verified", "serves": NEW, "seconds": 41.34}]}
    )
    summary.proved(
        "gpu2", {"proofs": [{"instance": name, "proved": True, "digest": NEW} for name in ("assistant", "coder")]}
    )
    summary.proved("gpu1", {"proofs": [{"instance": "assistant", "proved": False, "because": "/health\nanswers 503"}]})
    assert tuple(table(summary.rows(()))[0].split()) == COLUMNS
    assert shown(summary) == [
        ["gpu1", "assistant", "create", NEW[:12], "-", "not", "proved", "/health", "answers", "503"],
        ["gpu2", "assistant", "restart", NEW[:12], "41.3", "verified", "-"],
        ["gpu2", "coder", "none", NEW[:12], "-", "proved", "-"],
    ]


def test_a_rollback_has_its_cause_and_what_serves_again() -> None:
    failure = {"failure_class": "oom", "cause": "CUDA out of memory", "advice": "Less."}
    summary = Summary()
    summary.planned("gpu1", plans(("assistant", "restart")), check=False)
    result = {"instance": "assistant", "outcome": "rolled_back", "serves": OLD, "failure": failure, "seconds": 60}
    summary.rolled_out("gpu1", {"results": [result]})
    summary.failed("gpu1", "assistant: release failed at stage ready (oom): CUDA out of memory.")
    summary.failed("gpu1", "The rollout failed on gpu1.")
    assert shown(summary, "gpu1") == [
        ["gpu1", "assistant", "restart", OLD[:12], "60.0", "rolled_back", "oom:", "CUDA", "out", "of", "memory"]
    ]


def test_a_host_whose_plan_is_refused_has_its_first_failure() -> None:
    summary = Summary()
    summary.failed("gpu1", "1 setting of gpu1 is wrong: port is 70000.")
    summary.failed("gpu1", "Failed, for the reason above: gpu1.")
    assert shown(summary, "gpu1")[0][:6] == ["gpu1", "-", "-", "-", "-", "failed"]
    assert summary.rows(["gpu1"])[0].cause == "1 setting of gpu1 is wrong: port is 70000."


def test_a_failure_that_a_rescue_dealt_with_is_none() -> None:
    summary = Summary()
    summary.failed("gpu1", "never mind")
    assert summary.rows(()) == []


def test_what_would_change() -> None:
    summary = Summary()
    summary.planned("gpu1", plans(("assistant", "restart"), ("coder", "none")), check=True)
    assert [row.verdict for row in summary.rows(())] == ["would change", ""]


@pytest.mark.parametrize("result", [{}, {"plans": None}, {"plans": "x"}, {"plans": [1, None, "x"]}])
def test_results_of_any_shape(result: Json) -> None:
    """What is hidden by no_log has no plans, and a module that broke has anything."""
    summary = Summary()
    summary.planned("gpu1", result, check=False)
    summary.rolled_out("gpu1", {"results": result.get("plans")})
    summary.proved("gpu1", {"proofs": result.get("plans")})
    assert summary.rows(()) == []


def test_no_secret_and_no_control_character() -> None:
    summary = Summary()
    summary.failed("gpu1", "get https://me:pa55word@example.net/x \x1b[31mnow\x1b[0m")
    (row,) = summary.rows(["gpu1"])
    assert "pa55word" not in row.cause and "\x1b" not in row.cause


def test_the_table_cuts_a_long_cause_and_the_documents_do_not() -> None:
    summary = Summary()
    summary.failed("gpu1", "x" * 500)
    rows = summary.rows(["gpu1"])
    assert len(table(rows)[1]) < 200 and table(rows)[1].endswith("…")
    assert documents(rows)[0]["cause"] == "x" * 500
