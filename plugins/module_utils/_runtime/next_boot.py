# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether Docker would start with a daemon.json at its next boot, which a reload does not tell.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._docker.shapes import text
from .._outside.documents import Json
from .observed import PATH

DAEMON = "dockerd"
NO_SUCH_COMMAND = 127

Read = t.Callable[[str], t.Optional[bytes]]


class Run(t.Protocol):
    """Runs a command with a text on its standard input; its status and all that it said."""

    def __call__(self, command: list[str], stdin: str = "") -> tuple[int, str]: ...


def objection(content: str, run: Run, read: Read) -> str:
    """Why Docker would not start with this; '' where it would, as far as it can tell (from 23.0 on)."""
    flags = _flags(run, read)
    other = _other_file(flags)
    if other:
        return (
            f"docker.service starts Docker with --config-file {other}, so that it does not read {PATH}: remove the "
            "flag (systemctl edit docker.service), or set container_runtime_manage to false."
        )
    status, said = run([DAEMON, "--validate", *_without_file(flags), "--config-file", "/dev/stdin"], content)
    if status in (0, NO_SUCH_COMMAND) or "unknown flag" in said:
        return ""
    lines = list(dict.fromkeys(line.strip() for line in said.splitlines() if line.strip()))
    return f"Docker would not take the settings: {' '.join(lines[-2:])} Correct the variables that set them."


def has_a_swarm(config: Json, read: Read) -> bool:
    """Whether a daemon that does not run would start as a node of a swarm."""
    root = text(config.get("data-root")) or "/var/lib/docker"
    return read(f"{root}/swarm/docker-state.json") is not None


def _flags(run: Run, read: Read) -> list[str]:
    """What docker.service gives the daemon on its command line; a key that is in the file too stops its start."""
    _status, said = run(["systemctl", "show", "docker.service", "--property=MainPID", "--value"])
    pid = said.strip()
    if not pid.isdecimal() or pid == "0":
        return []
    program, *words = (read(f"/proc/{pid}/cmdline") or b"").decode("utf-8", "replace").split("\0")
    return [word for word in words if word] if program.rpartition("/")[2] == DAEMON else []


def _other_file(flags: t.Sequence[str]) -> str:
    """The file that the daemon reads instead of daemon.json, if any."""
    for word, following in zip(flags, [*flags[1:], ""]):
        name, equals, value = word.partition("=")
        if name == "--config-file":
            other = value if equals else following
            return "" if other == PATH else other
    return ""


def _without_file(flags: t.Sequence[str]) -> list[str]:
    kept = [word for word in flags if not word.startswith("--config-file=")]
    if "--config-file" in kept:
        at = kept.index("--config-file")
        del kept[at : at + 2]
    return kept
