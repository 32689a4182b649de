# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of gpufleet-host and what each takes.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import argparse

from .._state.client_file import CLIENT_DIR
from .._state.store import STATE_DIR
from .._state.unsaved import RUN_DIR


def parser(description: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="gpufleet-host", description=description)
    made.add_argument("--state-dir", default=STATE_DIR)
    made.add_argument("--client-dir", default=CLIENT_DIR)
    made.add_argument("--run-dir", default=RUN_DIR)
    verbs = made.add_subparsers(dest="verb", required=True)
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
    _about_models(verbs)
    verbs.add_parser("status", help="print what the host knows as JSON").add_argument("instance", nargs="?")
    return made


def _about_models(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verbs.add_parser("fetch", help="bring a model (what its unit runs)").add_argument("name")
    fetching = verbs.add_parser("fetching", help="print how far a model's download is as JSON")
    fetching.add_argument("name")
    fetching.add_argument("--run", default="")
    fetching.add_argument("--wait", type=float, default=0)
    receiving = verbs.add_parser("receive", help="add to a file of a model what comes over standard input")
    for name in ("--hub-dir", "--model", "--blob"):
        receiving.add_argument(name, required=True)
    receiving.add_argument("--at", type=int, required=True, help="the byte that the first one that comes is")
    receiving.add_argument("--size", type=int, required=True, help="how many bytes the whole file has")
    serving = verbs.add_parser(
        "serve", help="let other hosts read contents of models by their hash (what its unit runs)"
    )
    serving.add_argument("hub_dir")
    serving.add_argument("--at", required=True, metavar="ADDRESS:PORT")
    serving.add_argument("--to", required=True, nargs="+", metavar="NETWORK")
