# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the watch makes of what it sees: two tables."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.rollout import Settings
from ansible_collections.gpufleet.vllm.plugins.module_utils._watch.watch_policy import (
    Case,
    Limits,
    Look,
    pause,
    seen,
    step,
    verdict,
)

READY = 600.0
OLD, NEW = 5000.0, 60.0


@pytest.mark.parametrize(
    ("look", "found"),
    [
        (Look("running", OLD, 200, 200, True), "healthy"),
        (Look("running", NEW, 200, 200), "healthy"),
        (Look("running", OLD, 0, 200, moved=True), "busy"),
        (Look("running", OLD, 0, 0, moved=True), "busy"),
        (Look("running", OLD, 503, 200, moved=True), "busy"),
        (Look("running", OLD, 0, 200), "wedged"),
        (Look("running", NEW, 0, 200), "wedged"),
        (Look("running", OLD, 500, 200), "wedged"),
        (Look("running", OLD), "wedged"),
        (Look("running", NEW), "starting"),
        (Look("running", READY), "wedged"),
        (Look("running", OLD, 0, 503), "dead"),
        (Look("running", NEW, 0, 503), "dead"),
        (Look("running", OLD, 500, 503, moved=True), "dead"),
        (Look("running", OLD, 401, 200), "unclear"),
        (Look("running", OLD, 404, 200, moved=True), "unclear"),
        (Look("exited"), "dead"),
        (Look("restarting"), "dead"),
        (Look("paused"), "dead"),
        (Look(""), "dead"),
    ],
)
def test_verdict(look: Look, found: str) -> None:
    assert verdict(look, READY) == found


@pytest.mark.parametrize(
    ("look", "words"),
    [
        (Look("running", OLD, 200, 200, True), "healthy: a token"),
        (Look("running", OLD, 0, 200), "wedged: no token in time, /health answered 200, no counter of tokens moved"),
        (
            Look("running", OLD, 500, 503, said="dead"),
            "dead: no token but 500 (dead), /health answered 503, no counter",
        ),
        (Look("running", OLD, moved=True), "busy: no token in time, /health did not answer, counters of tokens moved"),
        (Look("exited"), "dead: its container is exited"),
        (Look(""), "dead: its container is gone"),
    ],
)
def test_a_look_in_words(look: Look, words: str) -> None:
    assert seen(look, verdict(look, READY)).startswith(words)


LIMITS = Limits.of({"watch": {"interval": 60, "failure_threshold": 3, "restarts": 3, "rollback_window": 3600}})
DAYS = 86400.0


def case(
    bad: int = 0,
    died: int = 0,
    age: float | None = 100.0,
    restarts: int = 0,
    own: int = 0,
    since: float = DAYS,
    rollback: bool = True,
) -> Case:
    return Case(bad, died, age, restarts, own, since, rollback)


@pytest.mark.parametrize(
    ("known", "decided"),
    [
        (case(), "nothing"),
        (case(bad=2), "nothing"),
        (case(bad=3), "restart"),
        (case(bad=7), "restart"),
        # Docker does what it can first, and is only counted.
        (case(died=1, restarts=1), "nothing"),
        (case(died=1, restarts=2), "nothing"),
        (case(died=1, restarts=3), "rollback"),
        (case(died=2, restarts=4), "rollback"),
        (case(bad=3, restarts=2, own=2, since=200), "restart"),
        (case(bad=3, restarts=3, own=3, since=1), "rollback"),
        # What was restarted often and does not fail now is left alone.
        (case(restarts=9), "nothing"),
        (case(bad=2, restarts=9), "nothing"),
        # Never rolled back: an old release, one of unknown age, one without a rollback; nor with an odd clock.
        (case(bad=3, age=3600, restarts=9, own=1, since=60), "restart"),
        (case(bad=3, age=None, restarts=9, own=1, since=60), "restart"),
        (case(bad=3, age=-5, restarts=9, own=1, since=60), "restart"),
        (case(bad=3, restarts=9, own=1, since=60, rollback=False), "restart"),
        (case(died=1, restarts=9, rollback=False), "nothing"),
        (case(died=1, age=3600, restarts=9), "nothing"),
        # Growing pauses between restarts of the watch's own.
        (case(bad=3, restarts=1, own=1, since=59), "wait"),
        (case(bad=3, restarts=1, own=1, since=60), "restart"),
        (case(bad=9, age=DAYS, restarts=4, own=4, since=479), "wait"),
        (case(bad=9, age=DAYS, restarts=4, own=4, since=480), "restart"),
    ],
)
def test_step(known: Case, decided: str) -> None:
    assert step(known, LIMITS) == decided


def test_no_release_is_rolled_back_where_none_is_to_be() -> None:
    limits = Limits.of({"watch": {"rollback_window": 0}})
    assert step(case(bad=3, age=0, restarts=9), limits) == "restart"


def test_pauses_grow_to_an_hour() -> None:
    assert [pause(own, 60) for own in (0, 1, 2, 3, 6, 7, 8, 5000)] == [0, 60, 120, 240, 1920, 3600, 3600, 3600]


@pytest.mark.parametrize("settings", [{}, {"watch": {}}, {"watch": {"failure_threshold": None}}])
def test_what_nobody_states(settings: Settings) -> None:
    assert Limits.of(settings) == Limits(True, 60, 30, 3, 3, 86400)
