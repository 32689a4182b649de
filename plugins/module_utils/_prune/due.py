# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Something that may go, and something that stays although nobody needs it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

DAY = 86400.0
# Between the moment in which something comes and that in which a state names the release that needs it.
GRACE = 3600.0


class Due(t.NamedTuple):
    """`names` are Docker's names of an image, or a path; `size` is in bytes, of an image what it takes at most."""

    kind: str
    what: str
    names: tuple[str, ...]
    size: int
    because: str


class Stays(t.NamedTuple):
    kind: str
    what: str
    because: str


def in_words(size: int) -> str:
    if size < 2**16:
        return f"{size} bytes"
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"


def line(due: Due) -> str:
    return f"{due.kind} {due.what}: {in_words(due.size)}, {due.because}"
