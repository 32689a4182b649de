# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the last tuning of an instance has found, kept on its host.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import typing as t

from .._outside import documents
from .._outside.documents import Json
from .durable import read_text, write_atomically
from .store import TUNED, Store

# Characters: a tuning of thirty releases has some ten thousand.
LARGEST = 1_000_000
SHAPE: documents.Shape = {
    "at": str,
    "goal": str,
    "outcome": str,
    "before": {},
    "after": {},
    "release": str,
    "why": str,
}


def read(store: Store) -> Json | None:
    """What is kept; None where nothing is, or nothing that is understood: it is told to people, and decides nothing."""
    try:
        text = read_text(store.path(TUNED))
        found = None if text is None or len(text) > LARGEST else documents.parse(text)
    except (OSError, ValueError):
        return None
    return None if found is None or documents.misfit(found, SHAPE, "it") else t.cast(Json, found)


def write(store: Store, found: t.Mapping[str, t.Any]) -> bool:
    """Keep it in the place of what was kept; whether that is another one. Raises OSError."""
    kept = {name: found[name] for name in SHAPE}
    if read(store) == kept:
        return False
    write_atomically(store.path(TUNED), json.dumps(kept, sort_keys=True))
    return True
