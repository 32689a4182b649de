# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a profile demands of the smoke test, and what beats it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.checks.test_media import (
    NO_IMAGES,
    SEES,
    TEXT,
    WHISPER,
)

MODEL = "/srv/models/tiny"
# As vision_language has it, without what needs four GPUs.
PICTURES: fleet.Json = {"engine_args": {"max_num_seqs": 4}, "smoke": {"image": True}}
PLAIN: fleet.Json = {"engine_args": {"max_num_seqs": 4}}
NOT_ASKED = "profile mine demands smoke.image, which is not asked: "


def outcome(
    profile: fleet.Json, config: fleet.Json | None = None, own: fleet.Json | None = None, **changes: t.Any
) -> t.Any:
    models = {
        MODEL: {"config": SEES if config is None else config, "problems": [], "notes": [], "weights": {"bytes": 2**20}}
    }
    listed = [fleet.instance(model=MODEL, **{"profile": "mine", **(own or {})})]
    return fleet.outcome(instances=listed, models=models, profiles={"mine": profile}, **changes)


def planned(profile: fleet.Json, *args: t.Any, **changes: t.Any) -> t.Any:
    found = outcome(profile, *args, **changes)
    assert found.errors == ()
    return found.plans[0]


def smoke(*args: t.Any, **changes: t.Any) -> t.Any:
    return planned(*args, **changes)["settings"]["smoke"]


def test_vision_language_has_an_image_answered() -> None:
    short = {"engine_args": {"max_model_len": 4096}}
    assert smoke(fleet.PROFILES["vision_language"], SEES, short, facts=fleet.host_facts(4)) == {"image": True}


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, {"image": True, "stream": True}),
        ({"image": False}, {"stream": True}),
        ({"image": "auto", "stream": "false"}, {"image": "auto", "stream": False}),
        ({"image": "", "stream": None}, {"image": True, "stream": True}),
        ({"max_tokens": 8}, {"image": True, "stream": True, "max_tokens": 8}),
    ],
)
def test_the_instance_beats_its_profile_key_by_key(own: fleet.Json, expected: fleet.Json) -> None:
    profile = {**PICTURES, "smoke": {"image": "true", "stream": "yes", "prompt": "", "json_schema": {}}}
    assert smoke(profile, SEES, {"smoke": own}) == expected


def test_the_profile_beats_the_host_and_a_target_profile_the_instance() -> None:
    host = {"smoke": {"image": False, "deadline": 7}}
    assert smoke(PICTURES, settings=host) == {"image": True, "deadline": 7}
    aimed = {"profile": "", "smoke": {"image": False, "deadline": 7}}
    assert smoke(PICTURES, SEES, aimed, target={"profile": "mine"}) == {"image": True, "deadline": 7}
    assert smoke(PICTURES, SEES, aimed, target={"profile": "mine", "instance": "other"}) == {"deadline": 7}


def test_a_profile_that_demands_nothing_is_as_it_was() -> None:
    assert smoke(PLAIN) == {"image": "auto"} == smoke({**PLAIN, "smoke": {}}) == smoke({**PLAIN, "smoke": None})


def test_a_demand_restarts_nothing() -> None:
    """A host on which the profile had none goes on with the same release, and is told of the demand once."""
    before = planned(PLAIN)
    facts = fleet.facts_with(fleet.observed(before))
    assert planned(PLAIN, facts=facts)["change"] == "none"
    after = planned(PICTURES, facts=facts)
    assert (after["digest"], after["change"]) == (before["digest"], "live")
    assert after["reasons"] == ["smoke.image: auto -> true"]
    assert planned(PICTURES, facts=fleet.facts_with(fleet.observed(after)))["change"] == "none"


@pytest.mark.parametrize(
    ("config", "own", "why"),
    [
        (TEXT, {}, "/srv/models/tiny takes no images (config.json)"),
        (SEES, {"engine_args": NO_IMAGES}, "the engine arguments let no prompt have images"),
        (SEES, {"engine_args": {"language_model_only": True}}, "the engine arguments let no prompt have images"),
        (SEES, {"engine_args": {"runner": "pooling"}}, "the server pools and generates nothing"),
        (SEES, {"smoke": {"chat": False}}, "smoke.chat is false, and it would go in a chat"),
        (WHISPER, {}, "the server transcribes and answers no chat"),
    ],
)
def test_a_server_that_takes_no_images_is_not_asked_and_that_is_said(
    config: fleet.Json, own: fleet.Json, why: str
) -> None:
    without, found = planned(PLAIN, config, own), planned(PICTURES, config, own)
    assert found["settings"]["smoke"] == without["settings"]["smoke"]
    assert found["digest"] == without["digest"]
    assert [text for text in found["warnings"] if NOT_ASKED + why in text] and "image" not in found["settings"]["smoke"]
    assert not [text for text in planned(PICTURES)["warnings"] if NOT_ASKED in text]


@pytest.mark.parametrize(
    ("profile", "says"),
    [
        ({"smoke": {"imag": True}}, "profile mine: smoke has no key imag;"),
        ({"smoke": {"image": "maybe"}}, "profile mine: smoke.image is 'maybe': write auto, true or false."),
        (
            {"smoke": {"prompts": [{"pattern": "x"}]}},
            "profile mine: smoke.prompts[0]: write either a prompt or messages.",
        ),
        ({"smoke": "image"}, "profile mine: smoke is 'image'"),
        ({"smoking": {}}, "profile mine: there is no key smoking. Did you mean smoke?"),
        ({"smoke": {"tool_call": True}}, "instance assistant, profile mine: smoke.tool_call is true, and vLLM"),
        ({"smoke": {"max_tokens": 9999}}, "instance assistant, profile mine: smoke.max_tokens is 9999"),
        ({"smoke": {"dimension": 8}}, "instance assistant, profile mine: smoke.dimension is stated, and"),
        ({"smoke": {"transcription": True}}, "instance assistant, profile mine: smoke.transcription is true, and"),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(profile: fleet.Json, says: str) -> None:
    found = [text for text in outcome({**PLAIN, **profile}, TEXT).errors if text.startswith(says)]
    assert len(found) == 1


def test_what_the_instance_states_itself_is_its_own_mistake() -> None:
    found = outcome({**PLAIN, "smoke": {"tool_call": True}}, TEXT, {"smoke": {"tool_call": True}})
    assert [text for text in found.errors if text.startswith("instance assistant: smoke.tool_call is true")]


def test_a_promotion_has_the_demands_of_the_profile_it_stands_on() -> None:
    models = {MODEL: {"config": SEES, "problems": [], "notes": [], "weights": {"bytes": 2**20}}}
    listed = [fleet.instance(model=MODEL, promotion=["plain", "mine"])]
    profiles = {"plain": PLAIN, "mine": PICTURES}
    found = fleet.outcome(instances=listed, models=models, profiles=profiles)
    assert found.plans[0]["settings"]["smoke"] == {"image": "auto"}
    facts = fleet.facts_with(fleet.observed(found.plans[0]))
    higher = fleet.outcome(instances=listed, models=models, profiles=profiles, facts=facts, target={"profile": "mine"})
    assert (higher.plans[0]["change"], higher.plans[0]["settings"]["smoke"]) == ("live", {"image": True})
