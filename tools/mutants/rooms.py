# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mutated, and by what: the one place that names rooms and tests."""

from __future__ import annotations

import pathlib
import typing as t

CHECKOUT: t.Final = pathlib.Path(__file__).resolve().parents[2]
# Rooms of `plugins/module_utils/`: all that `gpufleet-host` is packed from, and the planner.
ROOMS: t.Final = (
    *("_rollout", "_turns", "_state", "_watch", "_host", "_engine", "_diagnosis", "_plan"),
    *(
        "_outside",
        "_docker",
        "_door",
        "_images",
        "_store",
        "_bundle",
        "_hub",
        "_model",
        "_gpu",
        "_prepare",
        "_settings",
        "_vllm",
    ),
)
MODULE_UTILS: t.Final = "plugins/module_utils"
# Where tests of them are; which of these meet a mutant is recorded, not written down.
TESTS: t.Final = "tests/unit/plugins"
# Records and results, which git does not keep.
BUILD: t.Final = CHECKOUT / "build" / "mutants"
PAGE: t.Final = CHECKOUT / "docs" / "mutants-result.md"


def modules(room: str, checkout: pathlib.Path = CHECKOUT) -> list[str]:
    """The files of a room, as paths in the checkout. A room that is not there is a mistake in ROOMS."""
    found = sorted(path.relative_to(checkout).as_posix() for path in (checkout / MODULE_UTILS / room).rglob("*.py"))
    if not found:
        raise SystemExit(f"{MODULE_UTILS}/{room} has no Python files: mend ROOMS in tools/mutants/rooms.py")
    return found
