# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances of one host with images and releases of their own."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import planner, stated, upgrade
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import inputs
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory.images import Planned
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory.images import stated as images_of
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.fleet import release_of

Json = dict[str, t.Any]
OLD, NEW = "docker.io/vllm/vllm-openai:v0.17.0", "docker.io/vllm/vllm-openai:v0.33.0"
PINNED = f"{OLD}@sha256:{'a' * 64}"
FOREIGN = "registry.example/odd:7"
ADVISORIES = {
    "date": "2026-11-20",
    "refused_below": "0.14.1",
    "advisories": [
        {"id": "GHSA-1", "introduced": "0.10.0", "fixed": "0.30.0"},
        {"id": "GHSA-2", "introduced": "0.31.0", "fixed": "0.34.0"},
    ],
}


def two(**own: t.Any) -> list[Json]:
    return [fleet.instance(name="core"), fleet.instance(name="ahead", port=8001, **own)]


def task(**changes: t.Any) -> Json:
    return {"image": OLD, "version": "0.17.0", **changes}


def outcome(**changes: t.Any) -> planner.Outcome:
    return fleet.outcome(**task(**changes))


def released(found: planner.Outcome) -> dict[str, tuple[str, str]]:
    assert found.errors == ()
    return {one["instance"]: (release_of(one)["image"], release_of(one)["version"]) for one in found.plans}


def read(**changes: t.Any) -> inputs.Inputs:
    errors: list[str] = []
    found = inputs.read(fleet.task(**task(**changes)), fleet.HISTORY, fleet.READINGS, errors)
    assert errors == []
    return found


def serving(found: planner.Outcome) -> Json:
    """The host after it has carried everything out, with the images there."""
    facts: Json = fleet.host_facts()
    facts["instances"] = [fleet.observed(one) for one in found.plans]
    facts["images"] = {release_of(one)["image"]: {"id": "sha256:aa"} for one in found.plans}
    return facts


@pytest.mark.parametrize(
    ("own", "planned"),
    [
        ({}, (OLD, "0.17.0")),
        ({"image": "", "version": None}, (OLD, "0.17.0")),
        ({"image": NEW, "version": "0.33.0"}, (NEW, "0.33.0")),
        ({"image": NEW}, (NEW, "0.33.0")),
        ({"version": "0.33.0"}, (NEW, "0.33.0")),
        ({"image": FOREIGN}, (FOREIGN, "0.17.0")),
        ({"image": FOREIGN, "version": "0.33.0"}, (FOREIGN, "0.33.0")),
    ],
)
def test_an_instance_has_its_own_or_the_hosts(own: Json, planned: tuple[str, str]) -> None:
    alone, found = outcome(instances=two()), outcome(instances=two(**own))
    assert released(found) == {"core": (OLD, "0.17.0"), "ahead": planned}
    assert next(one for one in found.plans if one["instance"] == "core")["digest"] == alone.plans[0]["digest"]
    assert set(images_of(Planned(OLD, "0.17.0"), two(**own), "", "")) == {Planned(OLD, "0.17.0"), Planned(*planned)}


def test_a_pinned_image_is_another_one_at_another_release() -> None:
    found = outcome(image=PINNED, instances=two(version="0.33.0"))
    assert released(found) == {"core": (PINNED, "0.17.0"), "ahead": (NEW, "0.33.0")}
    notes = {one["instance"]: " ".join(one["notes"]) for one in found.plans}
    assert "has no digest" in notes["ahead"] and "has no digest" not in notes["core"]


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({"image": "two words"}, "instance ahead: image is 'two words': write the name of an image"),
        ({"image": "--privileged"}, "instance ahead: image is '--privileged': write the name of an image"),
        ({"image": ["x"]}, "instance ahead: image is ['x']: write a text, in quotes."),
        ({"version": 0.33}, "instance ahead: version is 0.33: write a text, in quotes."),
        ({"version": "newest"}, "instance ahead: version is 'newest': write the vLLM release"),
        ({"version": "0.2.0", "image": FOREIGN}, "0.2.0"),
        (
            {"image": NEW, "version": "0.32.0"},
            f"instance ahead: The image {NEW} is of vLLM 0.33.0 by its tag and the version is 0.32.0: make",
        ),
    ],
)
def test_what_is_wrong_with_them_is_told_with_the_instance(own: Json, says: str) -> None:
    found = outcome(instances=two(**own), engine_args={})
    assert any(says in text for text in found.errors), found.errors


def test_arguments_are_planned_against_the_instances_own_release() -> None:
    """swap_space is gone since 0.18.0."""
    swapping = {"engine_args": {"swap_space": 4}}
    both = [{**one, **swapping} for one in two(version="0.33.0")]
    (found,) = outcome(instances=both).errors
    assert found.startswith("instance ahead") and "swap_space is gone" in found
    (said,) = stated.problems(read(instances=both))
    assert said == found
    of_class = outcome(instances=two(version="0.33.0"), class_engine_args={"swap_space": 4}).errors
    assert len(of_class) == 1 and of_class[0].startswith("class gpu_test")


def test_the_driver_is_held_against_each_image() -> None:
    facts = fleet.host_facts()
    facts["driver"] = {"version": "570.124.06"}
    (found,) = outcome(instances=two(version="0.33.0"), facts=facts).errors
    assert found.startswith("instance ahead: The image brings CUDA 13.0, which takes driver 580 or newer")


def test_advisories_hold_for_each_release() -> None:
    found = outcome(instances=two(version="0.33.0"), advisories=ADVISORIES)
    assert {row["id"] for row in found.advisories} == {"GHSA-1", "GHSA-2"}
    assert [text.split(" has ")[0] for text in found.warnings if "advisor" in text] == ["vLLM 0.17.0", "vLLM 0.33.0"]
    reached = [{**one, "bind": "0.0.0.0"} for one in two(version="0.14.0")]
    errors = [text for text in outcome(instances=reached, advisories=ADVISORIES).errors if "below 0.14.1" in text]
    assert [text.split(":")[0] for text in errors] == ["instance ahead"]


def test_images_of_others_are_told_of_each() -> None:
    notes = {one["instance"]: " ".join(one["notes"]) for one in outcome(instances=two(image=FOREIGN)).plans}
    assert "The image is registry.example/odd, not" in notes["ahead"] and "registry.example" not in notes["core"]


def test_each_image_is_known_by_its_own_id() -> None:
    found = outcome(instances=two(version="0.33.0"))
    facts = serving(found)
    assert [one["change"] for one in outcome(instances=two(version="0.33.0"), facts=facts).plans] == ["none", "none"]
    facts["images"][NEW] = {"id": "sha256:bb"}
    changed = {one["instance"]: one for one in outcome(instances=two(version="0.33.0"), facts=facts).plans}
    assert (changed["core"]["change"], changed["ahead"]["change"]) == ("none", "restart")
    assert changed["ahead"]["image_id"] == "sha256:bb"


@pytest.mark.parametrize(
    ("changes", "ahead"),
    [
        ({"target": {"instance": "ahead", "version": "0.33.0"}}, (NEW, "0.33.0")),
        ({"target": {"instance": "ahead", "version": "0.33.0"}, "image": NEW}, (NEW, "0.33.0")),
        ({"target": {"instance": "ahead"}, "image": NEW, "version": "0.33.0"}, (NEW, "0.33.0")),
        ({"target": {"instance": "ahead", "version": "0.17.0"}, "image": FOREIGN}, (FOREIGN, "0.17.0")),
    ],
    ids=["version", "version and image", "a changed inventory", "a rebuilt image"],
)
def test_a_target_instance_alone_moves(changes: Json, ahead: tuple[str, str]) -> None:
    facts = serving(outcome(instances=two()))
    found = outcome(instances=two(), facts=facts, **changes)
    assert released(found) == {"core": (OLD, "0.17.0"), "ahead": ahead}
    assert {one["instance"]: one["change"] for one in found.plans} == {"core": "none", "ahead": "restart"}


def test_a_target_instance_elsewhere_moves_nothing_here() -> None:
    facts = serving(outcome(instances=two()))
    found = outcome(instances=two(), facts=facts, image=NEW, version="0.33.0", target={"instance": "other"})
    assert {one["change"] for one in found.plans} == {"none"}
    assert any("is not on this host" in text and "keeps its image" in text for text in found.warnings)
    kept = f"image {OLD} and version 0.17.0 stay those that serve: vllm_server_target_instance is other."
    assert all(kept in one["notes"] for one in found.plans)


def test_a_target_instance_moves_what_states_its_own() -> None:
    found = outcome(instances=two(image=OLD), target={"instance": "ahead", "version": "0.33.0"})
    assert released(found) == {"core": (OLD, "0.17.0"), "ahead": (NEW, "0.33.0")}


def test_a_target_version_passes_by_what_states_its_own() -> None:
    found = outcome(instances=two(version="0.32.0"), image=NEW, target={"version": "0.33.0"})
    assert released(found)["core"] == (NEW, "0.33.0") and released(found)["ahead"][1] == "0.32.0"
    told = {one["instance"]: " ".join(one["notes"]) for one in found.plans}
    assert "vllm_server_target_instance=ahead plans it at 0.33.0" in told["ahead"] and "passes by" not in told["core"]


def test_an_upgrade_is_compared_for_the_target_instance() -> None:
    asked = read(instances=two(), target={"instance": "ahead", "version": "0.33.0"})
    assert upgrade.wanted(asked)
    asked = upgrade.target(asked)
    found = upgrade.compare(asked, planner.plan_host(asked))
    assert (found["from"], found["to"], found["image"]) == ("0.17.0", "0.33.0", NEW)
    assert {one["instance"] for one in found["changes"] if one["instance"]} == {"ahead"}
    assert any(one["kind"] == "default" for one in found["changes"])


@pytest.mark.parametrize(
    "target", [{"instance": "ahead", "version": "0.17.0"}, {"instance": "no", "version": "0.33.0"}]
)
def test_nothing_to_compare(target: Json) -> None:
    asked = read(instances=two(), target=target)
    assert upgrade.compare(asked, planner.plan_host(asked)) == {}


@pytest.mark.parametrize(
    ("instances", "target", "found"),
    [
        ([], ("", ""), [(OLD, "0.17.0")]),
        ("nonsense", ("", ""), [(OLD, "0.17.0")]),
        ([5, {"name": "a", "image": FOREIGN}], ("", ""), [(FOREIGN, "0.17.0")]),
        ([{"name": "a"}, {"name": "b"}], ("b", "0.33.0"), [(OLD, "0.17.0"), (NEW, "0.33.0")]),
    ],
)
def test_images_before_anything_is_planned(instances: t.Any, target: tuple[str, str], found: t.Any) -> None:
    assert images_of(Planned(OLD, "0.17.0"), instances, *target) == found


def test_a_host_states_none_where_each_instance_has_its_own() -> None:
    """As `playbooks/adopt.yml` writes it."""
    own = {"image": NEW, "version": "0.33.0"}
    both = [fleet.instance(name="core", **own), fleet.instance(name="ahead", port=8001, **own)]
    assert released(outcome(image="", version="", instances=both)) == {
        "core": (NEW, "0.33.0"),
        "ahead": (NEW, "0.33.0"),
    }
    assert outcome(image="", version="", instances=two(**own)).errors[:2] == (
        "vllm_server_image is empty: state the image that runs.",
        "vllm_server_version is empty: state the vLLM release that the image was built from, such as 0.32.0.",
    )
    # What one states is not taken for another, whoever stands first.
    assert len(outcome(image="", version="", instances=two(**own)[::-1]).errors) >= 2
    assert len(outcome(image="", version="", instances=[]).errors) == 2
