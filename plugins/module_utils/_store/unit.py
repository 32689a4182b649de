# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd: a download is a transient unit, one for each model and place, so that however many ask, one fetches.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import signal
import typing as t

from .._state import units
from .._state.unsaved import RUN_DIR
from .desk import Desk, Request

SHARE = "gpufleet-share.service"
# What tells it to stay as if somebody had asked just now.
STAY = signal.SIGUSR1
# A thread and two files for each of those that read at a time, and some more.
_BOUNDS = ("MemoryMax=512M", "TasksMax=320", "LimitNOFILE=4096")
# Whatever may be wrong with the program, it reads files and changes none. A /tmp of its own would hide a store there.
_READS = ("ProtectSystem=strict", "ProtectHome=read-only", "NoNewPrivileges=yes")
# Of root it has only that it reads what the owner of the cache keeps for itself; by the second one where the host is a
# container that lacks the first.
_CAN = (
    "CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    "Nice=10",
)
_ENDED = {"ActiveState=inactive", "ActiveState=failed"}


class Started(t.TypedDict):
    """The `run` to follow; `ours` where it does what was asked for, and not something else of the same model."""

    name: str
    unit: str
    run: str
    ours: bool
    joined: bool


def unit_name(name: str) -> str:
    return f"gpufleet-fetch@{name}.service"


def running(name: str, root: str = "/") -> bool:
    """Whether the unit is there: systemd keeps a transient unit's file while it lives."""
    return os.path.exists(os.path.join(root, "run/systemd/transient", unit_name(name)))


def start_command(name: str) -> list[str]:
    """It has no deadline: what comes slowly comes too, and what does not come at all ends it. Engines come first."""
    return [
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit={unit_name(name)}",
        f"--description=Fetch a model: {name}",
        "--property=Type=exec",
        *(f"--property={limit}" for limit in units.LIMITS),
        "--property=Nice=10",
        "--property=IOSchedulingPriority=7",
        units.PROGRAM,
        "fetch",
        name,
    ]


def _shared(hub_dir: str, at: str, to: t.Sequence[str]) -> str:
    return f"Let {', '.join(to)} read contents of {hub_dir} at {at}"


def share_command(hub_dir: str, at: str, to: t.Sequence[str]) -> list[str]:
    """It has started when it listens, and ends by itself when nobody has asked for a while."""
    return [
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit={SHARE}",
        f"--description={_shared(hub_dir, at, to)}",
        "--property=Type=notify",
        *(f"--property={one}" for one in (*_BOUNDS, *_READS, *_CAN)),
        units.PROGRAM,
        "serve",
        hub_dir.replace("$", "$$"),  # systemd takes it for a variable
        f"--at={at}",
        "--to",
        *to,
    ]


def share(run: units.Run, hub_dir: str, at: str, to: t.Sequence[str]) -> None:
    """Serve as asked from now on. One that does so already goes on, another one is ended. Raises UnitProblem."""
    served = f"Description={_shared(hub_dir, at, to)}"
    said = _said(run)
    if _stays(run, said, served):
        return
    if not said & _ENDED:
        run(["systemctl", "stop", SHARE])
    code, _out, err = run(share_command(hub_dir, at, to))
    # Another run may have been quicker.
    if code != 0 and not _stays(run, _said(run), served):
        raise units.UnitProblem(
            f"{SHARE} did not start, see `journalctl -u {SHARE}`; is {at} an address and a free port of this host? "
            f"{' '.join(err.split())}"
        )


def unshare(run: units.Run, root: str = "/") -> None:
    """Serve nobody any more. Raises UnitProblem."""
    if not os.path.exists(os.path.join(root, "run/systemd/transient", SHARE)):
        return
    code, _out, err = run(["systemctl", "stop", SHARE])
    if code != 0 and not _said(run) & _ENDED:
        raise units.UnitProblem(f"{SHARE} did not end, and others still read: {' '.join(err.split())}")


def _said(run: units.Run) -> set[str]:
    _code, out, _err = run(["systemctl", "show", SHARE, "--property=ActiveState", "--property=Description"])
    return set(out.splitlines())


def _stays(run: units.Run, said: set[str], served: str) -> bool:
    """Whether one serves like that, for as long from now on as a new one would."""
    if not {"ActiveState=active", served} <= said:
        return False
    code, _out, _err = run(["systemctl", "kill", f"--signal={STAY.name}", SHARE])
    return code == 0


def start(
    run: units.Run,
    request: Request,
    token: str,
    is_running: t.Callable[[str], bool] = running,
    run_dir: str = RUN_DIR,
) -> Started:
    """Start the unit, or join the one that is there. Raises UnitProblem, OSError."""
    desk = Desk.of(request, run_dir)
    unit = unit_name(desk.name)
    with desk.held():
        if is_running(desk.name):
            try:
                other, asked = desk.asked()
            except (OSError, ValueError) as error:
                raise units.UnitProblem(f"{unit} runs, and what it does cannot be read ({error}): stop it") from error
            return Started(name=desk.name, unit=unit, run=other, ours=asked == request, joined=True)
        mine = desk.put(request, token)
        code, _out, err = run(start_command(desk.name))
        if code != 0:
            desk.forget()
            raise units.UnitProblem(f"systemd did not start {unit}: {' '.join(err.split())}")
    return Started(name=desk.name, unit=unit, run=mine, ours=True, joined=False)
