# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook benchmark.yml: which instance it measures, what it keeps, and how it ends."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.integration.scripted_hosts import Ended, Fleet


def measured(
    folder: pathlib.Path, names: t.Iterable[str], outcome: str | None, *options: str, **variables: t.Any
) -> Ended:
    """A benchmark of a host with these instances."""
    script = {"previous": dict.fromkeys(names), "measured": outcome}
    return Fleet(folder, {"g1": script}).run("benchmark", *options, **variables)


@pytest.mark.parametrize(
    ("outcome", "code", "told"),
    [
        ("measured", 0, "It is measured."),
        ("thrown_away", 2, "a on g1: too few runs count, so that nothing was measured."),
        ("targets_missed", 2, "a on g1: a target was not met by every run."),
    ],
)
def test_the_exit_code_is_the_answer_and_results_are_kept(
    tmp_path: pathlib.Path, outcome: str, code: int, told: str
) -> None:
    results = tmp_path / "results"
    results.mkdir(mode=0o700)
    ended = measured(tmp_path, "a", outcome, vllm_benchmark_dir=str(results), vllm_benchmark_requests=16)
    assert ended.code == code, ended.said
    assert told in " ".join(ended.said.split())
    kept = results / "g1.a.20261127T103630Z.json"
    assert sorted(results.iterdir()) == [kept.with_suffix(".csv"), kept.with_suffix(".html"), kept]
    assert results.stat().st_mode & 0o777 == 0o700, "a folder that is there keeps its mode"
    found = json.loads(kept.read_text())
    assert (found["host"], found["outcome"]) == ("g1", outcome)
    assert (found["asked"]["instance"], found["asked"]["requests"], found["asked"]["repeats"]) == ("a", 16, 3)


def test_a_folder_is_one_of_where_the_command_is_called(tmp_path: pathlib.Path) -> None:
    assert measured(tmp_path, "a", "measured", vllm_benchmark_dir="results").code == 0
    assert len(list((tmp_path / "results").iterdir())) == 3


def test_without_a_result_nothing_is_kept(tmp_path: pathlib.Path) -> None:
    ended = measured(tmp_path, "a", None, "--check", vllm_benchmark_dir=str(tmp_path / "results"))
    assert ended.code == 0, ended.said
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("names", "asked", "told"),
    [
        ("ab", "", "No instance was named for g1, which knows a, b"),
        ("ab", "c", "No instance c is on g1, which knows a, b"),
        ("", "", "No instance was named for g1, which knows none"),
    ],
)
def test_an_instance_has_to_be_meant(tmp_path: pathlib.Path, names: str, asked: str, told: str) -> None:
    ended = measured(tmp_path, names, "measured", vllm_server_target_instance=asked)
    assert ended.code == 2
    assert told in " ".join(ended.said.split())


def test_one_of_several_is_measured_where_it_is_named(tmp_path: pathlib.Path) -> None:
    assert measured(tmp_path, "ab", "measured", vllm_server_target_instance="b").code == 0


def test_a_folder_that_is_none_is_told_before_anything_is_measured(tmp_path: pathlib.Path) -> None:
    (tmp_path / "results").touch()
    ended = measured(tmp_path, "a", "measured", vllm_benchmark_dir=str(tmp_path / "results"))
    assert ended.code == 2
    assert "which is no folder that you may write to" in " ".join(ended.said.split())
    assert "It is measured." not in ended.said


def test_a_name_that_a_host_tells_is_no_path(tmp_path: pathlib.Path) -> None:
    results = tmp_path / "results"
    ended = measured(tmp_path, ["../$HOME"], "measured", vllm_benchmark_dir=str(results))
    assert ended.code == 0, ended.said
    assert sorted(one.name for one in results.iterdir()) == [
        f"g1...__HOME.20261127T103630Z.{suffix}" for suffix in ("csv", "html", "json")
    ]


def test_targets_that_are_misspelt_are_not_met(tmp_path: pathlib.Path) -> None:
    ended = measured(tmp_path, "a", "measured", vllm_benchmark_target={"first_token": 1})
    assert ended.code == 2
    said = " ".join(ended.said.split())
    assert "vllm_benchmark_target is no variable of any role. Did you mean vllm_benchmark_targets?" in said
    assert "It is measured." not in said
