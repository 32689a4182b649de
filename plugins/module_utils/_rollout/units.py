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
BOOT_UNIT = "gpufleet-recover.service"
BOOT_UNIT_PATH = f"/etc/systemd/system/{BOOT_UNIT}"
BOOT_UNIT_TEXT = f"""[Unit]
Description=Bring back the last known good vLLM release after an interrupted rollout
After=docker.service
ConditionPathExists={PROGRAM}

[Service]
Type=exec
ExecStart={PROGRAM} recover --all

[Install]
WantedBy=multi-user.target
"""

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
