# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of our settings when others have theirs."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime import daemon_json, settings
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime.settled import Settled, settle
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._runtime.hosts import asked, facts, running

Json = dict[str, t.Any]
OURS = settings.wanted(asked(), False).all
OUT_OF_DATE = "The record of which settings in daemon.json are ours is out of date."


def settled(values: Json, ours: Json | None = None, engine: Json | None = None, **stated: t.Any) -> Settled:
    seen = {"values": values, "ours": ours or {}, "pending": False, "problem": "", "nofile_most": None}
    return settle(facts(**running(**(engine or {})), settings=seen), asked(**stated), False)


def becomes(values: Json, ours: Json, made: Settled, **stated: t.Any) -> Json:
    return daemon_json.merge(values, ours, made.settings, stated.get("take_over", ())).config


def test_what_was_ours_and_is_changed_by_somebody_stays_theirs_and_the_rest_stays() -> None:
    values = {**OURS, "log-opts": {"max-size": "9m", "max-file": "3"}}
    made = settled(values, OURS)
    assert (made.errors, made.missing) == ([], [OUT_OF_DATE])
    assert becomes(values, OURS, made) == values


def test_what_was_ours_goes_where_docker_would_not_start_with_it() -> None:
    values = {**OURS, "log-driver": "journald"}
    made = settled(values, OURS)
    assert made.missing == [
        "daemon.json says log-opts.max-size, log-opts.max-file, which no variable asks for any more."
    ]
    assert becomes(values, OURS, made)["log-driver"] == "journald"
    assert "log-opts" not in becomes(values, OURS, made)


def test_live_restore_that_was_ours_goes_when_the_host_joins_a_swarm() -> None:
    made = settled(OURS, OURS, {"swarm": True})
    assert made.missing == ["daemon.json says live-restore, which no variable asks for any more."]
    assert "node of a swarm" in made.warnings[0]


def test_a_default_that_is_named_to_take_over_is_asked_for() -> None:
    values, stated = {"log-opts": {"max-size": "9m"}}, {"take_over": ["log-opts.max-size"], "live_restore": False}
    made = settled(values, {}, {"running_containers": ["web"]}, **stated)
    # Its restart is refused by docker_daemon, and not passed over in silence.
    assert made.settings["log-opts"] == {"max-size": "50m"}
    assert "log-opts.max-size" not in made.warnings[0]


@pytest.mark.parametrize(("stop", "left_out"), [(False, True), (True, False)])
def test_defaults_wait_where_a_restart_would_stop_containers(stop: bool, left_out: bool) -> None:
    made = settled({}, {}, {"running_containers": ["web"]}, live_restore=False, stop_containers=stop)
    assert ("log-opts" not in made.settings, bool(made.warnings)) == (left_out, left_out)


def test_a_restart_that_containers_survive_is_none_to_wait_for() -> None:
    assert settled({}, {}, {"running_containers": ["web"]}).warnings == []


def test_what_facts_do_not_show_is_compared_on_the_host() -> None:
    proxies = {"proxies": {"http-proxy": "http://proxy.example.com:3128"}}
    made = settled(OURS, OURS, daemon_options=proxies)
    assert (made.missing, made.unseen) == ([], True)
    assert made.settings["proxies"] == proxies["proxies"]
    assert settled(OURS, OURS).unseen is False


@pytest.mark.parametrize(
    ("options", "ulimits", "driver"),
    [
        (
            {"default-ulimits": {"memlock": {"Name": "memlock", "Hard": -1, "Soft": -1}}},
            ["memlock", "nofile"],
            "json-file",
        ),
        ({"default-ulimits": {"nofile": {"Name": "nofile", "Hard": 9, "Soft": 9}}}, ["nofile"], "json-file"),
        ({"log-driver": "journald"}, ["nofile"], "journald"),
        ({"log-opts": {"tag": "x"}}, ["nofile"], "json-file"),
        ({"log-opts": {"max-size": "9m"}}, ["nofile"], None),
    ],
)
def test_an_option_of_the_daemon_that_is_stated_takes_the_place_of_a_default(
    options: Json, ulimits: list[str], driver: str | None
) -> None:
    made = settled({}, daemon_options=options)
    assert made.errors == []
    assert (sorted(made.settings["default-ulimits"]), made.settings.get("log-driver")) == (ulimits, driver)
    for key, value in options.items():
        assert {**made.settings[key], **value} == made.settings[key] if isinstance(value, dict) else value == driver


@pytest.mark.parametrize(
    ("stated", "sets"),
    [
        ({"log_max_size": "0"}, {}),
        ({"log_max_size": "20m"}, {"log-driver": "json-file", "log-opts": {"max-file": "3", "max-size": "20m"}}),
        ({"log_max_files": 9}, {"log-driver": "json-file", "log-opts": {"max-size": "50m", "max-file": "9"}}),
    ],
)
def test_logs_as_stated(stated: Json, sets: Json) -> None:
    assert settled({}, live_restore=False, nofile=0, **stated).settings == sets
