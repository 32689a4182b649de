# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names as people write them: one spelling, and the nearest known one.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import difflib
import itertools
import re
import typing as t

# How alike two spellings are, from 0 to 1, for one to be offered for the other, and for a word of it to be the same.
NEAR, SAME = 0.6, 0.8
SHORT = 3
# Words that names share by the dozen.
EVERYWHERE = frozenset({"max", "min", "num", "size", "enable", "disable", "use", "no", ""})
INSTANCE_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


def canonical(name: str) -> str:
    """An engine argument in vLLM's own name with underscores: `--max-model-len` and `max_model_len` are one."""
    bare = name.strip().lstrip("-")
    return bare if bare == "O" else bare.replace("-", "_")


def nearest(name: str, known: t.Iterable[str]) -> str | None:
    """The known name that was probably meant: a prefix of exactly one, else the closest spelling, else None.

    A prefix that all names share says nothing: VLLM_PORT is not near VLLM_TEMPERATURE.
    """
    names = {_bare(candidate): candidate for candidate in sorted(set(known), reverse=True)}
    wanted = _bare(name)
    longer = [candidate for candidate in names if len(wanted) >= 4 and candidate.startswith(wanted)]
    if len(longer) == 1:
        return names[longer[0]]
    for close in difflib.get_close_matches(wanted, names, n=3, cutoff=NEAR):
        if _shares_a_word(wanted, close):
            return names[close]
    return None


def _bare(name: str) -> str:
    return name.lower().removeprefix("vllm_")


def _shares_a_word(one: str, other: str) -> bool:
    """Names of several words that are spelt alike by chance alone have no word in common that says something."""
    words, others = (re.split(r"[_\W]+", name) for name in (one, other))
    if len(words) < 2 or len(others) < 2:
        return True
    telling = [word for word in others if word not in EVERYWHERE]
    return any(_is_alike(word, other_word) for word in words if word not in EVERYWHERE for other_word in telling)


def _is_alike(word: str, other: str) -> bool:
    """Spelt alike, or one short for the other: `seqs` is `sequences`."""
    begin = sum(1 for _same in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(word, other)))
    short = begin >= SHORT and 2 * begin >= len(min(word, other, key=len))
    return short or difflib.SequenceMatcher(None, word, other).ratio() >= SAME


def meant(name: str, known: t.Iterable[str]) -> str:
    """` Did you mean x?` as the end of a sentence, or nothing."""
    candidate = nearest(name, known)
    return f" Did you mean {candidate}?" if candidate else ""


def listed(words: t.Iterable[t.Any]) -> str:
    """`a, b and c`."""
    items = [str(word) for word in words]
    return items[0] if len(items) == 1 else " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))
