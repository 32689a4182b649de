# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Container settings have a schema: what serves with an older one is left alone until something restarts it."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker import hardening
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import report
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings import canonical_json, renamed
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet, shipped
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.fleet import Json, release_of

# What the program before container settings had a schema made of the inventories of the collection.
DATA = fleet.ROLE.parents[1] / "tests" / "data" / "releases"
SCHEMA_1: dict[str, Json] = json.loads((DATA / "schema-1.json").read_text())
HOSTS = shipped.hosts()
DUE = "hardening due at its next restart"
CACHE = {"cache_dir": "/srv/cache"}


def serving(instance: Json | None = None, **changes: t.Any) -> Json:
    """What a host shows that serves an instance with container settings of schema 1."""
    newest = fleet.plan(instances=[instance or fleet.instance()], settings=CACHE)
    container = dict(newest["release"]["container"])
    del container["schema"]
    container["volumes"] = ["/srv/cache:/var/cache/gpufleet/vllm:rw", "/srv/models/tiny:/srv/models/tiny:ro"]
    release = {**newest["release"], "container": container}
    seen = fleet.observed({**newest, "release": release, "digest": canonical_json.digest(release)})
    return {**seen, "current": {**seen["current"], **changes}}


def again(seen: Json, instance: Json | None = None, **changes: t.Any) -> t.Any:
    facts = fleet.facts_with(seen, **changes.pop("facts", {}))
    return fleet.plan(instances=[instance or fleet.instance()], settings=CACHE, facts=facts, **changes)


@pytest.mark.parametrize("host", sorted({name.rpartition("/")[0] for name in SCHEMA_1}))
def test_no_host_of_the_inventories_is_restarted_by_an_upgrade(host: str) -> None:
    recorded = {name.rpartition("/")[2]: found for name, found in SCHEMA_1.items() if name.startswith(f"{host}/")}
    assert recorded
    active = {str(one["name"]) for one in HOSTS[host]["vllm_server_instances"] if one.get("active", True)}
    seen = [
        fleet.observed(
            {**found, "instance": name, "settings": renamed.settings(found["settings"])}
        )  # as state.load does
        for name, found in recorded.items()
        if name in active
    ]
    # The inventories go on to newer releases of vLLM, which do restart; the recorded ones do not.
    served = next(iter(recorded.values()))["release"]
    then = {"vllm_server_version": served["version"], "vllm_server_image": served["image"]}
    found = shipped.plan({**HOSTS[host], **then}, seen)
    assert found.errors == ()
    assert [plan["change"] for plan in found.plans] == ["none"] * len(found.plans)
    for plan in found.plans:
        if plan["instance"] in active:
            assert (plan["digest"], plan["release"]) == tuple(
                recorded[plan["instance"]][key] for key in ("digest", "release")
            )
            assert DUE in report.block(plan)


@pytest.mark.parametrize("host", sorted(HOSTS))
def test_what_nobody_serves_yet_has_the_newest(host: str) -> None:
    for plan in shipped.plan(HOSTS[host]).plans:
        assert release_of(plan)["container"]["schema"] == hardening.NEWEST
        assert not any(DUE in note for note in plan["notes"])


def test_asked_for_it_restarts_once() -> None:
    due = again(serving(), apply_hardening=True)
    assert (due["change"], due["reasons"]) == ("restart", ["container settings: schema 1 -> schema 2"])
    after = again(fleet.observed(due), apply_hardening=True)
    assert after["change"] == "none" and not any(DUE in note for note in after["notes"])


def test_whatever_restarts_it_brings_the_newest() -> None:
    changed = fleet.instance(engine_args={"max_num_seqs": 4})
    due = again(serving(), changed)
    assert due["release"]["container"]["schema"] == hardening.NEWEST
    assert due["reasons"] == [
        "max_num_seqs: vllm default -> 4 (instance)",
        "container settings: schema 1 -> schema 2",
    ]
    moved = again(serving(), facts={"images": {"vllm/vllm-openai:v0.32.0": {"id": "sha256:bb"}}})
    assert (moved["change"], moved["release"]["container"]["schema"]) == ("restart", hardening.NEWEST)


def test_a_repair_makes_what_was_verified() -> None:
    seen = {**serving(), "healthy": False, "unhealthy_because": "its container is gone"}
    plan = again(seen)
    assert (plan["change"], plan["digest"]) == ("repair", seen["current"]["digest"])


def test_what_was_rejected_before_the_upgrade_is_not_tried_by_it() -> None:
    """The planned release failed with the old settings, and the one before it serves: the nightly run leaves it so."""
    failed = serving(fleet.instance(engine_args={"max_num_seqs": 4}))["current"]["digest"]
    rejected = [{"digest": failed, "failure_class": "oom", "cause": "no room", "advice": "", "at": "T", "image_id": ""}]
    seen = {**serving(), "rejected": rejected}
    wanted = [fleet.instance(engine_args={"max_num_seqs": 4})]
    found = fleet.outcome(instances=wanted, settings=CACHE, facts=fleet.facts_with(seen))
    assert "exactly this release was tried at T and failed (oom)" in found.errors[0]
    assert again(seen, wanted[0], retry=True)["change"] == "restart"


def test_a_rung_that_stands_in_is_left_standing() -> None:
    planned = serving()["current"]["digest"]
    lower = serving(fleet.instance(engine_args={"max_num_seqs": 1}), fallback_of=planned, fallback="max_num_seqs -> 1")
    for applies in (False, True):
        plan = again(lower, apply_hardening=applies)
        assert (plan["change"], plan["stands_in"], plan["digest"]) == ("none", True, planned)
    assert again(lower, retry=True)["release"]["container"]["schema"] == hardening.NEWEST


def test_what_a_newer_program_made_is_said() -> None:
    seen = serving()
    seen["current"]["release"]["container"]["schema"] = hardening.NEWEST + 1
    found = fleet.outcome(settings=CACHE, facts=fleet.facts_with(seen))
    assert "a newer one made it, use that one" in found.errors[0]


def test_a_cache_of_its_own_beside_the_shared_one() -> None:
    """Not within it: engines of older settings write there, and could put anything into the folder of another."""
    volumes = fleet.plan(settings=CACHE)["release"]["container"]["volumes"]
    assert volumes[0] == "/srv/cache-by-instance/assistant:/var/cache/gpufleet/vllm:rw"
    named = fleet.plan(settings={"cache_dir": "kernels"})["release"]["container"]["volumes"]
    assert "kernels-assistant:/var/cache/gpufleet/vllm:rw" in named


def test_options_are_in_the_release_only_where_they_are_stated() -> None:
    plain_one = fleet.plan(settings=CACHE)["release"]
    assert not {"memory_limit_mib", "user"} & set(plain_one["container"]) and "HOME" not in plain_one["env"]
    stated = fleet.instance(memory_limit="64g", container_user=1000)
    found = fleet.plan(instances=[stated], settings=CACHE)["release"]
    assert (found["container"]["memory_limit_mib"], found["container"]["user"]) == (65536, "1000:1000")
    assert (found["env"]["HOME"], found["env"]["USER"]) == ("/var/cache/gpufleet/vllm", "vllm")
    assert found["container"]["volumes"][0].startswith("/srv/cache-by-instance/assistant.1000:")
    diff = fleet.outcome(instances=[stated], settings=CACHE).diff[0]["after"]
    assert "  memory_limit_mib: 65536\n  schema: 2\n  user: 1000:1000\n" in diff


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"memory_limit": "lots"}, "memory_limit is 'lots': write a size from 6m to 65536g, such as 64g"),
        ({"memory_limit": 0}, "memory_limit is 0: write a size"),
        ({"memory_limit": True}, "memory_limit is True"),
        ({"memory_limit": "1k"}, "memory_limit is '1k': write a size from 6m to 65536g"),
        ({"memory_limit": "1m"}, "memory_limit is '1m': write a size from 6m to 65536g"),
        ({"memory_limit": "999999t"}, "memory_limit is '999999t': write a size from 6m to 65536g"),
        ({"memory_limit": "65537g"}, "memory_limit is '65537g': write a size from 6m to 65536g"),
        ({"memory_limit": "1g"}, "memory_limit is 1024 MiB, of which shared memory may take 2048 MiB"),
        ({"memory_limit": "512g"}, "memory_limit is 524288 MiB and the host has 65536"),
        ({"container_user": "vllm"}, "container_user is 'vllm': write a user's number such as 1000"),
        ({"container_user": "1000:"}, "container_user is '1000:'"),
        ({"container_user": -1}, "container_user is -1"),
        ({"container_user": 4294967295}, "container_user is 4294967295"),
    ],
)
def test_what_is_no_option_is_refused(stated: Json, said: str) -> None:
    facts = {**fleet.host_facts(), "memory_mib": {"total": 65536}}
    found = fleet.outcome(instances=[fleet.instance(**stated)], facts=facts)
    assert len(found.errors) == 1 and found.errors[0].startswith("instance assistant: ") and said in found.errors[0]


def test_a_user_needs_a_folder_for_the_cache() -> None:
    found = fleet.outcome(instances=[fleet.instance(container_user=7)], settings={"cache_dir": "kernels"})
    assert "set vllm_server_cache_dir to a folder of the host" in found.errors[0]
