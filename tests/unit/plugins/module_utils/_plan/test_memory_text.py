# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory of an instance, as a terminal shows it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import memory_text, report
from ansible_collections.gpufleet.vllm.tests.data import example_fleet

Json = dict[str, t.Any]


def plan(host_class: str, **changes: t.Any) -> t.Any:
    listed = [{**example_fleet.instances(host_class)[0], **changes}]
    found = example_fleet.result("gpu-1", host_class, listed)
    return t.cast(Json, (found["plans"] or found["drafts"])[0])


def test_sums_stand_in_columns_and_add_up() -> None:
    memory = plan("gpu_12gb")["memory"]
    heading, figures = memory_text.sums(memory["gpus"])
    names = ["GiB", "weights", "activation", "non-torch", "graphs", "KV cache", "free", "beyond", "total"]
    assert heading.replace("KV cache", "KV_cache").split() == [name.replace(" ", "_") for name in names]
    assert figures.startswith("GPU 0 ")
    *parts, total = [0.0 if cell == "-" else float(cell) for cell in figures.split()[2:]]
    assert sum(parts) == pytest.approx(total, abs=0.04)
    assert total == pytest.approx((12288 - 400) / 1024, abs=0.01)
    assert len(heading) == len(figures)


def test_gpus_with_the_same_figures_share_a_line() -> None:
    lines = memory_text.sums(plan("gpu_4x48gb")["memory"]["gpus"])
    assert [line.split("  ")[0] for line in lines] == ["GiB", "GPU 0, 1, 2, 3"]


def test_data_parallel_ranks_have_a_cache_each() -> None:
    found = plan("gpu_4x48gb")
    assert memory_text.held(found["memory"], report.copies(found)).endswith("at once on each of 4 data parallel ranks")


def test_what_does_not_fit_says_why_and_shows_the_sums() -> None:
    text = "\n".join(memory_text.lines(plan("gpu_16gb", model="Qwen/Qwen2.5-32B-Instruct")["memory"]))
    assert text.startswith("memory: does not fit")
    assert "because 61.0 GiB of weights do not fit" in text
    assert " 61.01 " in text
    assert "at most max_model_len 0" not in text


def test_tight_says_what_would_help() -> None:
    memory = plan("gpu_16gb")["memory"]
    assert memory["verdict"] == "tight"
    assert memory_text.help_text(memory).startswith("would help: ")
    assert "(fits)" in memory_text.help_text(memory)


@pytest.mark.parametrize("memory", [None, {}])
def test_no_gpu_no_lines(memory: Json | None) -> None:
    assert memory_text.lines(memory) == []


def test_unknown_weights_have_no_sums() -> None:
    found = example_fleet.result("gpu-1", "gpu_12gb", [{"name": "a", "model": "nobody/knows-this", "port": 8000}])
    lines = memory_text.lines(found["plans"][0]["memory"])
    assert lines[0] == "memory: not known"
    assert not any(line.strip().startswith("GiB") for line in lines)


@pytest.mark.parametrize(("value", "text"), [(0.0, "-"), (-0.004, "-"), (-0.5, "-0.50"), (12.344, "12.34")])
def test_figures(value: float, text: str) -> None:
    assert memory_text.gib(value) == text


def test_notes_do_not_repeat_the_verdict() -> None:
    found = plan("gpu_16gb")
    assert any(" is tight: " in warning for warning in found["warnings"])
    assert not any(" is tight: " in note for note in report.notes(found))


@pytest.mark.parametrize(
    ("change", "seconds", "text"),
    [
        ("restart", 74.2, "about 74 s of downtime (last start)"),
        ("repair", 9.0, "about 9 s of downtime (last start)"),
        ("restart", None, "downtime not known yet"),
        ("none", 0.0, ""),
        ("live", 0.0, ""),
        ("create", 0.0, ""),
        ("remove", None, ""),
    ],
)
def test_downtime(change: str, seconds: float | None, text: str) -> None:
    plan: t.Any = {"change": change, "downtime_seconds": seconds}
    assert report.downtime(plan) == text


@pytest.mark.parametrize(("seconds", "expected"), [(74.2, 74.2), (None, None)])
def test_downtime_comes_from_the_last_start_on_this_host(seconds: float | None, expected: float | None) -> None:
    before = plan("gpu_12gb")
    seen = {**example_fleet.facts("gpu-1", "gpu_12gb"), "instances": [example_fleet.running(before, seconds)]}
    listed = [{**example_fleet.instances("gpu_12gb")[0], "port": 8009}]
    found = example_fleet.result("gpu-1", "gpu_12gb", listed, facts=seen)["plans"][0]
    assert (found["change"], found["downtime_seconds"]) == ("restart", expected)


def test_refused_plan_says_that_it_will_not_happen() -> None:
    found = plan("gpu_16gb", model="Qwen/Qwen2.5-32B-Instruct")
    assert report.block(found, refused=True).startswith("architect: refused, it would be: create (")
