# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How well the memory planner predicts observed vLLM starts: prints one JSON object.

    fit_accuracy.py --rows FILE            the shipped constants on FILE
    fit_accuracy.py --rows FILE --split    constants fitted on one part of the rows, reported on the other, by source
    fit_accuracy.py --rows FILE --fit      the constants that all of FILE gives, as Python
    fit_accuracy.py --rows FILE --each     one line a row besides, on stderr
    fit_accuracy.py --rows FILE --table    unseen rows by release, as docs/accuracy.md has them

Errors are GiB of KV cache on the first rank, as its log line has it; concurrency is relative.
"""

from __future__ import annotations

import argparse
import functools
import json
import pathlib
import random
import sys
import typing as t

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / ".collections"))

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.calibration import (  # noqa: E402
    SHIPPED,
    Calibration,
)
from ansible_collections.gpufleet.vllm.tests.bench import fit_constants, fit_releases, startup_rows  # noqa: E402
from ansible_collections.gpufleet.vllm.tests.bench.fit_metrics import (  # noqa: E402
    FLAT_GIB,
    Baseline,
    concurrency_errors,
    first_rank,
    fitted_ratio,
    kv_errors,
    ranges,
    spread,
    start,
    verdicts,
    without_geometry,
)

Row = startup_rows.Row
SEEDS = tuple(range(1, 21))


def report(rows: t.Sequence[Row], constants: Calibration, train: t.Sequence[Row]) -> dict[str, t.Any]:
    """Everything about ROWS under CONSTANTS; TRAIN is what the second baseline's constant is fitted on."""
    ratio = fitted_ratio(train)
    return {
        "rows": len(rows),
        "kv_gib_weights_given": spread(kv_errors(rows, "given", constants)),
        "kv_gib_weights_predicted": spread(kv_errors(rows, "predicted", constants)),
        "kv_gib_without_geometry": spread(without_geometry(rows, constants)),
        "kv_gib_range": ranges(rows, constants),
        "concurrency_relative": concurrency_errors(rows, constants),
        "verdicts": verdicts(rows, functools.partial(word, constants=constants)),
        "baselines": {
            "flat_2_gib": Baseline(1.0, FLAT_GIB).report(rows),
            f"weights_x_1.2_plus_{ratio.constant:g}": ratio.report(rows),
        },
    }


def word(row: Row, constants: Calibration) -> str:
    """The verdict on one row. A utilisation that the row lacks is not one that was left to the default."""
    if row.get("gpu_memory_utilization") is None:
        return "unknown"
    return start(row, constants).verdict


def halves(rows: t.Sequence[Row], seed: int) -> tuple[list[Row], list[Row]]:
    """(train, test): sources drawn at random; a laboratory of many models is split by model."""
    sources: dict[str, int] = {}
    for row in rows:
        sources[startup_rows.source_of(row)] = sources.get(startup_rows.source_of(row), 0) + 1

    def key(row: Row) -> str:
        source = startup_rows.source_of(row)
        return startup_rows.family_of(row) if sources[source] > len(rows) // 4 else source

    keys = sorted({key(row) for row in rows})
    random.Random(seed).shuffle(keys)
    taught = set(keys[: len(keys) // 2])
    return [row for row in rows if key(row) in taught], [row for row in rows if key(row) not in taught]


def split_report(rows: t.Sequence[Row]) -> dict[str, t.Any]:
    """Unseen rows only: random halves by source, then each source left out in turn."""
    parts = [(str(seed), *halves(rows, seed)) for seed in SEEDS]
    sources = sorted({startup_rows.source_of(row) for row in rows})
    left_out = [
        (
            source,
            [row for row in rows if startup_rows.source_of(row) != source],
            [row for row in rows if startup_rows.source_of(row) == source],
        )
        for source in sources
    ]
    return {"halves": pooled(parts), "left_out": pooled(left_out)}


def pooled(parts: t.Sequence[tuple[str, list[Row], list[Row]]]) -> dict[str, t.Any]:
    """PARTS are (name, train, test): errors on all tests together, larger tests by themselves, and all mistakes."""
    errors: dict[str, list[float]] = {"given": [], "predicted": [], "flat": [], "ratio": []}
    mistakes: dict[str, list[str]] = {}
    single: dict[str, t.Any] = {}
    for name, train, test in parts:
        constants = fit_constants.fit(train)
        given, predicted = kv_errors(test, "given", constants), kv_errors(test, "predicted", constants)
        errors["given"] += given
        errors["predicted"] += predicted
        errors["flat"] += Baseline(1.0, FLAT_GIB).errors(test)
        errors["ratio"] += fitted_ratio(train).errors(test)
        for kind, labels in verdicts(test, functools.partial(word, constants=constants))["mistakes"].items():
            mistakes.setdefault(kind, []).extend(labels)
        if len(given) >= 5:
            single[name] = {
                "train_rows": len(train),
                "test_rows": len(test),
                "weights_given": spread(given),
                "weights_predicted": spread(predicted),
            }
    return {
        "kv_gib_weights_given": spread(errors["given"]),
        "kv_gib_weights_predicted": spread(errors["predicted"]),
        "kv_gib_flat_2_gib": spread(errors["flat"]),
        "kv_gib_weights_x_1.2_plus_constant": spread(errors["ratio"]),
        "mistakes": {kind: sorted(set(labels)) for kind, labels in mistakes.items()},
        "each": single,
    }


def each(rows: t.Sequence[Row], constants: Calibration) -> None:
    """One line a row on stderr: what was predicted, what was seen."""
    for number, row in enumerate(rows):
        plan = start(row, constants)
        left = first_rank(plan)
        why = plan.reasons[0].text[:110] if plan.reasons else ""
        text = "-" if left is None else f"{left:.2f}"
        seen = row.get("available_kv_gib")
        sys.stderr.write(
            f"{number:3d} {plan.verdict:12s} {row.get('outcome')!s:12s} kv {text:>6s} seen {seen} "
            f"{str(row.get('model'))[:44]} {row.get('vllm_version')} {why}\n"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=pathlib.Path, required=True)
    parser.add_argument("--split", action="store_true")
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--each", action="store_true")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    rows = startup_rows.load(options.rows)
    if options.table:
        sys.stdout.write("\n".join(fit_releases.table(rows)) + "\n")
        return
    if options.fit:
        for name, value in fit_constants.fit(rows).values().items():
            sys.stdout.write(f"    {name}={value},\n")
        return
    result = {"shipped": report(rows, SHIPPED, rows)} if not options.split else split_report(rows)
    if options.each:
        each(rows, SHIPPED)
    sys.stdout.write(json.dumps(result if options.split else result["shipped"], indent=1) + "\n")


if __name__ == "__main__":
    main()
