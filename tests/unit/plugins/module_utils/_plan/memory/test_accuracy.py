# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The aims of the accuracy bench, on observed starts that the constants were not fitted on."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.calibration import SHIPPED
from ansible_collections.gpufleet.vllm.tests.bench import (
    fit_accuracy,
    fit_constants,
    fit_metrics,
    fit_releases,
    startup_rows,
)

TESTS = pathlib.Path(__file__).resolve().parents[5]
ROWS = startup_rows.load(TESTS / "data" / "startup-rows.jsonl")


@pytest.fixture(scope="module", name="unseen")
def _unseen() -> dict[str, t.Any]:
    return fit_accuracy.split_report(ROWS)


@pytest.mark.parametrize("way", ["halves", "left_out"])
def test_aims_on_unseen_rows(unseen: dict[str, t.Any], way: str) -> None:
    found = unseen[way]
    assert found["kv_gib_weights_given"]["rows"] > 80
    for measure in ("kv_gib_weights_given", "kv_gib_weights_predicted"):
        assert found[measure]["median"] <= 0.25, measure
        assert found[measure]["p90"] <= 1.0, measure
    for rule in ("kv_gib_flat_2_gib", "kv_gib_weights_x_1.2_plus_constant"):
        assert found[rule]["median"] > 3 * found["kv_gib_weights_given"]["median"], rule
    assert not any(found["mistakes"].values())


def test_the_shipped_constants_are_the_fit_of_the_rows() -> None:
    assert fit_constants.fit(ROWS) == SHIPPED


def test_a_real_card_as_the_constants_foresaw_it() -> None:
    """An H200 of 2026-11-26, measured after they were fitted; the rows move none of them."""
    measured = [row for row in ROWS if startup_rows.source_of(row) == "measured"]
    before = fit_constants.fit([row for row in ROWS if row not in measured])
    assert (len(measured), before) == (7, SHIPPED)
    found = fit_accuracy.report(measured, SHIPPED, ROWS)
    assert found["kv_gib_weights_given"]["median"] <= 0.25
    assert found["kv_gib_weights_given"]["max"] <= 0.5
    assert found["kv_gib_range"]["inside"] == len(measured)
    assert found["verdicts"]["by_outcome"] == {"ok": {"fits": 5}, "kv_too_small": {"does_not_fit": 2}}


def test_no_single_laboratory_moves_a_constant_far() -> None:
    """A constant that one source alone decided would jump when the source is left out; the prior bounds the jump."""
    for source in {startup_rows.source_of(row) for row in ROWS}:
        other = fit_constants.fit([row for row in ROWS if startup_rows.source_of(row) != source]).values()
        for name, value in SHIPPED.values().items():
            assert 0.5 * value <= other[name] <= 2.0 * value, (source, name)


def test_the_bench_counts_mistakes() -> None:
    """Rules that always say the same are caught."""
    always = fit_metrics.verdicts(ROWS, lambda _row: "fits")
    never = fit_metrics.verdicts(ROWS, lambda _row: "does_not_fit")
    silent = fit_metrics.verdicts(ROWS, lambda _row: "unknown")
    assert always["false_fits"] >= 20
    assert never["false_does_not_fit"] >= 90
    assert silent["unknown_though_complete"] >= 70


def test_a_rows_own_breakdown_is_never_an_input() -> None:
    for row in ROWS:
        blind = {**row, "log_breakdown": {}, "notes": "", "check": None, "error_text": None, "available_kv_gib": None}
        assert startup_rows.question(blind) == startup_rows.question(row)


@pytest.fixture(scope="module", name="table")
def _table() -> list[str]:
    return fit_releases.table(ROWS)


def test_aims_hold_for_the_newer_releases_too(table: list[str]) -> None:
    for name in ("all", "0.20 and later, complete"):
        (cells,) = [line.split(" | ") for line in table if line.startswith(f"| {name} |")]
        rows, _sources, median, ninetieth, _worst, inside, refused = (cell.strip(" |") for cell in cells[1:])
        assert float(median) <= 0.25, name
        assert float(ninetieth) <= 1.0, name
        assert int(inside) >= 0.95 * int(rows), name
        assert refused == "0", name


def test_the_published_table_is_what_the_bench_says(table: list[str]) -> None:
    published = (TESTS.parent / "docs" / "accuracy.md").read_text().splitlines()
    missing = [line for line in table if line not in published]
    assert missing == [], "run fit_accuracy.py --rows tests/data/startup-rows.jsonl --table"
