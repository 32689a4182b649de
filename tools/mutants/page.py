# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/mutants-result.md: a table by room, and every mutant that survived."""

from __future__ import annotations

import typing as t

from .rooms import PAGE
from .trial import Result

Found = t.Mapping[str, tuple[t.Sequence[Result], int]]


def write(found: Found, seed: int, seconds: float) -> None:
    PAGE.write_text("")
