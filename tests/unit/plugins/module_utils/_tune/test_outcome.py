# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of a step, from what planner, host and benchmark said."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._tune import outcome, trial
from ansible_collections.gpufleet.vllm.plugins.module_utils._tune.trial import Trial
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._tune.cases import asked

Json = dict[str, t.Any]
DIGEST = "d" * 64
STEP = {"values": {"max_num_seqs": 8}, "stage": "search"}
PLAN = {"instance": "a", "digest": DIGEST, "release": {"arguments": {"max_num_seqs": 8, "dtype": "half"}}}
PLANNED: Json = {"plans": [{"instance": "b", "release": None}, PLAN], "errors": []}
VERIFIED: Json = {"results": [{"outcome": "verified"}], "msg": ""}
RUN = {
    "figures": {"tokens_per_second": 100.0, "first_token": 0.5},
    "counted": {"preemptions": 2.0},
    "samples": [[0.0, 0.0, 0.0, 0.0], [1.0, 0.2, 4.0, 6.0], [2.0, 0.4, 8.0, 2.0], [3.0, None, None, None]],
}
FOUND: Json = {"outcome": "measured", "release": DIGEST, "loads": {"parallel": {"runs": [RUN]}}}


def made(
    planned: Json | None = None, rolled: Json | None = None, measured: Json | None = None, step: Json | None = None
) -> Trial:
    """What is left out goes well."""
    planned, rolled = (PLANNED if planned is None else planned), (VERIFIED if rolled is None else rolled)
    measured = {"found": FOUND} if measured is None else measured
    return outcome.made(STEP if step is None else step, "a", planned, rolled, measured, 60.0)


def test_what_was_measured() -> None:
    found = made()
    assert (found.outcome, found.release, found.seconds, found.served) == ("measured", DIGEST, 60.0, True)
    assert found.scores(asked().aim) == [100.0]
    assert found.average("kv_cache") == pytest.approx(0.3), "of what was seen while requests ran"
    assert (found.average("running"), found.average("waiting")) == (6.0, 4.0)
    assert found.average("preemptions") == 2.0
    assert trial.of(found.as_dict()) == found


def test_a_load_of_one_at_a_time_is_sequential() -> None:
    assert made(measured={"found": {**FOUND, "loads": {"sequential": {"runs": [RUN, RUN]}}}}).runs == made().runs * 2


def test_an_engine_that_nobody_looked_at() -> None:
    run = {name: value for name, value in RUN.items() if name != "samples"}
    found = made(measured={"found": {**FOUND, "loads": {"parallel": {"runs": [run]}}}})
    assert (found.outcome, found.average("kv_cache")) == ("measured", None)


def test_a_target_that_is_missed_is_measured_all_the_same() -> None:
    assert made(measured={"found": {**FOUND, "outcome": "targets_missed"}}).outcome == "measured"


@pytest.mark.parametrize(
    ("planned", "rolled", "measured", "wanted", "why"),
    [
        ({"plans": [], "errors": ["too much.", "Too long."]}, {"skipped": True}, {}, "refused", "too much. Too long."),
        (
            PLANNED,
            {"results": [{"outcome": "rolled_back", "failure": {"cause": "out of memory"}}], "msg": "a: long words"},
            {},
            "rolled_back",
            "out of memory",
        ),
        (
            PLANNED,
            {"results": [{"outcome": "refused"}], "msg": "a: rejected before"},
            {},
            "refused",
            "a: rejected before",
        ),
        (
            PLANNED,
            VERIFIED,
            {"found": {"outcome": "thrown_away", "thrown_away": [{"reasons": [{"text": "others asked"}]}] * 3}},
            "thrown_away",
            "others asked",
        ),
        (
            PLANNED,
            VERIFIED,
            {"msg": "a cannot be measured: no Docker."},
            "thrown_away",
            "a cannot be measured: no Docker.",
        ),
        (PLANNED, {"results": []}, {}, "thrown_away", "it was not measured"),
    ],
)
def test_what_was_not_measured(planned: Json, rolled: Json, measured: Json, wanted: str, why: str) -> None:
    found = made(planned, rolled, measured)
    assert (found.outcome, found.why, found.runs) == (wanted, why, ())
    assert found.served == (wanted == "thrown_away")


def test_what_is_only_put_back_is_not_measured() -> None:
    found = made(measured={}, step={**STEP, "stage": "keep"})
    assert (found.outcome, found.release) == ("kept", DIGEST)


def test_words_without_end_are_cut() -> None:
    assert len(made({"plans": [], "errors": ["x" * 9000]}).why) == outcome.SHOWN


@pytest.mark.parametrize(
    ("planned", "rolled", "measured", "told"),
    [
        (PLANNED, {"results": [{"outcome": "lost"}], "msg": "a: out of reach"}, None, "a: out of reach"),
        (PLANNED, {"results": [{"outcome": "failed"}], "msg": "a: failed"}, None, "a: failed"),
        (PLANNED, {"results": [], "msg": "instances must be a list"}, None, "instances must be a list"),
        ({"plans": [], "errors": []}, VERIFIED, None, "a is not in the inventory of this host any more"),
        (
            {"plans": [{**PLAN, "release": {"arguments": {"max_num_seqs": 4}}}], "errors": []},
            VERIFIED,
            None,
            "max_num_seqs would be 4 and not 8: something stands above what is tried",
        ),
        (
            PLANNED,
            VERIFIED,
            {"found": {**FOUND, "release": "e" * 64}},
            "release dddddddddddd was tried, and eeeeeeeeeeee was measured: somebody else has changed a",
        ),
    ],
)
def test_what_ends_it(planned: Json, rolled: Json, measured: Json | None, told: str) -> None:
    with pytest.raises(outcome.Ended) as ended:
        made(planned, rolled, measured)
    assert told in str(ended.value)
