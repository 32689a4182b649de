# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of the logs of engines that failed, against what is right. Prints one JSON object: cases and totals.

    PYTHONPATH=. python tests/bench/log_cases.py --cases CASES.jsonl [--kind wrong]

A line of CASES.jsonl is a case: `id`, `exit_code_given` (0: the container still ran), `source`, and `expected` with
`classes` (null: any), and regular expressions of which one has to be found in the `cause`, one in the `advice`, and
none of `advice_not` in the advice. `logs/<id>.log` beside the file is its log. A case is

- right, where all of that is so,
- vague, where the cause is right, and the advice does not help,
- wrong, where the cause or the class is another one, or the advice misleads.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import json
import pathlib
import re
import sys
import typing as t

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

importlib.import_module("tests.conftest")  # it makes the collection importable
from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis.diagnosis import (  # noqa: E402
    Diagnosis,
    diagnose,
)

Json = dict[str, t.Any]
UNKNOWN = "unknown"


def found_in(text: str, patterns: t.Sequence[str]) -> list[str]:
    return [pattern for pattern in patterns if re.search(pattern, text, re.IGNORECASE)]


def judged(found: Diagnosis, expected: Json) -> tuple[str, list[str]]:
    """The verdict, and what is wrong with the diagnosis."""
    errors = [f"the advice misleads: {pattern}" for pattern in found_in(found.advice, expected["advice_not"])]
    if not found_in(found.cause, expected["cause"]):
        errors.append(f"the cause has none of {expected['cause']}")
    classes = expected["classes"]
    if classes and found.failure_class not in (*classes, UNKNOWN):
        errors.append(f"the class is none of {classes}")
    if errors:
        return "wrong", errors
    if not found_in(found.advice, expected["advice"]):
        errors.append(f"the advice has none of {expected['advice']}")
    if classes and found.failure_class == UNKNOWN:
        errors.append(f"the class is none of {classes}")
    return ("vague", errors) if errors else ("right", [])


def case_of(row: Json, folder: pathlib.Path) -> Json:
    log = (folder / "logs" / f"{row['id']}.log").read_text(encoding="utf-8")
    found = diagnose(log, int(row["exit_code_given"]) or None)
    verdict, errors = judged(found, row["expected"])
    return {"id": row["id"], "verdict": verdict, "errors": errors, **found.as_dict()}


def report(file: pathlib.Path, kind: str | None = None) -> Json:
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    cases = [case_of(row, file.parent) for row in rows if row.get("expected")]
    totals = collections.Counter(case["verdict"] for case in cases)
    by_class: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for case in cases:
        by_class[case["failure_class"]][case["verdict"]] += 1
    return {
        "cases": [case for case in cases if kind in (None, case["verdict"])],
        "totals": {name: totals[name] for name in ("right", "vague", "wrong")},
        "by_class": {name: dict(counted) for name, counted in sorted(by_class.items())},
        "misleading": [case["id"] for case in cases if any("misleads" in error for error in case["errors"])],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=pathlib.Path, required=True, help="a file of cases, with logs/ beside it")
    parser.add_argument("--kind", choices=("right", "vague", "wrong"), help="list only these cases")
    args = parser.parse_args()
    sys.stdout.write(json.dumps(report(args.cases, args.kind), indent=1) + "\n")


if __name__ == "__main__":
    main()
