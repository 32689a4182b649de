# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of an instance: its changes, and its text."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import (
    REJECTIONS_KEPT,
    Rejection,
    State,
    StateProblem,
    Turn,
    dump,
    load,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import entry

OLD, NEW, OLDER = entry(1024, container_id="id1"), entry(2048, container_id="id2"), entry(512, container_id="id0")


def rejection(digest: str) -> Rejection:
    return Rejection(digest, "oom", "CUDA out of memory", "Lower max_num_seqs.", "2026-01-01T00:00:00Z")


FULL = State(
    "assistant", current=OLD, previous=OLDER, candidate=NEW, held=OLD, owner="u", rejected=(rejection("a"),), failed="é"
)


RESTING = State(
    *("coder", None, OLDER), resting=OLD, others=("architect",), turn=Turn("2026-01-01T00:00:00Z", "architect", 41.6)
)


@pytest.mark.parametrize("state", [State("assistant"), FULL, State("a", current=OLD), RESTING])
def test_round_trip(state: State) -> None:
    assert load(dump(state)) == state


def changed(**keys: object) -> str:
    return json.dumps({**json.loads(dump(FULL)), **keys})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a state file"),
        (dump(FULL)[:-40], "not a state file"),
        ("[]", "not a state file"),
        ("{}", "not a state file"),
        ("\0" * 100, "not a state file"),
        (changed(schema=5), "its schema is 5, this program knows up to 4: a newer gpufleet.vllm wrote it"),
        (changed(schema="2"), "its schema is '2'"),
        (changed(checksum="0" * 64), "checksum does not match"),
        (dump(FULL).replace('"instance": "assistant"', '"instance": "another"', 1), "checksum does not match"),
    ],
    ids=["empty", "truncated", "list", "other", "zeros", "newer", "no number", "checksum", "edited"],
)
def test_what_this_program_did_not_write(text: str, words: str) -> None:
    with pytest.raises(StateProblem, match=words):
        load(text)


def test_from_breadcrumb_to_commit() -> None:
    state = State("assistant", current=OLD, previous=OLDER, failed="before").with_candidate(NEW, "unit-1")
    assert (state.current, state.held, state.candidate, state.previous, state.owner) == (
        None,
        OLD,
        NEW,
        OLDER,
        "unit-1",
    )
    state = state.committed(NEW)
    assert state == State("assistant", current=NEW, previous=OLD)


def test_from_breadcrumb_to_restore() -> None:
    state = State("assistant", current=OLD, previous=OLDER).with_candidate(NEW, "unit-1")
    assert state.rolled_back(OLD) == State("assistant", current=OLD, previous=OLDER)
    assert state.rolled_back(OLD, failed="neither serves").failed == "neither serves"


def test_a_repaired_release_keeps_the_previous_one() -> None:
    assert State("assistant", current=OLD, previous=OLDER).committed(OLD).previous == OLDER
    assert State("assistant", held=OLD, candidate=OLD, previous=OLDER).committed(OLD).previous == OLDER


def test_what_serves_is_not_rejected() -> None:
    state = State("assistant", rejected=(rejection(OLD.digest), rejection(NEW.digest))).with_candidate(NEW, "u")
    assert [known.digest for known in state.committed(NEW).rejected] == [OLD.digest]
    assert [known.digest for known in state.rolled_back(OLD).rejected] == [NEW.digest]
    assert len(state.rolled_back(OLD, failed="it does not serve").rejected) == 2
    assert len(state.rolled_back(None).rejected) == 2


def test_rejections_are_known_once_and_the_newest_are_kept() -> None:
    state = State("assistant")
    for digest in [*map(str, range(REJECTIONS_KEPT + 5)), "7"]:
        state = state.with_rejection(rejection(digest))
    assert len(state.rejected) == REJECTIONS_KEPT
    assert [known.digest for known in state.rejected][-2:] == [str(REJECTIONS_KEPT + 4), "7"]
    seven = entry(digest="7")
    assert state.rejection_of(seven) == rejection("7") and state.rejection_of(entry(digest="0")) is None
    assert state.without_rejection(seven).rejection_of(seven) is None


def test_a_rejection_holds_for_the_image_that_failed() -> None:
    """A tag can be moved: the same document with another image is another release."""
    failed = entry(digest="7", image_id="sha256:bad")
    state = State("assistant", current=entry(digest="7", image_id="sha256:good"))
    state = state.with_rejection(replace(rejection("7"), image_id="sha256:bad"))
    assert state.rejection_of(failed) is not None
    assert state.rejection_of(entry(digest="7", image_id="sha256:good")) is None
    assert state.rolled_back(state.current).rejection_of(failed) is not None
    moved = state.with_candidate(entry(digest="7", image_id="sha256:new"), "u").committed(failed)
    assert moved.previous == state.current


def test_state_of_before_there_were_turns_is_read() -> None:
    """As gpufleet.vllm with schema 3 wrote it."""
    file = json.loads(dump(FULL))
    for key in ("resting", "others", "instead_of", "turn"):
        del file["state"][key]
    stated = json.dumps(file["state"], sort_keys=True, separators=(",", ":"))
    file.update(schema=3, checksum=hashlib.sha256(stated.encode()).hexdigest())
    assert load(json.dumps(file)) == FULL


def test_from_rest_to_a_turn_and_back() -> None:
    resting = State("coder", current=OLD, previous=OLDER, failed="x").rested()
    assert (resting.current, resting.resting, resting.previous, resting.failed) == (None, OLD, OLDER, "")
    assert resting.rested() == resting
    trying = resting.with_candidate(OLD, "u", ("architect",))
    assert (trying.held, trying.resting, trying.instead_of) == (None, OLD, ("architect",))
    served = trying.committed(OLD)
    assert (served.current, served.previous, served.resting, served.instead_of) == (OLD, OLDER, None, ())
    assert trying.rolled_back(None) == resting
    newer = resting.with_candidate(NEW, "u", ("architect",)).committed(NEW)
    assert (newer.current, newer.previous, newer.resting) == (NEW, OLD, None)
    assert resting.containers() == {"id0", "id1"}


@pytest.mark.parametrize(
    "key", [{"turn": {"at": "x"}}, {"others": "architect"}, {"instead_of": [7]}, {"resting": {"digest": "d"}}]
)
def test_what_is_no_turn_is_refused(key: dict[str, object]) -> None:
    file = json.loads(dump(RESTING))
    file["state"].update(key)
    stated = json.dumps(file["state"], sort_keys=True, separators=(",", ":"))
    file["checksum"] = hashlib.sha256(stated.encode()).hexdigest()
    with pytest.raises(StateProblem):
        load(json.dumps(file))
