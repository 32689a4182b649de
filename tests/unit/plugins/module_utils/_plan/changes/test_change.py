# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of change, their reasons, and the digest."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.changes import change
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.canonical_json import digest
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

ROLLBACK = "playbooks/rollback.yml -e vllm_server_target_instance=assistant"


def after(changes: dict[str, t.Any], was: dict[str, t.Any] | None = None, **shown: t.Any) -> t.Any:
    """The plan of an instance with `changes`, on a host that serves it as it `was`."""
    before = fleet.plan(instances=[fleet.instance(**(was or {}))])
    facts = fleet.facts_with(fleet.observed(before, **shown), listening=[{"address": "127.0.0.1", "port": 8000}])
    return fleet.plan(facts=facts, instances=[fleet.instance(**changes)])


def test_create() -> None:
    found = fleet.plan()
    assert (found["change"], found["reasons"]) == ("create", ["no verified release is on the host"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"engine_args": {"seed": 1}},
            f"no verified release serves; {{}} is kept, and {ROLLBACK} puts it back",
        ),
        ({}, "no verified release serves; the planned one is kept and was verified before"),
    ],
)
def test_create_where_a_rollout_was_stopped(changes: dict[str, t.Any], reason: str) -> None:
    """The release before it is kept, and somebody may want that one."""
    before = fleet.plan()
    kept = fleet.observed(before)["current"]
    facts = fleet.facts_with(fleet.observed(before, current=None, previous=kept))
    found = fleet.plan(facts=facts, instances=[fleet.instance(**changes)])
    assert (found["change"], found["reasons"]) == ("create", [reason.format(before["digest"][:12])])


@pytest.mark.parametrize(
    "stated",
    [{"watch": {"failure_threshold": 3, "interval": 60}}, {"timeouts": {"hold": 60, "pull": 3600, "drain": 0}}],
)
def test_a_default_that_is_stated_is_no_difference(stated: dict[str, t.Any]) -> None:
    assert after(stated)["change"] == "none"
    assert after({}, stated)["change"] == "none"


def test_nothing_changes() -> None:
    found = after({})
    assert (found["change"], found["reasons"]) == ("none", [])


@pytest.mark.parametrize(
    ("was", "changes", "reason"),
    [
        ({"engine_args": {"max_num_seqs": 4}}, {"engine_args": {"max_num_seqs": 8}}, "max_num_seqs: 4 -> 8 (instance)"),
        ({}, {"engine_args": {"max_num_seqs": 8}}, "max_num_seqs: vllm default -> 8 (instance)"),
        ({"engine_args": {"max_num_seqs": 8}}, {}, "max_num_seqs: 8 -> vllm default (no layer sets it any more)"),
        ({}, {"port": 8001}, "port: 8000 -> 8001"),
        ({}, {"bind": "0.0.0.0"}, "bind: 127.0.0.1 -> 0.0.0.0"),
        ({}, {"model": "/srv/models/other"}, "model: /srv/models/tiny -> /srv/models/other"),
        ({}, {"served_model_name": ["a", "b"]}, 'served_model_name: ["assistant"] -> ["a","b"]'),
        ({}, {"env": {"A": 1}}, "env.A: unset -> 1"),
        ({}, {"gpus": [1]}, "gpus: cdi GPU-0 -> cdi GPU-1"),
    ],
)
def test_restart(was: t.Any, changes: t.Any, reason: t.Any) -> None:
    found = after(changes, was)
    assert found["change"] == "restart"
    assert reason in found["reasons"]


def test_restart_says_what_runs_now() -> None:
    found = after({"engine_args": {"max_num_seqs": 8}}, {"engine_args": {"max_num_seqs": 4}})
    assert found["arguments"] == [{"name": "max_num_seqs", "value": 8, "origin": "instance", "from_value": 4}]


def test_live() -> None:
    found = after({"sampling": {"temperature": 0.5}}, {"sampling": {"temperature": 0.7, "top_p": 0.9}})
    assert found["change"] == "live"
    assert found["reasons"] == ["sampling.temperature: 0.7 -> 0.5", "sampling.top_p: 0.9 -> unset"]


@pytest.mark.parametrize(
    "sampling",
    [
        {"temperature": 0.5, "top_p": 0.9},
        {"alternatives": {"temperature": 0.9, "max_tokens": 512}, "tool_call": {"temperature": 0.0}},
        {"output_reserve": 300, "safety_margin": 128, "minimum_output": 64, "context_limit": 900},
        {},
    ],
)
def test_sampling_phases_and_budgets_restart_nothing(sampling: t.Any) -> None:
    """The release is the same to the byte, and its digest with it: no container can tell."""
    before = fleet.plan(instances=[fleet.instance(sampling={"temperature": 0.7, "effort": {"top_p": 0.6}})])
    wanted = [fleet.instance(sampling=sampling)]
    found = fleet.plan(instances=wanted, facts=fleet.facts_with(fleet.observed(before)))
    assert (found["change"], found["downtime_seconds"]) == ("live", 0.0)
    assert found["release"] == before["release"]
    assert found["digest"] == before["digest"]
    assert fleet.plan(instances=wanted, facts=fleet.facts_with(fleet.observed(found)))["change"] == "none"


def test_client_files_that_were_changed_by_hand_are_written_again() -> None:
    found = after({}, client_files_differ=["/etc/gpufleet/assistant/client.env"])
    assert found["change"] == "live"
    assert found["reasons"] == ["/etc/gpufleet/assistant/client.env is missing or was changed by hand"]


def test_repair() -> None:
    found = after({}, healthy=False, unhealthy_because="its container is exited (exit code 0)")
    assert (found["change"], found["reasons"]) == ("repair", ["its container is exited (exit code 0)"])


@pytest.mark.parametrize(("image_id", "change"), [("sha256:aa", "none"), ("sha256:bb", "restart"), (None, "none")])
def test_image_behind_a_tag(image_id: t.Any, change: t.Any) -> None:
    image = fleet.task()["image"]
    facts = fleet.facts_with(
        fleet.observed(fleet.plan()), images={image: image_id and {"id": image_id, "repo_digests": []}}
    )
    found = fleet.plan(facts=facts)
    assert found["change"] == change
    assert found["image_id"] == image_id


@pytest.mark.parametrize(
    ("was", "changes", "reasons"),
    [
        (
            {},
            {"smoke": {"prompt": "x"}, "timeouts": {"stop": 5}},
            ["smoke.prompt: unset -> x", "timeouts.stop: 30 -> 5"],
        ),
        (
            {"watch": {"failure_threshold": 3}},
            {"watch": {"failure_threshold": 2, "enabled": "no"}},
            ["watch.enabled: true -> false", "watch.failure_threshold: 3 -> 2"],
        ),
        ({"watch": {"failure_threshold": 2}}, {}, ["watch.failure_threshold: 2 -> 3"]),
    ],
)
def test_settings_reach_the_host_without_a_restart(was: t.Any, changes: t.Any, reasons: list[str]) -> None:
    found = after(changes, was)
    assert (found["change"], found["reasons"]) == ("live", reasons)
    assert after(changes, changes)["change"] == "none"


@pytest.mark.parametrize(
    ("running", "wanted", "reasons"),
    [
        ({}, {"on_failure": "stop"}, ["on_failure: unset -> stop"]),
        ({"on_failure": "stop"}, {"on_failure": "stop"}, []),
        ({"prompts": ["a"]}, {"prompts": {"a": 1}}, ['prompts: ["a"] -> {"a":1}']),
        ({"smoke": None}, {"smoke": {}}, []),
        ({}, {"profile": "safe"}, []),
    ],
)
def test_a_setting_need_not_be_a_mapping(running: t.Any, wanted: t.Any, reasons: list[str]) -> None:
    assert change.settings_differences(running, wanted) == reasons


def test_settings_of_a_state_that_was_rebuilt_are_told_anew() -> None:
    observation = fleet.observed(fleet.plan(instances=[fleet.instance(timeouts={"ready": 5})]))
    observation["current"]["settings"] = {}
    found = fleet.plan(facts=fleet.facts_with(observation), instances=[fleet.instance(timeouts={"ready": 5})])
    assert found["change"] == "live"
    assert {"timeouts.ready: unset -> 5", "on_failure: unset -> rollback"} <= set(found["reasons"])


def test_inactive_instance_is_removed_while_it_runs() -> None:
    assert after({"active": False})["change"] == "remove"
    assert fleet.plan(instances=[fleet.instance(active=False)])["change"] == "none"


@pytest.mark.parametrize(
    ("stated", "remove"),
    [(True, True), (False, False), ("true", True), ("Yes", True), ("on", True), ("1", True), (1, True),
     ("false", False), ("False", False), ("no", False), ("off", False), ("0", False), (0, False), (None, False),
     ("", False)],
)  # fmt: skip
def test_unlisted_instance(stated: t.Any, remove: bool) -> None:
    facts = fleet.facts_with(fleet.observed(fleet.plan()))
    found = fleet.outcome(facts=facts, instances=[], remove_unlisted=stated)
    assert found.errors == ()
    assert [plan["change"] for plan in found.plans] == ["remove"] * remove
    assert found.changed is remove
    assert bool(found.warnings) is not remove


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"failed": "both are down", "healthy": False}, "neither go on nor go back: both are down."),
        ({"rebuilt": "state.json is damaged"}, "state.json is damaged."),
        (
            {"previous": {"digest": "a" * 64}, "previous_gone": "its container is gone"},
            f": the release before it, {'a' * 12}, is not whole: its container is gone.",
        ),
        ({"cut_off": True}, "was cut off, and is rolled back first: it serves meanwhile."),
        ({"cut_off": True, "healthy": False}, "was cut off, and is rolled back first: it does not serve until then."),
    ],
)
def test_what_to_heed_about_the_state(state: t.Any, says: t.Any) -> None:
    planned = fleet.plan(facts=fleet.facts_with(fleet.observed(fleet.plan(), **state)))
    assert planned["change"] == ("none" if state.get("healthy", True) else "repair")
    assert says in " ".join(planned["warnings"])


@pytest.mark.parametrize(
    ("stated", "running", "on_disk", "planned"),
    [
        ("a" * 40, None, None, "a" * 40),
        ("a" * 40, "b" * 40, "c" * 40, "a" * 40),
        (None, "b" * 40, "c" * 40, "b" * 40),
        (None, None, "c" * 40, "c" * 40),
        (None, None, None, None),
    ],
)
def test_revision(stated: t.Any, running: t.Any, on_disk: t.Any, planned: t.Any) -> None:
    hub = {"model": "org/m", "revision": stated}
    models = {"org/m": {"revision": on_disk, "config": None, "problems": [], "notes": []}}
    observations = []
    if running:
        observations = [fleet.observed(fleet.plan(instances=[fleet.instance(**{**hub, "revision": running})]))]
    found = fleet.plan(facts=fleet.facts_with(*observations), models=models, instances=[fleet.instance(**hub)])
    assert found["release"]["model"] == {"id": "org/m", "path": None, "revision": planned}
    assert (["--revision", planned] == found["release"]["command"][7:9]) is bool(planned)


def test_download_that_has_ended_changes_nothing() -> None:
    hub = [fleet.instance(model="org/m")]
    facts = fleet.facts_with(fleet.observed(fleet.plan(instances=hub)))
    models = {"org/m": {"revision": "c" * 40, "config": {}, "problems": [], "notes": []}}
    assert fleet.plan(facts=facts, models=models, instances=hub)["change"] == "none"


def test_release_document() -> None:
    settings = {"hub_dir": "/srv/hub", "cache_dir": "/srv/cache", "shm_size": "4g", "ipc": "host", "env": {"A": 1}}
    found = fleet.plan(settings=settings, instances=[fleet.instance(model="org/m", bind="0.0.0.0", env={"B": "x"})])
    release = found["release"]
    assert release["container"] == {
        "schema": 2,
        "name": "vllm-assistant",
        "shm_size_mib": 4096,
        "ipc": "host",
        "volumes": [
            "/srv/cache-by-instance/assistant:/var/cache/gpufleet/vllm:rw",
            "/srv/hub:/var/cache/gpufleet/hub:rw",
        ],
        "container_port": 8000,
    }
    assert release["env"] == {
        "A": "1",
        "B": "x",
        "HF_HUB_CACHE": "/var/cache/gpufleet/hub",
        "VLLM_CACHE_ROOT": "/var/cache/gpufleet/vllm",
    }
    assert release["gpus"] == {"mode": "cdi", "uuids": ["GPU-0"]}
    assert found["client"]["base_url"] == "http://127.0.0.1:8000/v1"
    assert found["digest"] == digest(json.loads(json.dumps(release)))


def test_model_at_a_path_is_mounted_where_it_is() -> None:
    release = fleet.plan(settings={"hub_dir": "/srv/hub"})["release"]
    assert release["container"]["volumes"] == ["/srv/models/tiny:/srv/models/tiny:ro"]
    assert release["model"] == {"id": "/srv/models/tiny", "path": "/srv/models/tiny", "revision": None}
    assert release["command"][0] == "/srv/models/tiny"


def test_cpu_class_has_no_gpus() -> None:
    release = fleet.plan(host_class="cpu", facts=fleet.host_facts(0))["release"]
    assert release["gpus"] == {"mode": "none", "uuids": []}


ARGUMENTS = st.dictionaries(
    st.sampled_from(["max_num_seqs", "max_model_len", "block_size", "max_loras", "stream_interval", "seed"]),
    st.integers(min_value=1024, max_value=4096),
    min_size=1,
)


@given(arguments=ARGUMENTS, env=st.dictionaries(st.sampled_from("ABCDEF"), st.text("xyz")), data=st.data())
def test_order_never_changes_the_digest(arguments: t.Any, env: t.Any, data: t.Any) -> None:
    arguments.pop("max_num_seqs", None)

    def shuffled(given: dict[str, t.Any]) -> dict[str, t.Any]:
        return dict(data.draw(st.permutations(list(given.items()))))

    one = fleet.instance(engine_args=arguments, env=env, gpus=[0, 1])
    other = shuffled(fleet.instance(engine_args=shuffled(arguments), env=shuffled(env), gpus=[1, 0]))
    two = {"class_engine_args": {"tensor_parallel_size": 2}}
    assert fleet.plan(instances=[one], **two)["digest"] == fleet.plan(instances=[other], **two)["digest"]


@pytest.mark.parametrize("spelling", [{"max_model_len": 32768}, {"--max-model-len": "32K"}, {"max-model-len": "32768"}])
def test_spelling_never_changes_the_digest(spelling: t.Any) -> None:
    same = fleet.plan(instances=[fleet.instance(engine_args={"max_model_len": 32768})])
    assert fleet.plan(instances=[fleet.instance(engine_args=spelling)])["digest"] == same["digest"]


def test_order_of_instances_never_changes_a_digest() -> None:
    two = [fleet.instance(), fleet.instance(name="other", port=8001)]
    one_way, other_way = fleet.outcome(instances=two), fleet.outcome(instances=two[::-1])
    assert {p["instance"]: p["digest"] for p in one_way.plans} == {p["instance"]: p["digest"] for p in other_way.plans}
