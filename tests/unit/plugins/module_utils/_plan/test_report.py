# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a plan."""

from __future__ import annotations

import difflib

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import planner, report
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.checks import image_name
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

CLASS = {"class_engine_args": {"gpu_memory_utilization": 0.88}}


def changed() -> planner.Outcome:
    before = fleet.plan(instances=[fleet.instance(engine_args={"max_num_seqs": 4})], **CLASS)
    wanted = [fleet.instance(engine_args={"max_num_seqs": 8}, sampling={"top_p": 0.9})]
    return fleet.outcome(facts=fleet.facts_with(fleet.observed(before)), instances=wanted, **CLASS)


def test_block() -> None:
    (block,) = changed().blocks
    begin, _memory, end = block.partition("    memory:")
    assert begin + end[end.index("    arguments:") :] == (
        f"""\
assistant: restart (the server is replaced, the old one is kept to go back to), about 34 s of downtime (last start)
    because max_num_seqs: 4 -> 8 (instance)
    image vllm/vllm-openai:v0.32.0 (vLLM 0.32.0)
    model /srv/models/tiny as assistant
    address 127.0.0.1:8000, GPUs GPU-0
    arguments:
        gpu_memory_utilization  0.88       class gpu_test
        max_num_seqs            8 (was 4)  instance
    note: What sampling leaves out (temperature, top_k, min_p, repetition_penalty) comes from the model's own \
generation_config.json, where it has one: state it, or turn that off with the engine argument generation_config: \
vllm.
    note: {image_name.notes("vllm/vllm-openai:v0.32.0")[0]}"""
    )


def test_diff_shows_what_differs_and_nothing_else() -> None:
    entry = changed().diff[0]
    assert entry["before_header"].startswith("assistant (release ")
    assert entry["after_header"].endswith(", restart)")
    lines = list(difflib.ndiff(entry["before"].splitlines(), entry["after"].splitlines()))
    assert [line for line in lines if line[0] in "+-"] == [
        "-   max_num_seqs: 4",
        "+   max_num_seqs: 8  # instance",
        "+ sampling:",
        "+   top_p: 0.9",
    ]
    assert "  gpu_memory_utilization: 0.88  # class gpu_test" in entry["after"]


def test_diff_shows_settings_that_the_host_learns() -> None:
    before = fleet.plan(instances=[fleet.instance(watch={"failure_threshold": 3})])
    found = fleet.outcome(
        facts=fleet.facts_with(fleet.observed(before)),
        instances=[fleet.instance(watch={"failure_threshold": 2, "rollback_window": 60})],
    )
    lines = list(difflib.ndiff(found.diff[0]["before"].splitlines(), found.diff[0]["after"].splitlines()))
    assert [line for line in lines if line[0] in "+-"] == [
        "-   failure_threshold: 3",
        "+   failure_threshold: 2",
        "+   rollback_window: 60",
    ]
    told = "clients or the host are told, or adapters loaded; the server keeps running"
    assert found.blocks[0].startswith(f"assistant: live ({told})")


def test_first_release_has_no_before() -> None:
    entry = fleet.outcome().diff[0]
    assert entry["before"] == ""
    assert entry["before_header"] == "assistant (not on the host)"


def test_removal_has_no_after() -> None:
    facts = fleet.facts_with(fleet.observed(fleet.plan()))
    found = fleet.outcome(facts=facts, instances=[], remove_unlisted=True)
    assert found.diff[0]["after"] == ""
    assert found.diff[0]["after_header"] == "assistant (removed, remove)"
    assert found.blocks == (
        "assistant: remove (the server is stopped and removed)\n    because it is not listed any more",
    )


def test_repair_says_what_is_wrong() -> None:
    facts = fleet.facts_with(fleet.observed(fleet.plan(), healthy=False, unhealthy_because="its container is gone"))
    found = fleet.outcome(facts=facts)
    assert found.diff[0]["before"] == "# its container is gone\n"
    assert "because its container is gone" in found.blocks[0]


def test_downtime_is_not_guessed() -> None:
    observation = fleet.observed(fleet.plan())
    observation["current"]["start_seconds"] = None
    found = fleet.outcome(facts=fleet.facts_with(observation), instances=[fleet.instance(port=8001)])
    assert "downtime not known yet" in found.blocks[0]


def test_warnings_stand_below_the_plan() -> None:
    found = fleet.outcome(instances=[fleet.instance(env={"VLLM_TP": 1})])
    assert "    note: no vLLM release reads VLLM_TP" in found.blocks[0]


def test_no_change_has_no_diff() -> None:
    found = fleet.outcome(facts=fleet.facts_with(fleet.observed(fleet.plan())))
    assert (found.changed, found.diff) == (False, ())
    assert found.blocks[0].startswith("assistant: none (nothing changes)")


def test_failure_of_a_host() -> None:
    assert report.failure("gpu-1", ["One is wrong."]) == "gpu-1 cannot be planned: One is wrong."
    assert report.failure("gpu-1", ["One.", "Two."]) == "gpu-1 cannot be planned, 2 things are wrong:\n- One.\n- Two."
