# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The paragraphs for an operator: what was, what is, and where the log is, where there is one."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis.diagnosis import Diagnosis
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout import failure
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.failure import Fault
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import NAME, entry, release
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

OOM = Diagnosis("oom", "CUDA out of memory.", "Take less.")
FAULT = Fault("ready", OOM, 7.0)
BACK = Fault("start", Diagnosis("docker", "it is away", "Look at docker.service."), 0.0)
BAD, HELD = entry(2048), entry(1024)
FAILED = "at stage ready after 7 s (oom): CUDA out of memory."
STEP = entry(512, fallback="max_model_len -> 512", fallback_of=BAD.digest)


@pytest.mark.parametrize("kept", ["", "/var/lib/gpufleet/assistant/diagnosis/x"])
def test_where_the_log_is_kept_is_told_where_it_is_kept(kept: str) -> None:
    told = [
        failure.stopped_text(NAME, "", BAD, FAULT, HELD, kept),
        failure.rolled_back_text(NAME, BAD, FAULT, HELD, kept),
        failure.failed_text(NAME, BAD, FAULT, BACK, "release x", kept),
        failure.not_cleared_text(NAME, BAD, FAULT, BACK, kept),
        failure.not_repaired_text(NAME, BAD, FAULT, kept),
    ]
    for text in told:
        assert text.count("The log is kept") == text.count(f" The log is kept in {kept}.") == bool(kept)
        assert f"{BAD.short} " in text and f"failed {FAILED} " in text and "  " not in text


def test_what_serves_after_a_rollback() -> None:
    assert failure.rolled_back_text(NAME, BAD, FAULT, None, "") == (
        f"assistant: release {BAD.short} failed {FAILED} It was rolled back. There was no release before it: nothing "
        "of it is left running. Take less."
    )
    assert f"Release {HELD.short} serves again, proved" in failure.rolled_back_text(NAME, BAD, FAULT, HELD, "")
    other = entry(1024, release=release(instance="architect"))
    assert f"Release {other.short} of architect serves" in failure.rolled_back_text(NAME, BAD, FAULT, other, "")


def test_what_a_stop_leaves() -> None:
    kept = f"Release {HELD.short} is kept: playbooks/rollback.yml puts it back."
    none = "There was no release before it."
    for held in (HELD, None):
        text = failure.stopped_text(NAME, "", BAD, FAULT, held, "")
        assert (kept in text, none in text) == (held is not None, held is None)


def test_a_step_of_a_fallback_is_named_as_one() -> None:
    fallen = failure.fallen_text(BAD, FAULT)
    assert fallen == f"Release {BAD.short} failed {FAILED} "
    step = f"Release {STEP.short} (fallback: max_model_len -> 512)"
    assert f"{fallen}{step} serves in its place" in failure.fallback_text(NAME, fallen, STEP)
    assert f"{fallen}{step} failed" in failure.rolled_back_text(NAME, STEP, FAULT, HELD, "", fallen)
    assert f": release {BAD.short} failed" in failure.rolled_back_text(NAME, BAD, FAULT, HELD, "")


@pytest.mark.parametrize("rolled_back", [True, False])
def test_a_refusal_says_what_was_touched(rolled_back: bool) -> None:
    text = failure.refused_text(NAME, OOM, rolled_back)
    when = "after a rollout that was cut off had been rolled back" if rolled_back else "before anything was touched"
    assert text == f"assistant: refused {when} (oom): CUDA out of memory. Take less."
    assert "before anything was touched" in failure.refused_text(NAME, OOM)


def test_an_error_that_nobody_thought_of_is_told_with_its_place_in_a_line() -> None:
    told = ""
    try:
        raise KeyError("a\nb" * 500)
    except KeyError as error:
        told = failure.unexpected(error)
    assert told.startswith("an unexpected error, please report it: KeyError(") and len(told) == 500
    try:
        raise KeyError("name")
    except KeyError as error:
        told = failure.unexpected(error)
    assert " at test_told.py:" in told and told.isprintable()
    assert failure.unexpected(KeyError("name")) == "an unexpected error, please report it: KeyError('name')"


def test_the_words_of_an_error_are_its_cause_and_nothing_else() -> None:
    """They stand in the middle of sentences."""
    assert str(failure.Failed(OOM, "the log")) == str(failure.Failed(OOM)) == "CUDA out of memory."
    assert str(failure.Refused("port.busy", "port 8000 is taken", "Choose another.")) == "port 8000 is taken"
    assert failure.Failed(OOM).log == ""


@pytest.mark.parametrize("kind", ["repair", "live"])
def test_what_was_planned_for_another_release_is_told_with_both(scene: Scene, kind: str) -> None:
    scene.roll_out(1024)
    assert scene.ask(kind, 2048) == "refused"
    assert (
        f"it was planned for release {BAD.digest[:12]}, and release {HELD.digest[:12]} is current"
        in (scene.last()["detail"])
    )


def test_what_a_rollback_was_to_leave_is_told_with_what_is_current(scene: Scene) -> None:
    scene.roll_out(1024)
    current = scene.store.load().current
    assert current is not None
    assert scene.request({"kind": "rollback", "from": BAD.digest, "container": "c" * 64}) == "refused"
    leaves = f"it was to go back from release {BAD.digest[:12]} (container {'c' * 12})"
    assert (
        f"{leaves}, and release {HELD.digest[:12]} (container {current.container_id}) is current."
        in (scene.last()["detail"])
    )
