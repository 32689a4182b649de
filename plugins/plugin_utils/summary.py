# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run did to each instance of each host, gathered from the results of tasks as they come.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.concealing import concealed_text
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.printable import printable
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.journal import GOOD_OUTCOMES

COLUMNS = ("host", "instance", "change", "release", "seconds", "verdict", "cause")
DIGEST_SHOWN = 12
# Characters of a cause in the table; the JSON has the whole.
CAUSE_SHOWN = 100
FAILED, UNREACHABLE, PROVED, NOT_PROVED = "failed", "unreachable", "proved", "not proved"


@dataclasses.dataclass
class Row:
    """One instance of one host, or a host whose instances nobody came to know ("")."""

    host: str
    instance: str = ""
    change: str = ""
    release: str = ""
    seconds: float | None = None
    verdict: str = ""
    cause: str = ""


class Summary:
    """Rows in the order of hosts and instances."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Row] = {}
        self._failures: dict[str, tuple[str, str]] = {}

    def planned(self, host: str, result: t.Mapping[str, t.Any], check: bool) -> None:
        """A result of vllm_plan."""
        for plan in _dicts(result.get("plans")):
            row = self._row(host, plan)
            row.change = str(plan.get("change") or "")
            row.release = str(plan.get("digest") or "")
            if row.change not in ("", "none"):
                row.verdict = "would change" if check else row.verdict

    def rolled_out(self, host: str, result: t.Mapping[str, t.Any]) -> None:
        """A result of vllm_rollout: what an instance came to last is what counts."""
        for one in _dicts(result.get("results")):
            row = self._row(host, one)
            row.verdict = str(one.get("outcome") or "")
            row.release = str(one.get("serves") or row.release)
            row.seconds = _number(one.get("seconds"))
            good = row.verdict in GOOD_OUTCOMES
            row.cause = "" if good else _cause(one) or row.cause

    def proved(self, host: str, result: t.Mapping[str, t.Any]) -> None:
        """A result of vllm_status. What a rollout came to says more than that it answers."""
        for one in _dicts(result.get("proofs")):
            row = self._row(host, one)
            row.release = str(one.get("digest") or row.release)
            if not one.get("proved"):
                row.verdict, row.cause = NOT_PROVED, _line(one.get("because"))
            elif not row.verdict or row.verdict == NOT_PROVED:
                row.verdict, row.cause = PROVED, ""

    def failed(self, host: str, message: t.Any, verdict: str = FAILED) -> None:
        """A task failed. The first failure is the cause; what is said in its rescue are consequences."""
        self._failures.setdefault(host, (verdict, _line(message)))

    def rows(self, ended_badly: t.Container[str]) -> list[Row]:
        """All rows. A host that ended badly, and of which no row says so, gets one for its first failure."""
        rows = [row for _key, row in sorted(self._rows.items())]
        for host, (verdict, cause) in self._failures.items():
            told = any(row.host == host and row.cause for row in rows)
            if host in ended_badly and not told:
                rows.append(Row(host, verdict=verdict, cause=cause))
        return sorted(rows, key=lambda row: (row.host, row.instance))

    def _row(self, host: str, one: Json) -> Row:
        name = str(one.get("instance") or "")
        return self._rows.setdefault((host, name), Row(host, name))


def table(rows: t.Sequence[Row]) -> list[str]:
    """Lines of a table; none where there is no row."""
    if not rows:
        return []
    cells = [[_cell(name, getattr(row, name)) for name in COLUMNS] for row in rows]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *cells, strict=True)]
    lines = [COLUMNS, *cells]
    return ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def documents(rows: t.Sequence[Row]) -> list[Json]:
    return [dataclasses.asdict(row) for row in rows]


def _cell(name: str, value: t.Any) -> str:
    if value is None or value == "":
        return "-"
    if name == "release":
        return str(value)[:DIGEST_SHOWN]
    if name == "seconds":
        return f"{value:.1f}"
    text = str(value)
    return text if name != "cause" or len(text) <= CAUSE_SHOWN else f"{text[: CAUSE_SHOWN - 1].rstrip()}…"


def _cause(one: Json) -> str:
    failure = one.get("failure")
    if not isinstance(failure, dict):
        return ""
    return _line(f"{failure.get('failure_class')}: {failure.get('cause')}")


def _line(text: t.Any) -> str:
    """What a host told, as one line without secrets."""
    return " ".join(concealed_text(printable(str(text or ""))).split())


def _dicts(value: t.Any) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _number(value: t.Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
