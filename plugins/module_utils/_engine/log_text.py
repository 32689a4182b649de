# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A log as it is searched: its newest part, in lines that are cut, without what steers a terminal.

An engine writes what it likes, and so do its clients through it. Nobody's patience depends on how much.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re

from .._outside.printable import printable_lines

# Characters. A whole start of vLLM with its wrappers around the cause has less than a fifth of it.
SEARCHED = 1024 * 1024
LINE = 1000

# What a level says before anything else. vLLM warns of errors that it only fears, such as the OSError of a low limit of
# open files; and whoever asks for it has every prompt logged as INFO.
_HARMLESS = re.compile(r"^(?:\(\w[^)]{0,99}\)\s+)?(?:WARNING|INFO|DEBUG)[\s:]")
# Behind these stands what a client has sent.
_QUOTED = re.compile(r"\b(?:prompts?|messages|content)['\"]?\s?[:=]")


def lines(log: str) -> list[str]:
    """The newest lines of a log, each cut to a length at which any pattern is quick."""
    newest = log[-SEARCHED:] if len(log) > SEARCHED else log
    if newest is not log:
        newest = newest.partition("\n")[2] or newest  # half a line does not say that it is harmless
    return [line[:LINE] for line in printable_lines(newest).split("\n")]


def is_harmless(line: str) -> bool:
    """Whether the engine itself says that the line is no error."""
    return _HARMLESS.match(line) is not None


def own_words(line: str) -> str:
    """The line without what it quotes of a client's request."""
    quoted = _QUOTED.search(line)
    return line[: quoted.start()] if quoted else line
