# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A benchmark as one value, lines, CSV and a page: complete, escaped, and what is no benchmark refused."""

from __future__ import annotations

import random
import re
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.plugin_utils.benchmark_page import gathered, page, pictures, plots, view
from ansible_collections.gpufleet.vllm.tests.data import example_benchmark

Json = dict[str, t.Any]
HOSTILE = "</script><img src=x onerror=alert(1)>\"'"


def benchmark(**more: t.Any) -> Json:
    return gathered.benchmark("gpu-1", example_benchmark.found(random.Random(1), **more))


def comparison(speed: float = 1.0, **more: t.Any) -> Json:
    return gathered.comparison("gpu-1", example_benchmark.blocks(speed, **more), ["max_num_seqs: 8 -> 4"], [41.0, 39.0])


def hostile(value: t.Any) -> t.Any:
    """Every text of it, and names of loads; only those of figures and outcomes are words that are known."""
    if isinstance(value, dict):
        known = ("figure", "outcome")
        found = {key: one if key in known else hostile(one) for key, one in value.items()}
        return {f"{HOSTILE}{key}" if key in example_benchmark.LOADS else key: one for key, one in found.items()}
    if isinstance(value, list):
        return [hostile(one) for one in value]
    return HOSTILE if isinstance(value, str) else value


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda found: found.update(loads=[]), "found.loads is a list, not an object"),
        (lambda found: found["loads"]["warm"].pop("spread"), "found.loads.warm has no spread"),
        (
            lambda found: found["loads"]["warm"]["runs"][1]["figures"].update(answer="fast"),
            "found.loads.warm.runs[1].figures.answer is a text, not a number",
        ),
        (
            lambda found: found["loads"]["warm"]["runs"][0].update(samples=[[1, 2]]),
            "has samples that are no lists of 4",
        ),
        (
            lambda found: found["loads"]["warm"]["runs"][0].update(samples=[[None, 1, 1, 1]]),
            "samples that are no lists",
        ),
        (lambda found: found["targets"][0].update(figure="speed"), "has the target 'speed' with the outcome 'met'"),
        (lambda found: found["targets"][0].update(figure="right", outcome="some"), "'right' with the outcome 'some'"),
        (lambda found: found.update(quality={"figures": {}, "prompts": [7]}), "quality.prompts[0] is a whole number"),
    ],
)
def test_what_is_no_benchmark_is_refused(change: t.Callable[[Json], None], says: str) -> None:
    found = example_benchmark.found(random.Random(1))
    change(found)
    with pytest.raises(gathered.NotUnderstoodError, match=re.escape(says)):
        gathered.benchmark("gpu-1", found)


@pytest.mark.parametrize(
    ("blocks", "says"),
    [([], "blocks is empty"), ([{"round": 1, "side": "C", "found": {}}], "blocks has the side 'C'")],
)
def test_what_are_no_rounds_is_refused(blocks: list[Json], says: str) -> None:
    with pytest.raises(gathered.NotUnderstoodError, match=re.escape(says)):
        gathered.comparison("gpu-1", blocks, [], [])


@pytest.mark.parametrize(
    ("whole", "headline", "told"),
    [
        (comparison(), "A and B do not differ beyond the spread.", "No difference: every figure of B is within"),
        (comparison(1.3), "B is better in 24 figures.", "tokens_per_second of parallel: B is 1.32 x A"),
        (comparison(rounds=1), "Nothing was compared.", "Nothing was compared (few_rounds): A was measured in 1"),
    ],
)
def test_what_a_comparison_says(whole: Json, headline: str, told: str) -> None:
    assert view.headline(whole)[1] == headline
    assert told in " ".join(gathered.table(whole))
    assert headline in page.render(whole)
    assert "2 restarts took 80 s together." in gathered.table(whole)


@pytest.mark.parametrize(
    ("rounds", "blocks", "outcome", "told"),
    [
        (4, 7, "difference", "B is better in 24 figures."),
        (3, 5, "thrown_away", "Nothing was compared."),
        (1, 1, "thrown_away", "Nothing was compared."),
    ],
)
def test_what_ended_early_tells_what_was_measured(rounds: int, blocks: int, outcome: str, told: str) -> None:
    """An A without its B is kept; whole rounds are compared where there are three."""
    made = example_benchmark.blocks(1.3, rounds=rounds)[:blocks]
    whole = gathered.comparison("gpu-1", made, [], [], "the host was lost")
    assert (whole["outcome"], len(whole["blocks"]), view.headline(whole)[1]) == (outcome, blocks, told)
    lines, counted = gathered.table(whole), f"{blocks} measurement{'s' if blocks > 1 else ''}"
    assert lines[0] == f"It ended early, after {counted}: the host was lost"
    shown = [line for line in lines if line.startswith("A in round 1, parallel: tokens_per_second ")]
    assert len(shown) == (outcome == "thrown_away")
    assert lines[0] in page.render(whole)


def test_an_a_without_its_b_is_refused_where_nothing_ended() -> None:
    whole = gathered.comparison("gpu-1", example_benchmark.blocks(1.3, rounds=4)[:7], [], [])
    assert (whole["outcome"], whole["ended"]) == ("thrown_away", "")


def test_a_row_for_each_side_and_figure() -> None:
    rows = gathered.as_csv(comparison(1.3)).splitlines()
    assert rows[0] == "side,load,figure,median,low,high,counts"
    assert len(rows) == 1 + 2 * 3 * 8
    assert rows[1].startswith("A,sequential,tokens_per_second,") and rows[1].endswith(",true")


def test_the_share_of_speculated_tokens_that_were_accepted_is_told() -> None:
    whole = benchmark()
    for run, share in zip(whole["loads"]["parallel"]["runs"], (0.25, 0.5, 0.75), strict=True):
        run["counted"]["acceptance"] = share
    told = "parallel: 25.0% to 75.0% of speculated tokens were accepted."
    assert told in gathered.table(whole) and told in page.render(whole)
    assert not [line for line in gathered.table(benchmark()) if "speculated" in line]


def test_own_prompts_are_rows_of_a_benchmark_too() -> None:
    rows = gathered.as_csv(benchmark(quality=example_benchmark.quality(3)))
    assert "prompts,right,0.8,0.8,0.8\n" in rows


@pytest.mark.parametrize(
    "made",
    [
        lambda: gathered.benchmark(
            HOSTILE, hostile(example_benchmark.found(random.Random(1), quality=example_benchmark.quality(2)))
        ),
        lambda: gathered.comparison(
            HOSTILE,
            [{**one, "found": hostile(one["found"])} for one in example_benchmark.blocks(1.3, right=(5, 1))],
            [HOSTILE],
            [1.0],
        ),
    ],
)
def test_hostile_texts_are_text(made: t.Callable[[], Json]) -> None:
    whole = made()
    shown = page.render(whole)
    assert "<img" not in shown and shown.count("</script>") == 1
    assert shown.count("&lt;/script&gt;") > 5


def test_every_run_is_drawn_and_none_beside_its_plot() -> None:
    whole = comparison(1.3)
    (throughput, *_rest) = found = pictures.all_of(whole)
    assert [plot.title for plot in found][-1] == "KV cache over time"
    assert len(throughput.marks) == 3 * 2 * 9
    for plot in found:
        for mark in plot.marks:
            assert plot.left <= mark.x <= plot.right and plot.top <= mark.y <= plot.bottom


def test_what_was_not_looked_at_is_not_drawn() -> None:
    found = example_benchmark.found(random.Random(1))
    for load in found["loads"].values():
        for run in load["runs"]:
            run["samples"] = [[0.0, None, 1.0, 0.0], [1.0, None, 1.0, 0.0]]
    titles = [plot.title for plot in pictures.all_of(gathered.benchmark("gpu-1", found))]
    assert "KV cache over time" not in titles and "Spread of the runs" in titles


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (0, 0, [0, 0.2]), (-7, 33, [-10, 0, 10, 20, 30, 40]), (0, 0.0054, None)],
)
def test_ticks_are_round_and_hold_what_they_are_for(low: float, high: float, found: list[float] | None) -> None:
    made = plots.ticks(low, high)
    assert made[0] <= low and made[-1] >= high and 2 <= len(made) <= 8
    assert found is None or made == pytest.approx(found)
