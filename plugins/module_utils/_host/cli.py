# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gpufleet-host: the program on the host that carries a rollout out. Called by systemd, by Ansible and by operators.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import typing as t

from .._docker.client import DockerError
from .._outside.printable import printable
from .._rollout.failure import unexpected
from .._rollout.host import Host
from .._rollout.journal import GOOD_OUTCOMES, Journal, spoken
from .._rollout.rebuild import load
from .._rollout.recover import BY_WATCH, recover, repair_cut_off
from .._rollout.transaction import Transaction
from .._state import kept_files, units
from .._state.api_keys import ApiKeys
from .._state.client_file import CLIENT_DIR
from .._state.state import StateProblem
from .._state.store import STATE_DIR, Store, instances
from .._state.unsaved import RUN_DIR
from .._watch.watch import Watch
from .._watch.watch_pause import pause, until
from .._watch.watch_record import RecordProblem, Records, lock
from . import request as requests
from .proof import prove_instance
from .status import known, observe, observe_one

FOLLOW_POLL = 0.2
BUSY = 75  # EX_TEMPFAIL
# What people type: a name with a mistake in it shall not look like an instance that was never rolled out.
TYPED = ("prove", "rollback", "status")


def _run(command: t.Sequence[str]) -> tuple[int, str, str]:
    # This runs as a program of its own: there is no module whose run_command it could take.
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # pylint: disable=ansible-bad-function
    return done.returncode, done.stdout, done.stderr


def _print(document: t.Any) -> None:
    spoken(json.dumps(document, sort_keys=True))


def _complain(what: t.Any) -> None:
    sys.stderr.write(f"{printable(what)}\n")


def _rollout(store: Store, host: Host, client_dir: str, request_name: str) -> int:
    """Carry out a request; first roll back what an earlier transaction left unfinished."""
    journal = Journal(store, host.clock)
    request = store.take_request(request_name)
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
    if recover(host, store, Journal(store, host.clock), service_result, client_dir) == "failed":
        return 1  # what is kept may not be known: no key is given up
    host.keys.prune(store.load())
    kept_files.prune(store.state_dir, store.run_dir)
    return 0


def _recover_all(state_dir: str, run_dir: str, host: Host) -> int:
    """At boot: one unit for each instance that a rollout or a repair left unfinished, under the instance's lock."""
    code = 0
    for name in instances(state_dir):
        store = Store(name, state_dir, run_dir)
        try:
            state, problem = load(store, host.docker)
            cut_off = repair_cut_off(host, state)
        except (StateProblem, DockerError) as error:
            _complain(f"{name}: {error}")
            code = 1
            continue
        except Exception as error:  # noqa: BLE001 - none of ours, and the other instances come up all the same
            _complain(f"{name}: {unexpected(error)}")
            code = 1
            continue
        if problem or state.candidate is not None:
            try:
                requests.recover(_run, store)
            except units.UnitProblem as error:
                _complain(error)
                code = 1
        elif cut_off is not None:
            try:
                said = {"client": cut_off.client, "settings": cut_off.settings}
                requests.start(_run, store, {"kind": "repair", "plan": said})
            except units.UnitProblem as error:
                _complain(error)
                code = 1
    return code


def follow(store: Store, offset: int, wait: float, clock: t.Callable[[], float] = time.monotonic) -> dict[str, t.Any]:
    """Stage lines behind a byte offset; waits for the first at most `wait` seconds, while the transaction lives.

    The end of one that the disk of the stage log did not take comes last.
    """
    deadline = clock() + wait
    while True:
        active = units.running(store.instance)
        lines, behind = store.stages_from(offset)
        if not lines and not active:
            last = store.take_last_word()
            lines = [last] if last is not None else []
        if lines or not active or clock() >= deadline:
            return {"lines": lines, "offset": behind, "active": active}
        time.sleep(FOLLOW_POLL)


def _rollback(store: Store) -> int:
    """For an operator at the console: start the unit, and print its stages until it ends."""
    offset = requests.start(_run, store, {"kind": "rollback"})
    outcome = ""
    while True:
        news = follow(store, offset, 10)
        offset = news["offset"]
        for line in news["lines"]:
            outcome = line.get("outcome", outcome)
            spoken(f"{line['elapsed']:7.1f} s  {line['stage']:<10} {line['detail']}")
        if not news["active"] and not news["lines"]:
            return 0 if outcome in GOOD_OUTCOMES else 1


def _watch(args: argparse.Namespace, host: Host) -> int:
    """One round of the watch. Raises BlockingIOError while another one is under way."""

    def start(store: Store, request: dict[str, t.Any]) -> None:
        requests.start(_run, store, request)

    def roll_back(store: Store) -> None:
        requests.recover(_run, store, "--by-watch")

    with lock(os.path.join(args.run_dir, "watch.lock"), wait=False):
        Watch(host, spoken, start, roll_back, args.state_dir, args.run_dir).round()
    return 0


def _is_known(args: argparse.Namespace, host: Host) -> bool:
    """Whether the host knows the instance, or has its first rollout under way; said where not."""
    if units.running(args.instance):
        return True
    return _is_listed(args.instance, known(args.state_dir, host.docker))


def _is_listed(instance: str, listed: t.Sequence[str]) -> bool:
    if instance not in listed:
        _complain(f"no instance {instance} is on this host, which knows {', '.join(listed) or 'none'}")
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gpufleet-host", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--state-dir", default=STATE_DIR)
    parser.add_argument("--client-dir", default=CLIENT_DIR)
    parser.add_argument("--run-dir", default=RUN_DIR)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, text in (
        ("rollout", "carry out a request (what the unit runs)"),
        ("follow", "print new stage lines as JSON"),
        ("prove", "ask the instance for its proof, changing nothing"),
        ("rollback", "put the previous verified release back"),
    ):
        verbs.add_parser(verb, help=text).add_argument("instance")
    verbs.choices["rollout"].add_argument("request", help="its file's name in the instance's state folder")
    verbs.choices["follow"].add_argument("--offset", type=int, default=0)
    verbs.choices["follow"].add_argument("--wait", type=float, default=0)
    recovery = verbs.add_parser("recover", help="roll back what was left unfinished")
    recovery.add_argument("instance", nargs="?")
    recovery.add_argument("--all", action="store_true")
    recovery.add_argument("--after-end", action="store_true", help="called by systemd when the unit has ended")
    recovery.add_argument("--by-watch", action="store_true", help="called by the watch, which found it unfinished")
    watch = verbs.add_parser("watch", help="look after verified releases: one round (what the timer runs)")
    watch.add_argument("instance", nargs="?", help="with --pause or --resume; without it every instance is meant")
    word = watch.add_mutually_exclusive_group()
    word.add_argument("--pause", action="store_true", help="leave the instance alone until --resume")
    word.add_argument("--resume", action="store_true", help="look after the instance again")
    watch.add_argument("--for", dest="duration", metavar="TIME", help="with --pause: how long, such as 30m or 2h")
    verbs.add_parser("status", help="print what the host knows as JSON").add_argument("instance", nargs="?")
    return parser


def _watch_or_pause(parser: argparse.ArgumentParser, args: argparse.Namespace, host: Host) -> int:
    word = args.pause or args.resume
    if (args.instance and not word) or (args.duration and not args.pause):
        parser.error("INSTANCE goes with --pause or --resume, --for with --pause")
    try:
        return _pause(args) if word else _watch(args, host)
    except BlockingIOError:
        _complain("another round of the watch is under way")
        return BUSY
    except (ValueError, RecordProblem) as problem:
        _complain(problem)
        return 1


def main(arguments: t.Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 not done or rolled back, 75 when another transaction holds the instance."""
    parser = _parser()
    args = parser.parse_args(arguments)
    host = Host(owner=os.environ.get("INVOCATION_ID", ""), keys=ApiKeys(args.state_dir))
    if args.verb == "watch":
        return _watch_or_pause(parser, args, host)
    if args.verb == "recover" and args.all:
        return _recover_all(args.state_dir, args.run_dir, host)
    if args.verb == "status" and not args.instance:
        _print(observe(args.state_dir, host.docker, host.http))
        return 0
    if args.verb in TYPED and not _is_known(args, host):
        return 1
    store = Store(args.instance, args.state_dir, args.run_dir)
    try:
        if args.verb == "rollout":
            return _rollout(store, host, args.client_dir, args.request)
        if args.verb == "recover":
            return _recover(store, host, args.client_dir, args)
        if args.verb == "rollback":
            return _rollback(store)
    except units.UnitProblem as problem:
        _complain(problem)
        return BUSY
    except (StateProblem, DockerError, OSError) as error:
        _complain(f"{args.instance}: {error}")
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
