# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One thing that speaks against a start, and how much.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..._findings.checks import Check

Word = t.Literal["fits", "tight", "does_not_fit", "unknown"]
# memory: other arguments would help; busy: something else holds the memory; setup: no amount of memory helps.
Kind = t.Literal["memory", "busy", "setup", "unknown"]
SEVERITY: dict[str, int] = {"fits": 0, "tight": 1, "unknown": 2, "does_not_fit": 3}


@dataclass(frozen=True)
class Reason:
    """check: whose prediction it is; None is what nothing lets through. here: it depends on who else is on the GPUs.

    capped: a smaller default of ours may answer it; a release that was planned without must not change its digest.
    of_method: it is about the quantization method that is asked for.
    """

    word: Word
    kind: Kind
    text: str
    check: Check | None = "memory"
    here: bool = False
    capped: bool = True
    of_method: bool = False
