# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the lost requests are excused, and what the door's bench makes of its times."""

from __future__ import annotations

from ansible_collections.gpufleet.vllm.tests.bench import door
from ansible_collections.gpufleet.vllm.tests.bench.door_losses import Happened, Lost, judged


def test_a_request_that_was_not_in_flight_when_it_happened_is_not_excused() -> None:
    happened = {"killed": Happened(10, 10.5), "away": Happened(20, 20)}
    lost = [
        Lost("before", "502", 8, 9),
        Lost("across", "502", 9, 11),
        Lost("meanwhile", "502", 10.4, 12),
        Lost("after", "502", 11, 12),
        Lost("away", "502", 19, 80),
        Lost("both", "IncompleteRead", 9, 21),
    ]
    assert judged(lost, happened) == {
        "lost": 6,
        "in_flight": {"killed": 3, "away": 2},
        "as": {"502": 5, "IncompleteRead": 1},
        "not_in_flight": ["before", "after"],
    }
    assert judged([], happened)["not_in_flight"] == []
    assert judged(lost[:1], {})["not_in_flight"] == ["before"]


def test_what_a_door_adds_is_told_beside_the_bare_engine() -> None:
    times = {"bare": [1.0] * 98 + [3.0] * 2, "door": [1.25] * 98 + [5.0] * 2}
    found = door.report(times, {"bare": [100.0, 200.0, 900.0], "door": [150.0, 150.0, 10.0]})
    assert found["bare_ms"] == {"p50": 1.0, "p99": 3.0}
    assert found["door"] == {"added_ms": {"p50": 0.25, "p99": 2.0}, "of_bare": 0.75}
