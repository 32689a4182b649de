# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds text that must not be published: somebody's own paths, keys, tokens and unfinished work.

Usage: ``python -m tools.check_text``. Reads every file git knows or would add; prints ``file:line: what it is``, and
exits with 1 when there is anything.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import subprocess
import sys
import typing as t

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a line must not match, and what a match is called."""

    name: str
    pattern: re.Pattern[str]


RULES: t.Final = (
    Rule("a path of somebody's own machine", re.compile(r"(?<![\w.}-])/(?:work|workspace|Users|builds)/\w")),
    Rule("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    Rule("an access token", re.compile(r"\b(?:hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{30,}|AKIA[A-Z0-9]{16})\b")),
    Rule("a merge conflict", re.compile(r"^(?:<{7} |>{7} |={7}$)")),
    Rule("unfinished work", re.compile(r"\b(?:TODO|FIXME|XXX)\b")),
    Rule("a task number that only its author can look up", re.compile(r"\bissues? #?\d{1,2}\b(?!\d)", re.IGNORECASE)),
)
# Texts of others, and this file, which has to name what it looks for.
EXEMPT: t.Final = frozenset({"LICENSE", "tools/check_text.py", "tests/unit/tools/test_check_text.py"})


def findings(text: str, rules: t.Iterable[Rule]) -> list[tuple[int, str]]:
    """Return (line number, name of the rule) for every rule a line breaks."""
    return [
        (number, rule.name)
        for number, line in enumerate(text.splitlines(), start=1)
        for rule in rules
        if rule.pattern.search(line)
    ]


def rules_for(checkout: pathlib.Path) -> tuple[Rule, ...]:
    """Return all rules, with one more for the folder this checkout happens to lie in."""
    return (*RULES, Rule("the path of this checkout", re.compile(re.escape(str(checkout)) + r"\b")))


def files(checkout: pathlib.Path) -> list[str]:
    """Return the files git knows or would add, without links, relative to the checkout."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=checkout, check=True, capture_output=True, text=True).stdout
    names = {name for name in listed.split("\0") if name}
    return sorted(name for name in names if (checkout / name).is_file() and not (checkout / name).is_symlink())


def main() -> int:
    """Check the whole checkout."""
    rules = rules_for(CHECKOUT)
    found = 0
    for name in files(CHECKOUT):
        if name in EXEMPT:
            continue
        try:
            text = (CHECKOUT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for line, what in findings(text, rules):
            print(f"{name}:{line}: {what}")
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
