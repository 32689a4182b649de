# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a log's events is the cause: of the last life, of what nothing else brought about, what says most.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from .events import WRAPPERS, Event
from .matching import Match, kind_of

# That somebody else is gone follows from what happened to them.
_CONSEQUENCES = re.compile(
    r"RuntimeError: cancelled|^TimeoutError:?$|TimeoutError: RPC call to|CancelledError|BrokenPipeError|EOFError|"
    r"Connection(?:Reset|Aborted|Refused)?Error|Connection (?:reset|closed) by|Broken pipe|recvValue failed|"
    r"DistNetworkError(?!.{0,200}EADDRINUSE)|ContextTerminated|ZMQError(?!.{0,40}in use|.{0,300}longer than)|"
    r"can't register atexit|"
    r"Exception ignored in|leaked (?:shared_memory|semaphore)|destroy_process_group|"
    r"Process group watchdog thread terminated|c10::DistBackendError|TCPStore|HeartbeatMonitor"
)
# An error of one request: its client has it, and the engine lives on.
_REQUEST = re.compile(r"(?:^|/)(?:serving|preprocess|protocol|chat_utils|renderer|api_router)\w*\.py")
# Exceptions that name what was not there, and explain nothing.
_BARE = re.compile(r"(?:KeyError|IndexError|StopIteration|AttributeError)\b")
# So many different lines, the newest first, are asked for their class: no start that fails has as many.
_MOST_TEXTS = 5000


def last_life(all_lives: t.Sequence[list[Event]], hangs: bool) -> list[Event]:
    """The newest life in which something failed by itself; where a worker hangs, what follows from it tells enough.

    Between an engine core's end and its news of it an API server goes on answering. What it said itself is past.
    """
    *before, last = all_lives
    if any(event.line and (hangs or _by_itself(event)) for event in last):
        return last
    for life in reversed(before):
        if any(event.line and _by_itself(event) and (depth(event) or not event.process) for event in life):
            return life
    return last


def _by_itself(event: Event) -> bool:
    """Whether nothing else, somewhere else, brought it about, and no client."""
    line = event.line
    return not (WRAPPERS.search(line) or _CONSEQUENCES.search(line) or _REQUEST.search(event.where))


def classed(life: t.Sequence[Event], known: t.Mapping[str, str]) -> tuple[Event, Match] | None:
    """The newest failure of a class: one that says more first, then a general one."""
    general: tuple[Event, Match] | None = None
    lead: tuple[Event, Match] | None = None
    seen: dict[tuple[str, tuple[str, ...]], Match | None] = {}
    exceptions = any(event.exception and _by_itself(event) for event in life)
    for event in reversed(life):
        if _REQUEST.search(event.where) or (WRAPPERS.search(event.line) and not event.more):
            continue
        key = (event.text, event.frames)
        if key not in seen:
            if len(seen) == _MOST_TEXTS:
                break
            seen[key] = kind_of(event.text, event.frames, known)
        match = seen[key]
        if match is None or not (event.exception or match.kind.lead or not exceptions):
            continue
        if match.kind.general:
            # What hangs follows from what failed, and an exception says more than a line about it.
            if general is None or _rank(event, match) > _rank(*general):
                general = (event, match)
        elif event.exception:
            return event, match
        elif lead is None:
            lead = (event, match)
    return lead or general


def _rank(event: Event, match: Match) -> tuple[bool, bool]:
    return match.kind.name != "shm.hang", bool(event.exception)


def root(life: t.Sequence[Event]) -> Event | None:
    """Of failures that are of no class: the newest of the innermost process, in the words of its chain that "
    "explain."""
    own = [event for event in life if event.exception and _by_itself(event)]
    if not own:
        return next((event for event in reversed(life) if event.pydantic and _by_itself(event)), None)
    innermost = max(depth(event) for event in own)
    newest = next(event for event in reversed(own) if depth(event) == innermost)
    chain = [event for event in own if event.chain == newest.chain]
    return next((event for event in reversed(chain) if not _BARE.match(event.line)), newest)


def depth(event: Event) -> int:
    """How far inside a process is: the API server starts the engine, and that its workers."""
    name = event.process.lower()
    if "worker" in name or name.startswith("rank"):
        return 2
    return 1 if "engine" in name or "core" in name else 0
