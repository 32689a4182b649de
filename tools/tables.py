# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables within pages that are otherwise written by hand, from the tables that the code itself goes by."""

from __future__ import annotations

import dataclasses
import importlib
import pathlib
import re
import sys
import typing as t

import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
END: t.Final = "<!-- The table ends here. -->"


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of a page. `source` is the module that it is made of, `lines` makes it, headings included."""

    page: str
    source: str
    lines: t.Callable[[t.Any], list[str]]

    @property
    def begin(self) -> str:
        return f"<!-- The table is written by `make docs` from {self.source}: change it there. -->"


def _module(source: str) -> t.Any:
    if str(CHECKOUT) not in sys.path:
        sys.path.insert(0, str(CHECKOUT))
    return importlib.import_module(source.removesuffix(".py").replace("/", "."))


def _table(*rows: t.Sequence[str]) -> list[str]:
    """Rows of Markdown, the first of them the headings."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]


def _stages(module: t.Any) -> list[str]:
    rows = [(stage.word, stage.happens, stage.failure) for stage in module.Stage]
    return _table(("stage", "what happens", "when it fails"), *rows)


def _gates(module: t.Any) -> list[str]:
    rows = [(f"`{gate.name}`", gate.release, gate.first_without, gate.what, gate.source) for gate in module.GATES]
    return _table(("gate", "since", "until", "what is so", "source"), *rows)


def _since(kind: t.Any) -> str:
    """Of a class, the oldest release that was seen to say it, where that is known of every case of it."""
    releases = [case.since for case in kind.cases]
    return min(releases, key=lambda text: [int(part) for part in text.split(".")]) if all(releases) else ""


def _failures(module: t.Any) -> list[str]:
    rows = {name: (kind.means, kind.advice, kind.step, _since(kind)) for name, kind in module.NAMED.items()}
    rows.update({name: (besides.means, besides.advice, "", "") for name, besides in module.BESIDES.items()})
    moment = {name: "of the moment" if name in module.OF_THE_MOMENT else "" for name in rows}
    headings = ("class", "means", "what to do", "step of a fallback that helps", "since vLLM", "")
    return _table(headings, *((f"`{name}`", *row, moment[name]) for name, row in sorted(rows.items())))


def _classes(module: t.Any) -> list[str]:
    rows = [(f"`{own.name}`", own.means, "of the moment" if own.of_the_moment else "") for own in module.OWN]
    return _table(("class", "means", ""), *rows)


def _alerts(module: t.Any) -> list[str]:
    stated = yaml.safe_load((CHECKOUT / "roles/vllm_monitoring/defaults/main.yml").read_text(encoding="utf-8"))
    given = {name.removeprefix("vllm_monitoring_"): value for name, value in stated.items()}
    own = module.Settings(**{field.name: given[field.name] for field in dataclasses.fields(module.Settings)})
    rows = [(f"`{one.name}`", one.severity, _told(one.summary), one.description) for one in module.alerts(own)]
    return _table(("alert", "severity", "what is told", "what to do"), *rows)


def _slow(module: t.Any) -> list[str]:
    rows = [
        (one.symptom, f"`{one.name}`", _conditions(one.when), one.cause, _change(one.change), one.besides)
        for one in module.RULES
    ]
    return _table(("symptom", "rule", "speaks where", "cause", "change to try", "besides"), *rows)


def _conditions(when: t.Sequence[t.Any]) -> str:
    forms = _module("plugins/module_utils/_slow/numbers.py").NUMBERS
    return ", ".join(f"`{one.number}` {one.operator} {_bound(forms[one.number].form, one.bound)}" for one in when)


def _bound(form: str, bound: float) -> str:
    return {"percent": f"{bound:.0%}", "seconds": f"{bound:g} s"}.get(form, f"{bound:g}")


def _change(change: t.Any) -> str:
    """The argument, and how its value is found."""
    if change is None:
        return "none"
    found = _module("plugins/module_utils/_slow/changes.py")
    amount = str(change.amount).lower() if isinstance(change.amount, bool) else f"{change.amount:g}"
    how = {
        "fill": f"so that {found.AIM:.0%} of the KV cache is taken, {found.FARTHEST} times as much at most",
        "times": f"{amount} times as much",
        "plus": f"{amount} more",
        "part_of_running": f"{amount} of the requests that run",
        "set": amount,
    }
    return f"`{change.argument}`: {how[change.kind]}"


def _numbers(module: t.Any) -> list[str]:
    return _table(("number", "is"), *((f"`{name}`", one.means) for name, one in module.NUMBERS.items()))


def _told(summary: str) -> str:
    """The words of an alert, with what Prometheus fills in by its name."""
    return re.sub(r"\{\{ \$(?:labels\.)?(\w+)[^}]*\}\}", r"*\1*", summary)


TABLES: t.Final = (
    Table("docs/monitoring.md", "plugins/module_utils/_monitoring/alerts.py", _alerts),
    Table("docs/failures.md", "plugins/module_utils/_diagnosis/failures.py", _failures),
    Table("docs/failures.md", "plugins/module_utils/_rollout/classes.py", _classes),
    Table("docs/rollout.md", "plugins/module_utils/_rollout/stages.py", _stages),
    Table("docs/slow.md", "plugins/module_utils/_slow/rules.py", _slow),
    Table("docs/slow.md", "plugins/module_utils/_slow/numbers.py", _numbers),
    Table("docs/releases.md", "plugins/module_utils/_vllm/gates.py", _gates),
)


def filled(text: str, table: Table) -> str:
    """The page's text with its table as it should be; refused where the page has lost one of the marks."""
    above, begin, rest = text.partition(table.begin)
    _old, end, below = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{table.page} has lost a mark of its table: write '{table.begin}' and '{END}' around it.")
    return "\n".join([above + begin, "", *table.lines(_module(table.source)), "", end + below])


def pages() -> dict[str, str]:
    """The pages that have such a table, by their paths in the checkout."""
    made: dict[str, str] = {}
    for table in TABLES:
        text = made.get(table.page) or (CHECKOUT / table.page).read_text(encoding="utf-8")
        made[table.page] = filled(text, table)
    return made
