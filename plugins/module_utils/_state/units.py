# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd: a transaction is a transient unit, its name is the lock of the instance, and it recovers whenever it ends.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import typing as t

PROGRAM = "/usr/local/lib/gpufleet/gpufleet-host"
UNIT_DIR = "/etc/systemd/system"
BOOT_UNIT = "gpufleet-recover.service"
# What the program may take of the host. It needs 25 MiB and one process, and 150 MiB more while it reads the largest
# answers that it takes. Whoever makes it need more than that ends it, and begins its recovery, and harms no engine.
LIMITS = ("MemoryMax=512M", "TasksMax=64")
_LIMITS = "\n".join(LIMITS)
BOOT_UNIT_TEXT = f"""[Unit]
Description=Bring back the last known good vLLM release after an interrupted rollout
After=docker.service
ConditionPathExists={PROGRAM}

[Service]
Type=oneshot
ExecStart={PROGRAM} recover --all
{_LIMITS}

[Install]
WantedBy=multi-user.target
"""

# The timer only ticks: how often an instance is looked at is one of its settings, and what a tick does is the program's
# affair, so that neither needs systemd to read a unit again. The service waits for the recovery at boot. What it says
# is a notice, and nothing below that is kept: systemd would fill the journal with two lines a tick.
WATCH_TIMER = "gpufleet-watch.timer"
WATCH_SERVICE = "gpufleet-watch.service"
WATCH_TIMER_TEXT = f"""[Unit]
Description=Look after verified vLLM releases

[Timer]
OnCalendar=*:*:00,30
AccuracySec=1s
Unit={WATCH_SERVICE}

[Install]
WantedBy=timers.target
"""
WATCH_SERVICE_TEXT = f"""[Unit]
Description=Ask each verified vLLM instance for one token
After=docker.service {BOOT_UNIT}
ConditionPathExists={PROGRAM}

[Service]
Type=oneshot
ExecStart={PROGRAM} watch
{_LIMITS}
SyslogLevel=notice
LogLevelMax=notice
TimeoutStartSec=1800
"""

# What is put under UNIT_DIR, and which of it a target wants.
INSTALLED = {BOOT_UNIT: BOOT_UNIT_TEXT, WATCH_SERVICE: WATCH_SERVICE_TEXT, WATCH_TIMER: WATCH_TIMER_TEXT}
WANTED = {"multi-user.target": BOOT_UNIT, "timers.target": WATCH_TIMER}

Run = t.Callable[[t.Sequence[str]], tuple[int, str, str]]


class UnitProblem(Exception):
    """systemd did not start the unit."""


def unit_name(instance: str) -> str:
    return f"gpufleet-rollout@{instance}.service"


def running(instance: str, root: str = "/") -> bool:
    """Whether a transaction of the instance exists: systemd keeps a transient unit's file while the unit lives."""
    return os.path.exists(os.path.join(root, "run/systemd/transient", unit_name(instance)))


def start_command(
    instance: str, verb: str, deadline: int, arguments: t.Sequence[str] = (), program: str = PROGRAM
) -> list[str]:
    """systemd-run for one verb. A rollout that ends without having finished is recovered by the same unit."""
    recovery = [] if verb == "recover" else [f"--property=ExecStopPost={program} recover {instance} --after-end"]
    return [
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit={unit_name(instance)}",
        f"--description=vLLM instance {instance}: {verb}",
        "--property=Type=exec",
        *(f"--property={limit}" for limit in LIMITS),
        f"--property=RuntimeMaxSec={deadline}",
        f"--property=TimeoutStopSec={deadline}",
        *recovery,
        program,
        verb,
        instance,
        *arguments,
    ]


def start(run: Run, instance: str, verb: str, deadline: int, arguments: t.Sequence[str] = ()) -> None:
    """Start the unit. Raises UnitProblem, also when the instance's lock is taken."""
    code, _out, err = run(start_command(instance, verb, deadline, arguments))
    if code != 0 and running(instance):
        raise UnitProblem(
            f"another rollout of {instance} is running ({unit_name(instance)}); wait for it, then run again"
        )
    if code != 0:
        raise UnitProblem(f"systemd did not start {unit_name(instance)}: {' '.join(err.split())}")
