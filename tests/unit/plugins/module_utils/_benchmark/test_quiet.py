# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watch while something is measured."""

from __future__ import annotations

import os
import pathlib
import signal
from dataclasses import replace

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.quiet import cleared_away, paused
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store
from ansible_collections.gpufleet.vllm.plugins.module_utils._watch.watch_record import UNTIL_RESUMED, Records
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import FakeClock


@pytest.fixture
def records(tmp_path: pathlib.Path) -> Records:
    (tmp_path / "run" / "watch").mkdir(parents=True)
    return Records(Store("assistant", str(tmp_path / "state"), str(tmp_path / "run")), str(tmp_path / "run"))


def test_it_is_paused_for_a_time_and_goes_on(records: Records) -> None:
    clock = FakeClock()
    now = clock.utc()
    with paused(records, clock, 600):
        assert records.load().paused(now)
        assert not records.load().paused("2999-01-01T00:00:00Z"), (
            "a measurement that is killed must not leave it paused"
        )
    assert records.load().paused_until == ""


def test_it_goes_on_after_an_error(records: Records) -> None:
    with pytest.raises(OSError, match="gone"), paused(records, FakeClock(), 600):
        raise OSError("gone")
    assert records.load().paused_until == ""


def test_who_paused_it_keeps_the_pause(records: Records) -> None:
    records.save(replace(records.load(), paused_until=UNTIL_RESUMED))
    with paused(records, FakeClock(), 600):
        assert records.load().paused_until == UNTIL_RESUMED
    assert records.load().paused_until == UNTIL_RESUMED


def test_a_word_meanwhile_stays(records: Records) -> None:
    with paused(records, FakeClock(), 600):
        records.save(replace(records.load(), paused_until=UNTIL_RESUMED))
    assert records.load().paused_until == UNTIL_RESUMED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_is_told_to_end_leaves_no_pause(records: Records, number: int) -> None:
    # These tests may have been started to outlive their terminal.
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit), cleared_away(), paused(records, FakeClock(), 600):
            os.kill(os.getpid(), number)
        assert records.load().paused_until == ""
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)
