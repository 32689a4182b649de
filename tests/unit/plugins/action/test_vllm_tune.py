# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a tuning that is done on the control node: its report."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.gpufleet.vllm.plugins.action import vllm_tune
from ansible_collections.gpufleet.vllm.plugins.module_utils._tune import report
from ansible_collections.gpufleet.vllm.plugins.module_utils._tune.search import Step
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._tune.cases import asked, measured

START = {"max_num_seqs": 4}


def test_the_name_of_a_host_is_no_path(tmp_path: pathlib.Path) -> None:
    wanted, trials = asked(), [measured(START, "start")]
    about = {
        "host": "../rack/g1",
        "instance": "a",
        "began": "2026-11-27T10:00:00Z",
        "at": "",
        "workload": {},
        "notes": [],
    }
    found = report.document(wanted, START, trials, Step(START, "search", ""), about)
    written, problems = vllm_tune._written(str(tmp_path), "../rack/g1", found, wanted, trials)
    names = [".._rack_g1.a.tune.20261127T100000Z.json", ".._rack_g1.a.tune.20261127T100000Z.md"]
    assert problems == []
    assert [pathlib.Path(path).name for path in written] == names
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_values_that_were_not_tried_are_named() -> None:
    wanted = asked(values=[{"max_num_seqs": places} for places in (8, 12, 16)], steps=2)
    trials = [measured(START, "start"), measured({"max_num_seqs": 8})]
    assert vllm_tune._untried(wanted, START, trials) == ["Of vllm_tune_values, these were not tried: max_num_seqs 12."]
    assert vllm_tune._untried(wanted, START, [*trials, measured({"max_num_seqs": 12})]) == []


@pytest.mark.parametrize(
    ("places", "told"),
    [
        ((4, 8, 8), "These would be tried, each as a release: max_num_seqs 8."),
        ((4, 4), "None of vllm_tune_values would be tried: they are what serves."),
    ],
)
def test_what_would_be_tried_is_what_would_be(places: tuple[int, ...], told: str) -> None:
    wanted = asked(values=[{"max_num_seqs": one} for one in places], steps=2)
    assert vllm_tune._would(wanted, START, [])[1] == told
