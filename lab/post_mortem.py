# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of an engine of the lab that failed: why, what to do, in the words of a rollout, and its log's end."""

from __future__ import annotations

from plugins.module_utils._diagnosis.diagnosis import diagnose

LINES = 30
WIDTH = 200
# The list of its routes, and the dump of what it worked on, are no words about a failure.
NOISE = ("Route: /", "[dump_input.py")


def end_of(log: str) -> str:
    """The last lines of a log, none of them longer than a line."""
    lines = [line for line in log.splitlines() if line.strip() and not any(noise in line for noise in NOISE)]
    return "\n".join(f"  | {line[:WIDTH]}" for line in lines[-LINES:]) or "  | (the log is empty)"


def told(what: str, log: str, exit_code: int | None = None, oom_killed: bool = False, kept: str = "") -> str:
    """The paragraph about a failure, and the end of the engine's log."""
    found = diagnose(log, exit_code, oom_killed)
    where = f" (all of it: {kept})" if kept else ""
    ended = "" if exit_code is None else f" It ended with exit code {exit_code}."
    return f"{what}.{ended}\n{found.cause}\n{found.advice}\nThe end of the engine's log{where}:\n{end_of(log)}"
