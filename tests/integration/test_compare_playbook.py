# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook compare.yml: in which order it measures, that A serves at the end whatever happens, what it refuses."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.integration.scripted_hosts import Ended, Fleet, Json, restart

A, B = "p" * 64, "n" * 64
MODEL = {"id": "org/m", "path": None, "revision": "r" * 40}
PLAN = {
    **restart("a", B),
    "reasons": ["max_num_seqs: 8 -> 4 (target)"],
    "downtime_seconds": 42.0,
    "release": {"model": MODEL},
}
THERE = {"org/m": {"path": "/var/lib/gpufleet/hub/m"}}


def compared(folder: pathlib.Path, *options: str, variables: Json | None = None, **script: t.Any) -> Ended:
    """A comparison on a host where A serves, B is planned, and what serves follows what was asked."""
    now = {"digest": A, "container_id": "c-p"}
    host = {"previous": {"a": None}, "current": {"a": now}, "plans": [PLAN], "moves": True, "measured": "measured"}
    host["models"] = THERE
    return Fleet(folder, {"g1": {**host, **script}}).run("compare", *options, **(variables or {}))


def text(ended: Ended) -> str:
    return " ".join(ended.said.split())


def test_a_and_b_take_turns_with_the_same_seeds_and_a_serves_at_the_end(tmp_path: pathlib.Path) -> None:
    results = tmp_path / "results"
    ended = compared(tmp_path, faster={"n": 200.0}, variables={"vllm_benchmark_dir": str(results)})
    assert ended.code == 0, ended.said
    turns = ["rollout", "measure n", "rollback", "measure p", "rollback"]
    assert [kind for _host, kind in ended.kinds] == ["measure p", *turns, *turns[1:], "measure n", "rollback"]
    seeds = [asked["seed"] for _host, _instance, asked in ended.asked if asked["kind"].startswith("measure")]
    assert seeds[::2] == seeds[1::2] and len(set(seeds)) == 3
    rollout, back = ended.asked[1][2], ended.asked[3][2]
    assert (rollout["on_failure"], rollout["plan"]["fallbacks"]) == ("rollback", [])
    assert (back["from"], back["container"], back["blame"]) == (B, "c-n", False)
    (kept,) = results.glob("g1.a.compare.*.json")
    found = json.loads(kept.read_text())
    assert (found["outcome"], found["differs"], len(found["blocks"])) == ("difference", PLAN["reasons"], 6)
    assert kept.with_suffix(".html").exists() and kept.with_suffix(".csv").exists()
    assert "tokens_per_second of sequential: B is 1.99 x A" in text(ended)


def test_the_same_thing_twice_is_no_difference(tmp_path: pathlib.Path) -> None:
    ended = compared(tmp_path)
    assert ended.code == 0
    assert "No difference: every figure of B is within the spread of those of A." in text(ended)


@pytest.mark.parametrize(
    ("script", "kinds", "told"),
    [
        ({"outcomes": {"a": "rolled_back"}}, ["measure p", "rollout"], "It was rolled back."),
        (
            {"measured_of": {"n": "thrown_away"}},
            ["measure p", "rollout", "measure n", "rollback"],
            "Round 1, B: It is thrown_away.",
        ),
    ],
)
def test_a_serves_again_after_whatever_fails(tmp_path: pathlib.Path, script: Json, kinds: list[str], told: str) -> None:
    ended = compared(tmp_path, **script)
    assert (ended.code, [kind for _host, kind in ended.kinds]) == (2, kinds)
    assert told in text(ended) and "a serves." in ended.said
    assert "It ended early, after 1 measurement: " in text(ended)
    assert "A in round 1, sequential: tokens_per_second 101 (100..102)" in text(ended)


def test_a_host_that_is_lost_on_the_way_keeps_what_was_measured(tmp_path: pathlib.Path) -> None:
    """It is as B of the second round is looked for: too few rounds to compare, and no figure is lost."""
    results = tmp_path / "results"
    ended = compared(tmp_path, away_after=5, variables={"vllm_benchmark_dir": str(results)})
    assert ended.code == 2
    assert "a on g1: it ended after 3 of 6 measurements. Round 2, B: the host is out of reach." in text(ended)
    (kept,) = results.glob("g1.a.compare.*.json")
    found = json.loads(kept.read_text())
    assert (found["outcome"], len(found["blocks"])) == ("thrown_away", 3)
    assert "A in round 1, sequential: tokens_per_second 101 (100..102)" in text(ended)
    assert f"puts A ({A[:12]}) back, where B ({B[:12]}) serves" in text(ended)


def test_what_does_not_go_back_is_told(tmp_path: pathlib.Path) -> None:
    ended = compared(tmp_path, measured_of={"n": "thrown_away"}, back="rolled_back")
    assert ended.code == 2
    assert "Not rolled back" in text(ended)


def test_a_way_back_that_fails_takes_along_nothing_of_what_was_found(tmp_path: pathlib.Path) -> None:
    """The host is lost once all is measured, and A is not put back."""
    results = tmp_path / "results"
    ended = compared(tmp_path, away_after=11, variables={"vllm_benchmark_dir": str(results)})
    assert (ended.code, ended.kinds[-1]) == (2, ("g1", "measure n"))
    assert "is out of reach, and A may not serve" in text(ended)
    (kept,) = results.glob("g1.a.compare.*.json")
    found = json.loads(kept.read_text())
    assert (found["outcome"], found["ended"], len(found["blocks"])) == ("no_difference", "", 6)


def test_a_host_that_is_lost_as_b_begins_says_what_to_do(tmp_path: pathlib.Path) -> None:
    """No rescue and no `always` would run for a host that counts as unreachable."""
    ended = compared(tmp_path, outcomes={"a": "unreachable"}, away_after=2)
    assert ended.code == 2
    assert "whether it has begun with B is not known" in text(ended)
    assert f"puts A ({A[:12]}) back, where B ({B[:12]}) serves" in text(ended)


def test_what_no_disk_takes_is_told_all_the_same(tmp_path: pathlib.Path) -> None:
    """A folder that says it can be written to, and takes no file: as a disk that is full by then."""
    ended = compared(tmp_path, faster={"n": 200.0}, variables={"vllm_benchmark_dir": "/proc"})
    assert (ended.code, ended.kinds[-1]) == (2, ("g1", "rollback"))
    assert ended.said.count("tokens_per_second of sequential: B is 1.99 x A") == 1
    assert "a on g1 was compared, and what was found is kept nowhere but above. json: /proc/g1.a.compare" in text(ended)


def test_what_was_cut_off_is_waited_for(tmp_path: pathlib.Path) -> None:
    """What is held for the way back is told as current before it serves again. The fourth look is that after B."""
    ended = compared(tmp_path, outcomes={"a": "failed"}, cut_off=4, variables={"compare_pause": 0})
    assert ended.code == 2
    assert "a serves." in ended.said and "FAILED - RETRYING" in ended.said


def test_a_check_run_says_what_it_costs_and_touches_nothing(tmp_path: pathlib.Path) -> None:
    ended = compared(tmp_path, "--check")
    assert (ended.code, ended.asked) == (0, [])
    assert "3 rounds take 6 restarts, and 42.0 s without an answer each, as planned." in text(ended)


@pytest.mark.parametrize(
    ("script", "variables", "told"),
    [
        ({}, {"vllm_benchmark_rounds": 1}, "vllm_benchmark_rounds is 1: state 3 to 20."),
        ({}, {"vllm_server_target_instance": "b"}, "No instance b is on g1, which knows a"),
        (
            {"plans": [{**PLAN, "change": "none"}]},
            {},
            "serves what would be rolled out already, so that A and B are the same",
        ),
        ({"plans": [{**PLAN, "exchange": ["a", "b"]}]}, {}, "takes more than its restart"),
        ({"errors": ["It does not fit."]}, {}, "It does not fit."),
        ({"plans": [{**PLAN, "digest": A}]}, {}, "B is the same release as A in another image of the same name"),
        (
            {"current": {"a": {"digest": A, "fallback_of": "w" * 64}}, "moves": False},
            {},
            "serves a step of its fallback",
        ),
        ({"unfit": "prompts[0] says nothing"}, {}, "prompts[0] says nothing"),
        ({"said": {"healthy": False}}, {}, "does not serve a verified release"),
        (
            {"models": {"org/m": {"path": None}}},
            {},
            f"the model of B, org/m at {'r' * 40}, is not on the host, and nothing would serve while it is fetched.",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_touched(
    tmp_path: pathlib.Path, script: Json, variables: Json, told: str
) -> None:
    ended = compared(tmp_path, variables=variables, **script)
    assert (ended.code, ended.asked) == (2, [])
    assert told in text(ended)
