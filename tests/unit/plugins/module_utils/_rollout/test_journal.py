# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stage log: every line says instance, stage and elapsed seconds."""

from __future__ import annotations

import errno
import io
import sys
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.journal import spoken
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.stages import Stage
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.failing_disk import FailingDisk
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene


def test_lines(scene: Scene) -> None:
    journal = scene.journal()
    journal.stage(Stage.START, "release abc")
    scene.clock.sleep(12.34)
    journal.note("loading weights")
    journal.end("verified", "All is well.", serves="abc")
    lines, _offset = scene.store.stages_from(0)
    assert lines == [
        {
            "at": "2026-01-01T00:00:00Z",
            "elapsed": 0.0,
            "instance": "assistant",
            "stage": "start",
            "detail": "release abc",
        },
        {
            "at": "2026-01-01T00:00:12Z",
            "elapsed": 12.3,
            "instance": "assistant",
            "stage": "start",
            "detail": "loading weights",
        },
        {
            "at": "2026-01-01T00:00:12Z",
            "elapsed": 12.3,
            "instance": "assistant",
            "stage": "start",
            "detail": "All is well.",
            "outcome": "verified",
            "facts": {"serves": "abc"},
        },
    ]
    assert scene.said[1] == "assistant    12.3 s  start  loading weights"


def test_the_end_is_told_although_the_disk_of_the_log_is_full(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FailingDisk(monkeypatch)
    disk.fail(1, errno.ENOSPC)
    journal = scene.journal()
    journal.stage(Stage.START, "release abc")
    journal.end("rolled_back", "It was rolled back.", serves="abc")
    assert scene.store.stages_from(0) == ([], 0)
    word = scene.store.take_last_word()
    assert word is not None and (word["outcome"], word["facts"]) == ("rolled_back", {"serves": "abc"})
    assert scene.store.take_last_word() is None


def test_an_end_that_is_in_the_log_is_the_last_word(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recovery of the unit found room again."""
    disk = FailingDisk(monkeypatch)
    disk.fail(1, errno.ENOSPC)
    scene.journal().end("failed", "It broke off.")
    disk.heal()
    scene.journal().end("rolled_back", "It was rolled back.")
    assert (scene.store.take_last_word(), scene.last()["outcome"]) == (None, "rolled_back")


STEERS = "removed \x1b]0;owned\x07\x1b[2Jvllm\nok: [gpu1] verified"


def test_no_line_steers_a_terminal(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.journal().note(STEERS)
    assert scene.last()["detail"] == "removed vllm ok: [gpu1] verified"
    spoken(STEERS)
    assert capsys.readouterr().out == "removed vllm ok: [gpu1] verified\n"


def test_a_line_is_out_before_the_next_thing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever follows the unit sees it when it is said, and a kill takes none of it away."""
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out))
    spoken("breadcrumb")
    assert out.getvalue() == b"breadcrumb\n"


@pytest.mark.parametrize(("quiet", "speaks"), [(29.0, False), (30.0, True)])
def test_a_heartbeat_when_nothing_was_said_for_a_while(scene: Scene, quiet: float, speaks: bool) -> None:
    journal = scene.journal()
    scene.clock.sleep(1000)
    journal.note("a line")
    scene.clock.sleep(quiet)
    journal.heartbeat("still loading")
    assert (scene.last()["detail"] == "still loading") == speaks


def test_a_full_disk_silences_the_log_and_not_the_transaction(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_line: t.Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scene.store, "append_stage", full)
    scene.journal().stage(Stage.ROLLBACK, "back")
    assert "the stage log cannot be written: [Errno 28] No space left on device" in scene.said
    assert scene.said[-1].endswith("rollback  back")
