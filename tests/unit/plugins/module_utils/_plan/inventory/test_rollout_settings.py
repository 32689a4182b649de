# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is stated about a rollout and would be used by nothing."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

STEP = {"helps": ["oom"], "engine_args": {"max_num_seqs": 4}}
IN_VAIN = (
    "and not used, as no instance of the host falls back: set vllm_server_on_failure (or an instance's on_failure) "
    "to fallback, or leave it out."
)


def warnings(settings: fleet.Json, *instances: fleet.Json) -> list[str]:
    found = fleet.outcome(instances=list(instances) or [fleet.instance()], settings=settings)
    return [warning for warning in found.warnings if "not used" in warning]


@pytest.mark.parametrize("on_failure", ["rollback", "stop", "", None])
def test_a_fallback_of_a_host_on_which_nothing_falls_back(on_failure: str | None) -> None:
    settings = {"on_failure": on_failure, "fallback_steps": "5", "fallback_shorter": "true"}
    assert warnings(settings) == [
        f"vllm_server_fallback_steps is 5 {IN_VAIN}",
        f"vllm_server_fallback_shorter is true {IN_VAIN}",
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {"on_failure": "fallback", "fallback_steps": 5, "fallback_shorter": True},
        {"on_failure": "rollback", "fallback_steps": 2, "fallback_shorter": False},
        {"on_failure": "rollback", "fallback_steps": 0},
        {"on_failure": "rollback", "fallback_steps": "", "fallback_shorter": ""},
        {"on_failure": "rolback", "fallback_steps": 5},
    ],
)
def test_nothing_is_said_where_it_is_used_or_as_it_is_without_a_word(settings: fleet.Json) -> None:
    assert warnings(settings) == []


def test_one_instance_that_falls_back_uses_the_hosts_fallback() -> None:
    other = fleet.instance(name="other", port=8001, on_failure="fallback")
    assert warnings({"fallback_steps": 5}, fleet.instance(), other) == []


@pytest.mark.parametrize(("host", "own"), [("rollback", ""), ("stop", ""), ("fallback", "rollback"), ("", "stop")])
def test_an_instances_own_fallback_in_vain(host: str, own: str) -> None:
    assert warnings({"on_failure": host}, fleet.instance(fallback=[STEP], on_failure=own)) == [
        (
            f"instance assistant: fallback is stated and not used, because on_failure is {own or host}: set "
            "on_failure: fallback (for a host vllm_server_on_failure), or leave it out."
        )
    ]


@pytest.mark.parametrize(("host", "own"), [("fallback", ""), ("stop", "fallback")])
def test_an_instances_own_fallback_that_is_used(host: str, own: str) -> None:
    assert warnings({"on_failure": host}, fleet.instance(fallback=[STEP], on_failure=own)) == []


def test_a_host_without_instances_is_told_nothing() -> None:
    assert fleet.outcome(instances=[], settings={"fallback_steps": 5}).warnings == ()
