# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A log as it is searched: its newest part, in lines that are cut, each with who said it and how bad they call it.

An engine writes what it likes, and so do its clients through it. Nobody's patience depends on how much.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from .._outside.documents import parse
from .._outside.printable import printable_lines

# Characters. A whole start of vLLM with its wrappers around the cause has less than a fifth of it.
SEARCHED = 1024 * 1024
LINE = 1000

# What stands before a line's own words: the process (vLLM, Ray, torch; more than once where a parent passes on what a
# child says), the container or unit (Compose, systemd), colours whose first byte was lost, the time (of Docker and
# Kubernetes), the level, in the ways that vLLM has written it.
_PROCESS = re.compile(r"\((?P<name>\w[\w.=, -]{0,60}?),? (?:pid|ip)=[^)]{0,80}\) ?")
_RANK = re.compile(r"\[(?P<name>rank\d{1,5})\]: ?")
_CONTAINER = re.compile(
    r"(?:> )?(?:[\w.-]{1,60} {1,20}\| |\[(?:pod/\S{1,200}\] |default\d{1,4}\]:)|"
    r"(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S{8,30}) \S{1,60} "
    r"[^\s:()\[\]]{1,60}(?:\[\d+\])?: )|> "
)
_COLOUR = re.compile(r"\[\d{1,3}(?:;\d{1,3}){0,4}m")
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)? (?:(?:stdout|stderr) [FP] )?"
)
_LEVEL = re.compile(
    r"(?P<level>TRACE|DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|FATAL)"
    r"(?: (?:\d{4}-)?\d\d-\d\d \d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: \d\d:\d\d)? \[?(?P<where>[^\s\]]{0,100})\] ?|"
    r" \[(?P<at>[\w./-]{1,100}\.py:\d{1,6})\] ?|: {0,8}| (?=\S))"
)
_RAY_LEVEL = re.compile(r"(?P<level>INFO|WARNING|ERROR) (?P<where>\w+\.py:\d+) -- ")
_MOST_PREFIXES = 12
HARMLESS = frozenset(("TRACE", "DEBUG", "INFO", "WARN", "WARNING"))
_LEVELS = HARMLESS | {"ERROR", "CRITICAL", "FATAL"}

# A record in JSON, as a formatter of the operator's or a driver of Docker's writes it: how bad, and what is said.
_JSON_LEVELS = ("level", "levelname", "severity", "log_level")
_JSON_TEXTS = ("message", "msg", "event", "log", "exc_info", "exception", "traceback", "stack_trace", "stack")
# Behind these stands what a client has sent.
_QUOTED = re.compile(r"(?<![-\w])(?:prompts?|messages|content)['\"]?\s?[:=]")
# Where such a quote begins, and may go on for lines.
_OPENING = re.compile(r"[\s\[({]{0,4}(?P<quote>['\"])")
_MOST_QUOTED = 50
_DUMP = "dump_input.py"


class Said(t.NamedTuple):
    """One line: its words (indented as they were), its level, the file of the engine that says it, and the process.

    `speaker` is one process, where `process` is its kind: several workers may have one name.
    """

    text: str
    level: str = ""
    where: str = ""
    process: str = ""
    speaker: str = ""

    @property
    def words(self) -> str:
        return self.text.strip()

    @property
    def harmless(self) -> bool:
        """Whether the engine itself says that the line is no error, or dumps what it was given."""
        return self.level in HARMLESS or self.where.startswith(_DUMP)

    @property
    def record(self) -> tuple[str, str, str]:
        return (self.level, self.where, self.speaker)


def lines(log: str) -> list[str]:
    """The newest lines of a log, each cut to a length at which any pattern is quick."""
    newest = log[-SEARCHED:] if len(log) > SEARCHED else log
    if newest is not log:
        newest = newest.partition("\n")[2] or newest  # half a line does not say that it is harmless
    return [line[:LINE] for line in printable_lines("\n".join(_records(newest))).split("\n")]


def _records(log: str) -> t.Iterator[str]:
    """The lines of a log, a bar of progress apart from what follows it; of a record in JSON those that it holds."""
    for line in log.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        record = _record(line)
        texts = [] if record is None else [record[key] for key in _JSON_TEXTS if isinstance(record.get(key), str)]
        if record is None or not texts:
            yield line
            continue
        level = next((str(record[key]) for key in _JSON_LEVELS if key in record), "").upper()
        before = f"{level}: " if level in _LEVELS else ""
        for text in texts:
            yield from (before + part for part in text.rstrip("\n").split("\n"))


def _record(line: str) -> dict[str, t.Any] | None:
    if line[:2] != '{"' or line.rstrip()[-1:] != "}":
        return None
    try:
        found = parse(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def said(line: str) -> Said:
    """A line without what stands before its words."""
    at, level, where, process, speaker = 0, "", "", "", ""
    container = _CONTAINER.match(line)
    if container is not None:
        at = container.end()
    for _turn in range(_MOST_PREFIXES):
        found = _COLOUR.match(line, at) or _TIME.match(line, at)
        if found is None:
            found = _PROCESS.match(line, at) or _RANK.match(line, at)
            if found is not None:
                process, speaker = found["name"], found[0]
        if found is None and not level:
            found = _LEVEL.match(line, at) or _RAY_LEVEL.match(line, at)
            if found is not None:
                said_at = found.groupdict()
                level, where = found["level"], said_at.get("where") or said_at.get("at") or ""
        if found is None:
            # Only before a prefix does an indentation mean nothing.
            blank = len(line) - len(line[at:].lstrip(" ")) if line[at : at + 1] == " " else at
            if blank == at or not any(one.match(line, blank) for one in (_PROCESS, _COLOUR, _LEVEL)):
                break
            at = blank
            continue
        at = found.end()
    return Said(line[at:], level, where, process, speaker)


def own(log: str) -> list[Said]:
    """The lines of a log without what they quote of a client's request, be it over several lines."""
    found: list[Said] = []
    quote, record, left = "", ("", "", ""), 0
    for line in map(said, lines(log)):
        if quote and left and line.record == record:
            quote, left = ("" if quote in line.text else quote), left - 1
            continue
        quote = ""
        quoted = _QUOTED.search(line.text)
        if quoted is None:
            found.append(line)
            continue
        opening = _OPENING.match(line.text, quoted.end())
        if opening is not None and opening["quote"] not in line.text[opening.end() :]:
            quote, record, left = opening["quote"], line.record, _MOST_QUOTED
        found.append(line._replace(text=line.text[: quoted.start()]))
    return found


def is_harmless(line: str) -> bool:
    """Whether the engine itself says that the line is no error."""
    return said(line).harmless
