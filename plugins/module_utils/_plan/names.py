# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names as people write them: one spelling, and the nearest known one.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import difflib
import re
import typing as t

INSTANCE_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


def canonical(name: str) -> str:
    """An engine argument in vLLM's own name with underscores: `--max-model-len` and `max_model_len` are one."""
    bare = name.strip().lstrip("-")
    return bare if bare == "O" else bare.replace("-", "_")


def nearest(name: str, known: t.Iterable[str]) -> str | None:
    """The known name that was probably meant: a prefix of exactly one, else the closest spelling, else None."""
    names = sorted(set(known))
    longer = [candidate for candidate in names if len(name) >= 4 and candidate.startswith(name)]
    if len(longer) == 1:
        return longer[0]
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return close[0] if close else None


def meant(name: str, known: t.Iterable[str]) -> str:
    """` Did you mean x?` as the end of a sentence, or nothing."""
    candidate = nearest(name, known)
    return f" Did you mean {candidate}?" if candidate else ""


def listed(words: t.Iterable[t.Any]) -> str:
    """`a, b and c`."""
    items = [str(word) for word in words]
    return items[0] if len(items) == 1 else " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))
