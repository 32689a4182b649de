# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many tokens a tokenizer knows, by which one of another model can be told.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._outside.documents import Json
from .reading import document

FILE = "tokenizer.json"


def of_text(raw: str) -> Json:
    """`tokens`: one more than the largest number of what texts are cut into, and `with_added` the same with those that
    were added (beginnings, ends, roles); null where they are not told. `damaged` continues a sentence that begins with
    the file."""
    found: Json = {"tokens": None, "with_added": None, "damaged": ""}
    try:
        said = document(raw)
    except ValueError as error:
        return {**found, "damaged": f"is no valid JSON ({error})"}
    model = said.get("model") if isinstance(said, dict) else None
    tokens = _tokens(model.get("vocab") if isinstance(model, dict) else None)
    if tokens:
        found.update(tokens=tokens, with_added=max(tokens, _added(said.get("added_tokens"))))
    return found


def _tokens(vocabulary: t.Any) -> int:
    """0 where it is none. A Unigram's is a list, all others have a number for each token."""
    if isinstance(vocabulary, dict):
        return 1 + _largest(vocabulary.values())
    return len(vocabulary) if isinstance(vocabulary, list) else 0


def _added(tokens: t.Any) -> int:
    return 1 + _largest(one.get("id") for one in tokens if isinstance(one, dict)) if isinstance(tokens, list) else 0


def _largest(numbers: t.Iterable[t.Any]) -> int:
    """-1 where none is one of a token."""
    return max((one for one in numbers if isinstance(one, int) and not isinstance(one, bool) and one >= 0), default=-1)
