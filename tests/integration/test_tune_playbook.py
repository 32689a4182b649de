# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook tune.yml: what it tries on hosts, what it leaves there, and how it ends."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.integration.scripted_hosts import Ended, Fleet, Json

START = {"max_num_seqs": 2, "max_num_batched_tokens": 512}
# Few steps: each is a whole plan.
SMALL = {"vllm_tune_arguments": {"max_num_seqs": [1, 64]}, "vllm_tune_steps": 1, "vllm_benchmark_concurrency": 32}


def tuned(folder: pathlib.Path, *options: str, script: Json | None = None, **variables: t.Any) -> Ended:
    tuned_host = {"start": START, "peak": 8, **(script or {})}
    host = {"previous": {"a": None}, "tuned": tuned_host, **variables.pop("host", {})}
    return Fleet(folder, {"g1": host}).run("tune", *options, **{**SMALL, **variables})


def tried(ended: Ended) -> list[int]:
    return [
        request["plan"]["release"]["arguments"]["max_num_seqs"]
        for _host, _instance, request in ended.asked
        if request["kind"] == "rollout"
    ]


def kept(ended: Ended) -> Json:
    return t.cast(Json, ended.asked[-1][2]["found"])


def test_better_values_are_found_kept_and_told(tmp_path: pathlib.Path) -> None:
    results = tmp_path / "results" / "of" / "today"
    ended = tuned(tmp_path, vllm_tune_dir=str(results))
    assert ended.code == 0, ended.said
    # 15 % of the cache with 2: 8 for 60 %; then in turn, and what wins serves already.
    assert tried(ended) == [8, 2, 8, 2, 8, 2, 8]
    assert kept(ended)["outcome"] == "better"
    assert (kept(ended)["before"], kept(ended)["after"]) == ({"max_num_seqs": 2}, {"max_num_seqs": 8})
    said = " ".join(ended.said.split())
    assert "Found better values" in said and "max_num_seqs: 8" in said
    assert "the next site.yml puts its own values back" in said
    assert ended.recap("g1")["failed"] == 0
    report, page = sorted(results.glob("g1.a.tune.*"))
    assert json.loads(report.read_text())["after"] == {"max_num_seqs": 8}
    assert "- name: a\n  engine_args:\n    max_num_seqs: 8\n" in page.read_text()
    # A fallback in the place of a step would be measured in its name, and one that is stopped serves nobody.
    requests = [request for _host, _instance, request in ended.asked if request["kind"] == "rollout"]
    assert {request["on_failure"] for request in requests} == {"rollback"}
    assert all(request["plan"]["fallbacks"] == [] for request in requests)


def test_what_does_not_hold_is_learned_from_and_what_served_before_is_put_back(tmp_path: pathlib.Path) -> None:
    """8 is rolled back by the host, 16 is refused by the planner, 4 is no better than 2."""
    values = [{"max_num_seqs": places} for places in (8, 16, 4, 5)]
    ended = tuned(tmp_path, script={"peak": 2, "fails": [8], "most": 15}, vllm_tune_values=values, vllm_tune_steps=3)
    assert ended.code == 0, ended.said
    assert tried(ended) == [8, 4, 2]
    outcomes = [one["outcome"] for one in kept(ended)["trials"]]
    assert outcomes == ["measured", "rolled_back", "refused", "measured", "kept"]
    assert kept(ended)["outcome"] == "not_better"
    said = " ".join(ended.said.split())
    assert "max_num_seqs 8: rolled back, CUDA out of memory" in said
    assert "max_num_seqs 16: refused, instance a: it does not fit." in said
    assert "puts its own values back" not in said
    assert "has 4 entries to try and vllm_tune_steps is 3, so that the last 1 will not be tried" in said


def test_looking_changes_nothing(tmp_path: pathlib.Path) -> None:
    ended = tuned(tmp_path, "--check", vllm_tune_dir=str(tmp_path / "results"))
    assert not (tmp_path / "results").exists()
    assert (ended.code, ended.asked, ended.recap("g1")["changed"]) == (0, [], 1), "the folder would be made"
    assert "Up to 1 releases would be tried, max_num_seqs within 1 to 64" in " ".join(ended.said.split())


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (
            {"vllm_tune_goal": "speed", "vllm_tune_steps": 0},
            ["vllm_tune_goal is 'speed': state one of", "vllm_tune_steps is 0."],
        ),
        ({"vllm_tune_dir": "hosts.yml"}, ["/hosts.yml, which is no folder that you may write to"]),
        ({"vllm_tune_dir": "hosts.yml/of/today"}, ["vllm_tune_dir is", "which cannot be made (Not a directory)"]),
        ({"vllm_server_target_instance": "b"}, ["No instance b is on g1, which knows a"]),
        ({"vllm_server_target_profile": "auto"}, ["vllm_server_target_profile is given"]),
        ({"vllm_server_profiles": {}}, ["vllm_server_profiles is given with -e, so that no playbook"]),
        ({"vllm_server_profiles": {"tune_step": {}}}, ["vllm_server_profiles has tune_step, which is the name"]),
        ({"vllm_tune_step": 3}, ["vllm_tune_step is no variable of any role. Did you mean vllm_tune_steps?"]),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_tried(
    tmp_path: pathlib.Path, variables: Json, told: list[str]
) -> None:
    ended = tuned(tmp_path, **variables)
    assert (ended.code, ended.asked) == (2, [])
    for text in told:
        assert text in " ".join(ended.said.split())


def test_a_rollout_that_nobody_rolled_back_ends_it_and_it_is_said_what_serves(tmp_path: pathlib.Path) -> None:
    ended = tuned(tmp_path, host={"outcomes": {"a": "failed"}})
    assert (ended.code, tried(ended)) == (2, [8])
    assert "What serves now is verified: a release pppppppppppp." in " ".join(ended.said.split())


def test_an_engine_that_dies_under_the_load_is_learned_from(tmp_path: pathlib.Path) -> None:
    """It has proved itself, and would serve on with values that nobody has measured."""
    ended = tuned(tmp_path, script={"dies": [8]})
    assert ended.code == 0, ended.said
    assert tried(ended) == [8, 2]
    assert [one["outcome"] for one in kept(ended)["trials"]] == ["measured", "thrown_away", "kept"]
    assert "max_num_seqs 8: thrown away, a cannot be measured: no answer." in " ".join(ended.said.split())


def test_a_fallback_that_serves_is_refused(tmp_path: pathlib.Path) -> None:
    step = {"current": {"a": {"digest": "f" * 64, "fallback_of": "w" * 64}}}
    ended = tuned(tmp_path, host=step)
    assert (ended.code, ended.asked) == (2, [])
    assert "a on g1 serves a step of its fallback" in " ".join(ended.said.split())
