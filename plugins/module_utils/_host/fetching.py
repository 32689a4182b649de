# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing a model to this host, as its unit runs it, and following that.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import argparse
import json
import signal
import time
import typing as t

from .._outside.concealing import concealed_text
from .._outside.printable import printable
from .._rollout.journal import spoken
from .._store import progress as progresses
from .._store import unit
from .._store.asking import opening, resolver
from .._store.desk import Desk
from .._store.disk import disk_problem
from .._store.mover import Mover
from .._store.peers import Peers
from .._store.progress import WHOLE, Progress, Told
from .._store.sent import NotReceived, received
from .._store.sharing import Server
from .process import complain

# Seconds between two lines in the journal.
EVERY = 60.0
FOLLOW_POLL = 0.2


class Seen(t.TypedDict):
    """`told` is None before the run has said anything."""

    told: Told | None
    active: bool


def fetch(name: str, run_dir: str, state_dir: str) -> int:
    """Do what is asked for at the desk of that name."""
    desk = Desk(name, run_dir)
    try:
        run, request = desk.asked()
        token = desk.take_token()
    except (OSError, ValueError) as error:
        complain(f"nothing is asked for under the name {name} ({error})")
        return 1
    progress = Progress()
    said_at = [time.monotonic()]

    def tell() -> None:
        told = progress.told()
        desk.tell(run, told)
        if time.monotonic() - said_at[0] >= EVERY:
            said_at[0] = time.monotonic()
            spoken(f"{request['model']}: {printable(progresses.line(told))}")

    resolve, sources = resolver(request, token, state_dir), opening(request, token)
    mover = Mover(request, resolve, sources, progress, tell, state_dir, nearer=Peers(request.get("peers", ())))
    signal.signal(signal.SIGTERM, lambda _number, _frame: mover.stop.set())
    ended = mover.run()
    spoken(concealed_text(printable(ended.detail)))
    return 0 if ended.outcome == WHOLE else 1


def serve(args: argparse.Namespace) -> int:
    """Contents of the hub's cache for other hosts, until nobody asks any more."""
    try:
        server = Server(args.at, args.to, args.hub_dir)
        # A later fetch asks so for another while.
        signal.signal(unit.STAY, lambda _number, _frame: server.asked())
        server.serve()
    except (OSError, ValueError) as error:
        complain(f"nothing is served at {args.at}: {error}")
        return 1
    return 0


def receive(args: argparse.Namespace, body: t.BinaryIO) -> int:
    """A piece of a file from the control node, from standard input."""
    try:
        spoken(json.dumps(received(args.hub_dir, args.model, args.blob, args.at, args.size, body), sort_keys=True))
    except (NotReceived, OSError) as error:
        problem = disk_problem(error, args.hub_dir) if isinstance(error, OSError) else str(error)
        complain(problem)
        return 1
    return 0


def follow(name: str, run: str, wait: float, run_dir: str, clock: t.Callable[[], float] = time.monotonic) -> Seen:
    """How far a run is, after `wait` seconds, or as soon as it has ended."""
    desk, deadline = Desk(name, run_dir), clock() + wait
    while True:
        active = unit.running(name)
        told = desk.told(run)
        if (told is not None and told["outcome"]) or not active or clock() >= deadline:
            return {"told": told, "active": active}
        time.sleep(FOLLOW_POLL)
