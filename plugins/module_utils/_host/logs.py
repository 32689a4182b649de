# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an instance's engine has written, and why its last release failed; read only.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._docker.client import Docker, DockerError
from .._outside.concealing import concealed, concealed_log
from .._state.diagnoses import Diagnoses
from .._state.state import StateProblem
from .._state.store import Store

# Lines that Docker is asked for at most, as its client bounds them.
MOST_LINES = 10_000


class Failed(t.TypedDict):
    """The last failure that is kept: when (UTC), at which stage, what it was, and the end of its log."""

    at: str
    digest: str
    stage: str
    failure_class: str
    cause: str
    advice: str
    folder: str
    log: list[str]


class Log(t.TypedDict):
    """`lines` are the newest of `container`, each led by its time (RFC 3339); `problem` says why there are none."""

    instance: str
    container: str
    lines: list[str]
    problem: str
    failed: Failed | None


def log_of(store: Store, docker: Docker, lines: int) -> Log:
    """The newest LINES of the engine that serves, and of the last failure, without secrets."""
    container, said, problem = "", "", ""
    try:
        current = store.load().current
        if current is None:
            problem = "no release is verified"
        else:
            container = current.release["container"]["name"]
            said = docker.logs(container)
            problem = "" if said else f"{container} has written nothing"
    except StateProblem as error:
        problem = f"its state is of no use: {error}"
    except DockerError as error:
        problem = f"{container} is gone" if error.status == 404 else f"Docker did not tell: {error}"
    return {
        "instance": store.instance,
        "container": container,
        "lines": _newest(concealed_log(said), lines),
        "problem": problem,
        "failed": _failed(store.diagnoses, lines),
    }


def _failed(diagnoses: Diagnoses, lines: int) -> Failed | None:
    kept = diagnoses.newest()
    if kept is None:
        return None
    folder, diagnosis, log = kept
    told = {name: str(concealed(diagnosis.get(name) or "")) for name in ("stage", "failure_class", "cause", "advice")}
    return {
        "at": folder.rpartition("/")[2].partition("-")[0],
        "digest": str(diagnosis.get("digest") or ""),
        "stage": told["stage"],
        "failure_class": told["failure_class"],
        "cause": told["cause"],
        "advice": told["advice"],
        "folder": folder,
        "log": _newest(log, lines),
    }


def _newest(text: str, lines: int) -> list[str]:
    return text.splitlines()[-lines:]
