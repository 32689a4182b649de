# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each supported ansible-core is seen to do on hosts of the lab, in this order: each builds on those before it.

test_releases.py runs this file in the environment of a release, on two fresh hosts.
"""

from __future__ import annotations

import re
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.faults.host import Host
from ansible_collections.gpufleet.vllm.tests.faults.play import Play
from ansible_collections.gpufleet.vllm.tests.faults.wanted import ASSISTANT, merged, wanted

SITE, PROMOTE, ROLLBACK = ("gpufleet.vllm.site", "gpufleet.vllm.promote", "gpufleet.vllm.rollback")
HOST, CANARY = Host("compat-a"), Host("compat-b")
BOTH = (HOST.name, CANARY.name)
INVENTORY = ("--inventory", "tests/compat/inventory")
# What the plan itself warns of, such as an advisory, is no word of Ansible's.
WARNED = re.compile(r"\[(?:DEPRECATION )?WARNING\](?!: vLLM ).{0,300}")
CHANGED = merged(ASSISTANT, {"engine_args": {"max_num_seqs": 8}})
# The first profile is what serves.
PROFILES = {
    **{key: value for key, value in ASSISTANT.items() if key != "engine_args"},
    "engine_args": {key: value for key, value in ASSISTANT["engine_args"].items() if key != "max_num_seqs"},
    "promotion": ["low", "middle"],
}
PROFILES = {"low": {"engine_args": {"max_num_seqs": 4}}, "middle": {"engine_args": {"max_num_seqs": 6}}}


def play(playbook: str, *hosts: str, ends: int = 0, options: t.Sequence[str] = (), **variables: t.Any) -> Play:
    """Run a playbook to its end. No release warns of how ours are written, or masks what is no key."""
    ended = Play(playbook, hosts, variables, (*INVENTORY, *options)).wait()
    assert ended.code == ends, ended.log.read_text()[-5000:]
    assert WARNED.findall(ended.said) == []
    assert "REDACTED" not in ended.said
    return ended


def says(ended: Play, *texts: str) -> None:
    assert [text for text in texts if text not in ended.said] == [], ended.log.read_text()[-5000:]


@pytest.fixture(scope="module")
def good() -> str:
    """What serves, and what each rollback leads to."""
    return HOST.serving()


def test_create() -> None:
    ended = play(SITE, *BOTH, **wanted(ASSISTANT))
    for host in (HOST, CANARY):
        assert (ended.changed(host.name) or 0) > 0
        assert host.serving() and host.serving() == host.verified() and host.generates()
    says(ended, "assistant: create", "assistant serves assistant at http://127.0.0.1:8000/v1")


def test_no_op() -> None:
    ended = play(SITE, *BOTH, **wanted(ASSISTANT))
    assert [ended.changed(name) for name in BOTH] == [0, 0]


def test_check_diff() -> None:
    before = HOST.snapshot()
    ended = play(SITE, HOST.name, options=("--check", "--diff"), **wanted(CHANGED))
    says(ended, "assistant: restart", "max_num_seqs")
    assert (ended.changed(HOST.name) or 0) > 0 and HOST.snapshot() == before


def test_refused_plan() -> None:
    before = HOST.snapshot()
    misspelt = merged(ASSISTANT, {"engine_args": {"max_num_sequences": 8}})
    ended = play(SITE, HOST.name, ends=2, **wanted(misspelt))
    says(ended, "cannot be planned", "Did you mean max_num_seqs?", f"Failed, for the reason above: {HOST.name}.")
    assert ended.changed(HOST.name) == 0 and HOST.snapshot() == before


def test_failing_rollout(good: str) -> None:
    """A change for both, and for one a model whose engine is healthy until it is asked: both go back."""
    ended = play(
        SITE,
        *BOTH,
        ends=2,
        everybodys=CHANGED,
        of_one={HOST.name: {"model": "/models/tiny-16"}},
        vllm_server_instances=["{{ everybodys | combine(of_one[inventory_hostname] | default({})) }}"],
        vllm_server_canary=CANARY.name,
        vllm_server_rollback_scope="run",
    )
    says(
        ended,
        f"It was rolled back. Release {good[:12]} serves again",
        f"The rollout failed on {HOST.name}. What serves now:",
        f"Failed, for the reason above: {HOST.name}.",
        f"{CANARY.name}: Rolled back: assistant: release {good[:12]} is verified",
        "Nothing was changed on any other host.",
    )
    assert (ended.recap(HOST.name)["failed"], ended.recap(CANARY.name)["failed"]) == (1, 0)
    assert [host.serving() for host in (HOST, CANARY)] == [good, good]
    assert HOST.generates() and CANARY.generates()


def test_promote() -> None:
    ended = play(PROMOTE, HOST.name, **wanted(PROFILES), vllm_server_profiles=PROFILES)
    says(ended, "assistant: stands on middle, number 2 of 2.")


def test_rollback(good: str) -> None:
    assert HOST.serving() != good
    ended = play(ROLLBACK, HOST.name, vllm_server_target_instance="assistant")
    says(ended, f"release {good[:12]}; it answered")
    assert HOST.serving() == good and HOST.generates()
