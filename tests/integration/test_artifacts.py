# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job leaves with set_stats is extra variables of the next one: of what a host says, names and digests alone."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.gpufleet.vllm.tests.integration.scripted_hosts import Fleet, Json, restart

DIGEST = "a1" * 32
# As much of a template as an inventory can hold without being one.
TEMPLATE = "{ lookup('pipe', 'false') }"
# What a host may say of an instance: its name and its digest.
SAID = [
    ("a", DIGEST),
    ("b", TEMPLATE),
    (TEMPLATE, DIGEST),
    ("c", "\x1b[2J"),
    ("d", {"x": 1}),
    ("e", "9" * 4000),
    ("f", None),
]


def current(name: str, digest: object, *, resting: bool = False) -> Json:
    return {"name": name, "current": {"digest": digest}, "resting": resting}


@pytest.fixture(autouse=True)
def _as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_CALLBACK_RESULT_FORMAT", "json")


def test_a_plan_leaves_what_served_and_nothing_else_that_a_host_says(tmp_path: pathlib.Path) -> None:
    """What rested did not serve: to put it back would take the turn of another member."""
    seen = [*(current(*one) for one in SAID), current("rests", DIGEST, resting=True), {"name": "new", "current": None}]
    ended = Fleet(tmp_path, {"g1": {"facts": {"instances": seen}}}).run("plan")
    assert ended.left["vllm_rollback_to"] == {"g1": {"a": DIGEST}}


@pytest.mark.parametrize(("playbook", "artifact"), [("site", "gpufleet_rollout"), ("verify", "gpufleet_verify")])
def test_a_proof_leaves_names_and_digests(tmp_path: pathlib.Path, playbook: str, artifact: str) -> None:
    proofs = [{"instance": name, "digest": digest, "proved": True, "fallback_of": ""} for name, digest in SAID]
    ended = Fleet(tmp_path, {"g1": {"plans": [restart()], "status": {"proofs": proofs}}}).run(playbook)
    assert ended.left == {artifact: {"g1": {"a": DIGEST}}}
