# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host's state forbids: a state that nobody knows, a rollout that runs, a release that has failed."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet


def errors(**changes: t.Any) -> tuple[str, ...]:
    found = fleet.outcome(**changes)
    assert found.plans == ()
    assert not found.changed
    return found.errors


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"transaction": {"unit": "gpufleet-rollout@assistant.service", "stage": "ready"}}, "at stage ready): wait"),
        (
            {"problem": "state.json is damaged"},
            "state.json is damaged. Put its state.json back, or remove its containers by hand",
        ),
    ],
)
def test_state_that_forbids_a_change(changes: t.Any, says: t.Any) -> None:
    facts = fleet.facts_with(fleet.observed(fleet.plan(), **changes))
    assert says in errors(facts=facts, instances=[fleet.instance(engine_args={"max_num_seqs": 2})])[0]


def rejected(digest: str, **changes: str) -> dict[str, str]:
    return {
        "digest": digest,
        "failure_class": "flag.unknown",
        "cause": "vllm: error: unrecognized arguments: --nope",
        "advice": "Leave it out.",
        "at": "2026-11-20T10:00:00Z",
        **changes,
    }


@pytest.mark.parametrize(
    ("tried", "here", "refused"),
    [("", "sha256:bb", True), ("sha256:bb", "sha256:bb", True), ("sha256:cc", "sha256:bb", False),
     ("sha256:bb", None, True)],
)  # fmt: skip
def test_rejection_is_about_an_image(tried: str, here: str | None, refused: bool) -> None:
    wanted = {"instances": [fleet.instance(engine_args={"max_num_seqs": 2})]}
    entry = rejected(fleet.plan(**wanted)["digest"], image_id=tried)
    images = {fleet.task()["image"]: here and {"id": here, "repo_digests": []}}
    facts = fleet.facts_with(fleet.observed(fleet.plan(), rejected=[entry]), images=images)
    assert bool(fleet.outcome(facts=facts, **wanted).errors) is refused


@pytest.mark.parametrize(
    ("tried", "here", "refused"),
    [("sha256:bb", "sha256:bb", True), ("", "sha256:bb", True), ("sha256:cc", "sha256:bb", False),
     ("sha256:bb", "sha256:aa", False), ("sha256:bb", None, False)],
)  # fmt: skip
def test_rejected_image_behind_the_tag_that_runs(tried: str, here: str | None, refused: bool) -> None:
    running = fleet.plan()
    entry = rejected(running["digest"], image_id=tried)
    images = {fleet.task()["image"]: here and {"id": here, "repo_digests": []}}
    facts = fleet.facts_with(fleet.observed(running, rejected=[entry]), images=images)
    assert bool(fleet.outcome(facts=facts).errors) is refused


def test_change_the_plan_is_said_once() -> None:
    wanted = {"instances": [fleet.instance(engine_args={"max_num_seqs": 2})]}
    entry = rejected(fleet.plan(**wanted)["digest"], failure_class="rolled_back", advice="Change the plan.")
    text = errors(facts=fleet.facts_with(fleet.observed(fleet.plan(), rejected=[entry])), **wanted)[0]
    assert text.count("hange the plan") == 1
    assert ". ." not in text


def test_rejected_release_is_refused_until_somebody_insists() -> None:
    wanted = {"instances": [fleet.instance(engine_args={"max_num_seqs": 2})]}
    bad = fleet.plan(**wanted)
    facts = fleet.facts_with(fleet.observed(fleet.plan(), rejected=[rejected(bad["digest"])]))
    text = errors(facts=facts, **wanted)[0]
    for part in ("2026-11-20T10:00:00Z", "flag.unknown", "unrecognized arguments: --nope.", "vllm_server_retry=true"):
        assert part in text
    assert fleet.plan(facts=facts, retry=True, **wanted)["change"] == "restart"
    assert fleet.plan(facts=facts)["change"] == "none"


def test_rejected_first_release() -> None:
    bad = fleet.plan()
    facts = fleet.facts_with(fleet.observed(bad, current=None, container=None, rejected=[rejected(bad["digest"])]))
    assert "flag.unknown" in errors(facts=facts)[0]
    assert fleet.plan(facts=facts, retry=True)["change"] == "create"


def test_inactive_instance_is_not_held_against_its_past() -> None:
    bad = fleet.plan(instances=[fleet.instance(active=False)])
    facts = fleet.facts_with(fleet.observed(bad, current=None, container=None, rejected=[rejected(bad["digest"])]))
    assert fleet.plan(facts=facts, instances=[fleet.instance(active=False)])["change"] == "none"
