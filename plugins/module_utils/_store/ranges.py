# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an answer to a ranged read brings: whether the bytes that it carries are those that are missing.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


class WrongAnswer(Exception):
    """The server answers, and not with what was asked for; the text continues `the server `."""


class Answer(t.NamedTuple):
    """What its first lines say; None where they do not."""

    status: int
    length: int | None
    range: str | None
    type: str
    encoding: str


def wanted(begin: int) -> dict[str, str]:
    """The headers of a read from `begin` on. No range for a whole file: some servers know none."""
    return {"Accept-Encoding": "identity", **({"Range": f"bytes={begin}-"} if begin else {})}


def skipped(answer: Answer, begin: int, size: int) -> int:
    """How many bytes of the answer's body come before byte `begin` of a file of `size` bytes. Raises WrongAnswer."""
    if answer.encoding.lower() not in ("", "identity"):
        raise WrongAnswer(f"sends the file encoded as {answer.encoding}, which was not asked for")
    if answer.status == 206:
        first = _first(answer, begin, size)
        expected = size - first
    elif answer.status == 200:
        first, expected = 0, size  # it knows no ranges
    else:
        raise WrongAnswer(f"answers {answer.status}")
    if answer.length is not None and answer.length != expected:
        page = ", as a web page" if answer.type == "text/html" else ""
        raise WrongAnswer(f"sends {answer.length} bytes{page}, where {expected} are missing")
    return begin - first


def _first(answer: Answer, begin: int, size: int) -> int:
    found = _CONTENT_RANGE.fullmatch((answer.range or "").strip())
    if found is None:
        raise WrongAnswer("sends a part of the file, and does not say which")
    first, last, total = int(found[1]), int(found[2]), found[3]
    if first > begin or last != size - 1 or total not in ("*", str(size)):
        raise WrongAnswer(f"sends bytes {first} to {last} of {total}, where {begin} to {size - 1} are missing")
    return first
