# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host is outside: what its rollout says is of one shape, and steers no terminal."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleError

from ansible_collections.gpufleet.vllm.tests.unit.plugins.action.rollout_wire import (
    Json,
    Wire,
    ended,
    news,
    plan,
    reached,
)

STEERS = "\x1b]0;owned\x07\x1b[2Jno \u202eroom\nok: [gpu1] verified"
SHOWN = "no \ufffdroom ok: [gpu1] verified"


def texts(document: t.Any) -> t.Iterator[str]:
    if isinstance(document, str):
        yield document
    parts = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    for part in parts:
        yield from texts(part)


@pytest.mark.parametrize("outcome", ["verified", "fallback", "rolled_back", "failed", "\x1b[2J"])
def test_no_stage_warning_or_end_steers_a_terminal(run: t.Callable[..., Json], outcome: str) -> None:
    stage = {**reached("\x1b[31msmoke"), "detail": STEERS}
    end = ended(outcome, STEERS, warnings=[STEERS], failure={"cause": STEERS}, log="/\x1b[2J")
    wire = Wire([news(stage, end), news()])
    result = run(wire, plans=[plan("a", "restart")])
    told = [*wire.shown, *texts({name: result[name] for name in ("msg", "warnings", "results") if name in result})]
    assert SHOWN in wire.shown[0]
    assert len(told) > 3
    # A cause may have lines where it is data, and none where it is shown.
    assert all(text.replace("\n", "").isprintable() for text in told)
    assert all("\n" not in text for text in [*wire.shown, *result["warnings"], str(result.get("msg", ""))])


def test_a_refusal_of_the_module_steers_no_terminal(run: t.Callable[..., Json]) -> None:
    wire = Wire()
    wire.refusal = STEERS
    assert run(wire, plans=[plan("a", "restart")])["msg"] == f"a: {SHOWN}"


@pytest.mark.parametrize(
    ("stdout", "why"),
    [
        ("", "Expecting value"),
        ("[" * 9999, "nested deeper than 64 levels"),
        ("[]", "the answer is a list, not an object"),
        ('{"lines": {}, "offset": 0, "active": false}', "lines is an object, not a list"),
        ('{"lines": [{"instance": "a"}], "offset": 0, "active": false}', "has no elapsed"),
        ('{"lines": [], "offset": "0", "active": false}', "offset is a text, not a whole number"),
        ('{"lines": [], "offset": 0, "active": NaN}', "the number NaN"),
    ],
)
def test_a_host_that_is_not_understood_is_said(run: t.Callable[..., Json], stdout: str, why: str) -> None:
    with pytest.raises(
        AnsibleError, match=f"a: following the rollout failed, what the host says is not understood: .*{why}"
    ):
        run(Wire([{"rc": 0, "stdout": stdout, "stderr": ""}]), plans=[plan("a", "restart")])


def test_what_following_failed_with_steers_no_terminal(run: t.Callable[..., Json]) -> None:
    with pytest.raises(AnsibleError) as error:
        run(Wire([{"rc": 1, "stdout": "", "stderr": STEERS}]), plans=[plan("a", "restart")])
    assert SHOWN in str(error.value) and "\x1b" not in str(error.value)
