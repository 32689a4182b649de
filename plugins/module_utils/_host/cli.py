# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gpufleet-host: the program on the host that carries a rollout out. Called by systemd, by Ansible and by operators.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
import typing as t

from .._docker.client import DockerError
from .._images.registry import Registry
from .._rollout.drain import let_in_at_last
from .._rollout.host import Host
from .._rollout.journal import GOOD_OUTCOMES, Journal, spoken
from .._rollout.recover import BY_WATCH, recover
from .._rollout.transaction import Transaction
from .._state import kept_files, units
from .._state.api_keys import ApiKeys
from .._state.request import Request
from .._state.state import StateProblem
from .._state.store import Store, instances
from .._turns.members import Members
from .._watch.watch import Watch
from .._watch.watch_pause import pause, until
from .._watch.watch_record import RecordProblem, Records, lock
from . import request as requests
from . import textfile
from .arguments import parser as arguments_of
from .boot import recover_all
from .fetching import fetch, receive, serve
from .fetching import follow as follow_fetch
from .following import follow, rollback
from .process import complain, run
from .proof import prove_instance
from .status import known, observe, observe_one

BUSY = 75  # EX_TEMPFAIL
# What people type: a name with a mistake in it shall not look like an instance that was never rolled out.
TYPED = ("prove", "rollback", "status")


def _print(document: t.Any) -> None:
    spoken(json.dumps(document, sort_keys=True))


@contextlib.contextmanager
def _door_open_at_the_end(store: Store, host: Host) -> t.Iterator[None]:
    """However it ends, nothing stays drained, no other member of its group either."""
    try:
        yield
    finally:
        for name in (store.instance, *requests.others(store)):
            amiss = let_in_at_last(host, name)
            if amiss:
                complain(f"{name}: connections are still refused: {amiss}")


def _rollout(store: Store, host: Host, client_dir: str, request_name: str) -> int:
    """Carry out a request; first roll back what an earlier transaction left unfinished."""
    journal = Journal(store, host.clock)
    request = store.take_request(request_name)
    with _door_open_at_the_end(store, host):
        before = recover(host, store, journal, client_dir=client_dir)
        if before == "failed":
            return 1  # told already; nothing is tried on top of what is not known to serve
        outcome = Transaction(host, store, journal, client_dir).run(request, rolled_back=bool(before))
    host.keys.prune(store.load())
    kept_files.prune(store.state_dir, store.run_dir)
    return 0 if outcome in GOOD_OUTCOMES else 1


def _recover(store: Store, host: Host, client_dir: str, args: argparse.Namespace) -> int:
    service_result = os.environ.get("SERVICE_RESULT") if args.after_end else None
    service_result = BY_WATCH if args.by_watch else service_result
    with _door_open_at_the_end(store, host):
        outcome = recover(host, store, Journal(store, host.clock), service_result, client_dir)
    if outcome == "failed":
        return 1  # what is kept may not be known: no key is given up
    host.keys.prune(store.load())
    kept_files.prune(store.state_dir, store.run_dir)
    return 0


def _watch(args: argparse.Namespace, host: Host) -> int:
    """One round of the watch. Raises BlockingIOError while another one is under way."""

    def start(store: Store, request: Request) -> None:
        requests.start(run, store, request)

    def roll_back(store: Store) -> None:
        requests.recover(run, store, "--by-watch")

    with lock(os.path.join(args.run_dir, "watch.lock"), wait=False):
        Watch(host, spoken, start, roll_back, args.state_dir, args.run_dir).round()
        amiss = textfile.write(args.state_dir, args.run_dir, time.time())
        if amiss:
            complain(amiss)
    return 0


def _is_known(args: argparse.Namespace, host: Host) -> bool:
    """Whether the host knows the instance, or has its first rollout under way; said where not."""
    if units.running(args.instance):
        return True
    return _is_listed(args.instance, known(args.state_dir, host.docker))


def _is_listed(instance: str, listed: t.Sequence[str]) -> bool:
    if instance not in listed:
        complain(f"no instance {instance} is on this host, which knows {', '.join(listed) or 'none'}")
    return instance in listed


def _pause(args: argparse.Namespace) -> int:
    """An operator's word to the watch, about one instance or all of them."""
    listed = instances(args.state_dir)
    if args.instance and not _is_listed(args.instance, listed):
        return 1
    end = "" if args.resume else until(args.duration, time.time())
    for name in [args.instance] if args.instance else listed:
        store = Store(name, args.state_dir, args.run_dir)
        spoken(pause(store, Records(store, args.run_dir), end))
    return 0


def _watch_or_pause(parser: argparse.ArgumentParser, args: argparse.Namespace, host: Host) -> int:
    word = args.pause or args.resume
    if (args.instance and not word) or (args.duration and not args.pause):
        parser.error("INSTANCE goes with --pause or --resume, --for with --pause")
    try:
        return _pause(args) if word else _watch(args, host)
    except BlockingIOError:
        complain("another round of the watch is under way")
        return BUSY
    except (ValueError, RecordProblem) as problem:
        complain(problem)
        return 1


def _of_no_instance(parser: argparse.ArgumentParser, args: argparse.Namespace, host: Host) -> int | None:
    """The exit code of what is about all instances, or about a model; None where it is about one instance."""
    if args.verb == "fetch":
        return fetch(args.name, args.run_dir, args.state_dir)
    if args.verb == "serve":
        return serve(args)
    if args.verb == "receive":
        return receive(args, sys.stdin.buffer)
    if args.verb == "fetching":
        _print(follow_fetch(args.name, args.run, args.wait, args.run_dir))
        return 0
    if args.verb == "watch":
        return _watch_or_pause(parser, args, host)
    if args.verb == "recover" and args.all:
        return recover_all(args.state_dir, args.run_dir, host)
    if args.verb == "status" and not args.instance:
        _print(observe(args.state_dir, host.docker, host.http))
        return 0
    return None


def main(arguments: t.Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 not done or rolled back, 75 when another transaction holds the instance."""
    parser = arguments_of(__doc__.splitlines()[0] if __doc__ else "")
    args = parser.parse_args(arguments)
    host = Host(owner=os.environ.get("INVOCATION_ID", ""), keys=ApiKeys(args.state_dir), registry=Registry)
    host.others = Members(args.state_dir, args.run_dir, args.client_dir)
    code = _of_no_instance(parser, args, host)
    if code is not None:
        return code
    if args.verb in TYPED and not _is_known(args, host):
        return 1
    store = Store(args.instance, args.state_dir, args.run_dir)
    try:
        if args.verb == "rollout":
            return _rollout(store, host, args.client_dir, args.request)
        if args.verb == "recover":
            return _recover(store, host, args.client_dir, args)
        if args.verb == "rollback":
            return rollback(store)
    except units.UnitProblem as problem:
        complain(problem)
        return BUSY
    except (StateProblem, DockerError, OSError) as error:
        complain(f"{args.instance}: {error}")
        return 1
    if args.verb == "follow":
        _print(follow(store, args.offset, args.wait))
        return 0
    if args.verb == "prove":
        result = prove_instance(store, host.docker, host.http)
        _print(result)
        return 0 if result["proved"] else 1
    _print(observe_one(store, host.docker, host.http))
    return 0
