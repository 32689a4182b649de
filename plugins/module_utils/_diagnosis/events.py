# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happened in a log: exceptions with the functions they came through, chained as Python tells them, and others.

Processes write into one log, line by line; each is followed by itself. A log is cut into lives: what an engine said
before it went on serving, or began anew, is older than what killed it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from .log_text import LINE, Said

# These say that something failed elsewhere.
WRAPPERS = re.compile(
    r"EngineCore failed to start|[Ee]ngine core (?:proc \S+ )?(?:initialization failed|exited|died)|"
    r"WorkerProc (?:initialization failed|failed|hit an exception)|Worker proc .{0,80} died unexpectedly|"
    r"EngineCore encountered an? (?:issue|fatal error)|EngineDeadError|EngineGenerateError|"
    r"DP Coordinator process failed|Input socket thread died during startup|DPSupervisor exited before startup|"
    r"Did not receive response from front-end process|EngineCore hit an exception|[Gg]ot fatal signal from worker|"
    r"Failed core proc|"
    r"Engine process failed to start|Frontend process failed|One or more workers failed|Executor failed|"
    r"Ray workers have not started|AsyncLLM output_handler failed|Invocation of .{0,60} method failed|"
    r"Error executing method|ChildFailedError|RayActorError|ActorDiedError|The actor (?:is dead|died)|"
    r"multiprocessing\.pool\.RemoteTraceback|^Process \S+:$|SystemExit|KeyboardInterrupt"
)
_FRAME = re.compile(r'File "[^"]{0,400}", line \d+')
_EXCEPTION = re.compile(r"(?P<name>(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)(?::(?= |$) ?(?P<text>.*))?$")
_NAMED_SO = re.compile(r"(?:Error|Exception|Exit|Interrupt|Timeout|Fault|Failure)$")
_EMBEDDED = re.compile(r"\b\w+(?:Error|Exception): \S")
_PARSER = re.compile(r"^[^\s:]{1,100}(?: [\w-]{1,30}){0,3}: error: ")
# pydantic: a heading, then for each mistake its place, what is wrong, and where to read more.
_VALIDATION = re.compile(r"\d+ validation errors? for ")
_MORE = re.compile(r"^For further information visit|^\^+$|^~*\^+~*$|^<frozen |^usage: ")
_CPLUSPLUS = re.compile(r"^what\(\):\s+")
# How Python draws a group of exceptions.
_GROUPED = re.compile(r"^(?:\| ?|\+-[-+ ]*\d* ?-*)+")
_LINKS = ("The above exception was the direct cause", "During handling of the above exception")
_TRACEBACK = "Traceback (most recent call last)"
# What another process said, passed on.
_PASSED_ON = re.compile(r"Worker failed with error '(?P<said>.+?)'?(?:, please check the stack trace.*)?$")
# The engine lives: it has begun to serve, or it answers.
_ALIVE = re.compile(
    r"Application startup complete|Avg prompt throughput|vLLM API server version|"
    r'"[A-Z]{3,7} /\S* HTTP/[\d.]+" (?:2|4)\d\d\b'
)
_CONTINUED = 8
_MOST_FRAMES = 200


@dataclass
class Event:
    """An exception, or any other line that is not harmless. `line` is what is shown of it, `text` what is searched.

    `source` is the line of source code that an exception came from.
    """

    line: str
    process: str = ""
    exception: str = ""
    frames: tuple[str, ...] = ()
    chain: int = 0
    where: str = ""
    more: list[str] = field(default_factory=list)
    pydantic: bool = False
    source: str = ""

    @property
    def text(self) -> str:
        return " ".join((self.line, *self.more))[:LINE]

    @property
    def shown(self) -> str:
        """The line, with those below it where it only heads them."""
        if self.pydantic:
            said = next((line for line in self.more if line.startswith(("Value error, ", "Assertion failed, "))), "")
            if said and not _PARSER.match(self.line):
                return said
            return " ".join((self.line, *self.more[:3]))
        if self.exception == self.line and self.source:
            return f"{self.exception}: {self.source}"  # an assertion without a word
        heading = self.line.endswith(":") or self.line.endswith(": {}") or self.exception == self.line.rstrip(": ")
        return " ".join((self.line, *self.more[:6])) if heading else self.line


class _Process:
    """One process's own thread through the log."""

    def __init__(self) -> None:
        self.frames: list[str] = []
        self.source = ""
        self.in_frame = False
        self.after_link = False
        self.last: Event | None = None
        self.chain = 0


def lives(lines: t.Iterable[Said]) -> list[list[Event]]:
    """What happened, in the order of the log, cut where the engine was seen alive. The last one is the newest."""
    found: list[list[Event]] = [[]]
    processes: dict[str, _Process] = {}
    chains = 0
    for line in lines:
        if line.harmless:
            if found[-1] and _ALIVE.search(line.text):
                found.append([])
                processes.clear()
            continue
        process = processes.setdefault(line.speaker, _Process())
        event = _read(line, process)
        if event is None:
            continue
        if process.after_link:
            process.after_link = False
        else:
            chains += 1
            process.chain = chains
        event.chain = process.chain
        found[-1].append(event)
    for process in processes.values():
        if process.frames:
            found[-1].append(Event("", "", frames=tuple(process.frames)))
    return found


def _read(line: Said, process: _Process) -> Event | None:
    """The event that a line begins; None where it belongs to another one, or is none."""
    words = _GROUPED.sub("", line.words)
    if not words or _MORE.match(words):
        return None
    if any(link in words for link in _LINKS):
        process.after_link, process.last = True, None
        return None
    if words.startswith(_TRACEBACK):
        process.frames, process.in_frame, process.last = [], False, None
        return None
    if _FRAME.match(words):
        if len(process.frames) < _MOST_FRAMES:
            process.frames.append(words)
        process.in_frame, process.last = True, None
        return None
    indented = line.text[:4] == "    "
    exception = None if process.in_frame and indented else _exception(words, process)
    if exception is None and process.in_frame and (indented or not _telling(words)):
        # A line of source code; only new Pythons show several.
        process.in_frame, process.source = indented, words
        return None
    process.in_frame = False
    if exception is not None:
        process.last = _event(line, words, exception, process)
        process.frames, process.source = [], ""
        return process.last
    return _line(line, words, process)


def _telling(words: str) -> bool:
    """Whether a line below a frame is no source code, although it is not indented."""
    return bool(_PARSER.match(words)) or (_EMBEDDED.search(words) is not None and "raise " not in words)


def _exception(words: str, process: _Process) -> str | None:
    """The name of the exception that a line tells; in a traceback it may have any name."""
    found = _EXCEPTION.match(words)
    if found is None:
        return None
    name = found["name"]
    last = name.rpartition(".")[2]
    if _NAMED_SO.search(last) and (found["text"] is not None or process.frames):
        return name
    dotted = "." in name and last[:1].isupper() and found["text"] is not None
    unusual = bool(process.frames) and last[:1].isupper() and not last.endswith("Warning")
    return name if (dotted and not last.endswith("Warning")) or (unusual and found["text"] is not None) else None


def _event(line: Said, words: str, exception: str, process: _Process) -> Event:
    passed_on = _PASSED_ON.search(words)
    return Event(
        words if passed_on is None else passed_on["said"],
        line.process,
        exception,
        tuple(process.frames),
        where=line.where,
        pydantic=_VALIDATION.search(words) is not None,
        source=process.source,
    )


def _line(line: Said, words: str, process: _Process) -> Event | None:
    """A line that is no exception's first: a further one of the last event, and an event of its own."""
    last = process.last
    parser = _PARSER.match(words) is not None
    heads = _VALIDATION.search(words) is not None
    same = last is not None and last.where == line.where and not parser and not WRAPPERS.search(words)
    if last is not None and same and len(last.more) < _CONTINUED:
        last.more.append(words)
        if last.pydantic:
            return None
    event = Event(_CPLUSPLUS.sub("", words), line.process, where=line.where, pydantic=heads)
    if parser or heads:
        process.last = event
    if _EMBEDDED.search(words) or words.startswith("what():"):
        event.exception = "embedded"
    return event
