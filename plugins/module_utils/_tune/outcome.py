# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of a step, from what the planner, the host and the benchmark said of it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._outside.documents import Json
from .._outside.printable import printable
from .._rollout.journal import GOOD_OUTCOMES
from .goals import Values
from .trial import Stage, Trial, runs_of

# Characters of what somebody said, in a report.
SHOWN = 500
MEASURED: t.Final = ("measured", "targets_missed")
NOT_HELD: t.Final = ("rolled_back", "refused")


class Ended(Exception):
    """Nothing more can be tried, with the reason and what to do."""


def made(step: Json, instance: str, planned: Json, rolled: Json, measured: Json, seconds: float) -> Trial:
    """STEP has `values` and `stage`. Raises Ended where the host cannot be told to try anything."""
    values, stage = t.cast(Values, step["values"]), t.cast(Stage, step["stage"])
    errors = [str(text) for text in planned.get("errors") or ()]
    if errors:
        return Trial(values, stage, "refused", _told(" ".join(errors)), seconds=seconds)
    digest = _digest(instance, planned, values)
    outcome, why = _rolled(rolled)
    if outcome in NOT_HELD:
        kind: t.Literal["rolled_back", "refused"] = "rolled_back" if outcome == "rolled_back" else "refused"
        return Trial(values, stage, kind, _told(why), seconds=seconds)
    if outcome not in ("", *GOOD_OUTCOMES):
        raise Ended(why)
    if stage == "keep":
        return Trial(values, stage, "kept", release=digest, seconds=seconds)
    found = measured.get("found") or {}
    if found.get("outcome") not in MEASURED:
        return Trial(values, stage, "thrown_away", _told(_unmeasured(found, measured)), digest, seconds=seconds)
    if found.get("release") != digest:
        told = str(found.get("release"))[:12]
        raise Ended(f"release {digest[:12]} was tried, and {told} was measured: somebody else has changed {instance}")
    return Trial(values, stage, "measured", "", digest, runs_of(found), seconds)


def _digest(instance: str, planned: Json, values: Values) -> str:
    """The digest of the planned release. Raises Ended where its arguments are others."""
    plan = next((one for one in planned["plans"] if one["instance"] == instance), None)
    if plan is None or not plan.get("release"):
        raise Ended(f"{instance} is not in the inventory of this host any more")
    stated = plan["release"]["arguments"]
    for name, value in values.items():
        if stated.get(name) != value:
            raise Ended(
                f"{name} would be {stated.get(name)} and not {value}: something stands above what is tried, such as a "
                "variable that is given with -e: leave that out"
            )
    return str(plan["digest"])


def _rolled(rolled: Json) -> tuple[str, str]:
    """The outcome, '' where nothing was to change, and what was said of it."""
    results = rolled.get("results") or []
    said = str(rolled.get("msg") or "")
    if results:
        failure = results[-1].get("failure") or {}
        return str(results[-1]["outcome"]), str(failure.get("cause") or said)
    return ("failed", said) if said else ("", "")


def _unmeasured(found: Json, measured: Json) -> str:
    thrown = found.get("thrown_away") or []
    reasons = [str(why["text"]) for run in thrown for why in run["reasons"]]
    return "; ".join(dict.fromkeys(reasons)) or str(measured.get("msg") or "it was not measured")


def _told(text: str) -> str:
    line = printable(text)
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 3]}..."
