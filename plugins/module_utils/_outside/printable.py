# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text that others wrote, made fit for a terminal.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

# Whole escape sequences: with their first byte alone removed, what is left of them would stand in the text. A sequence
# of the kind that carries text (titles, clipboards, links) ends with BEL or ST; one without an end is no sequence.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]{0,4}[0-Z\\^-~]"
)
# What steers a terminal or hides text: C0 and DEL, C1, soft hyphens, marks and overrides of the direction of writing,
# invisible operators, separators of lines, the byte order mark, annotations, tags, and halves of a character.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_SPACES = re.compile(r"\s+")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def printable_lines(text: str) -> str:
    """The text without escape sequences and with no other control character than the ends of its lines and tabs."""
    text = text.replace("\r\n", "\n").replace("\r", " ")
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text  # nearly always, and faster
    return _CONTROLS.sub(REPLACEMENT, _ESCAPES.sub("", text))


def printable(text: t.Any) -> str:
    """The text in one line, without anything that steers a terminal."""
    return _SPACES.sub(" ", printable_lines(str(text)))


def all_printable(document: t.Any, levels: int = 64) -> t.Any:
    """A document of JSON with every text in it made fit for a terminal, its lines kept; too deep a part is cut off."""
    if isinstance(document, str):
        return printable_lines(document)
    if not isinstance(document, (dict, list, tuple)):
        return document
    if levels == 0:
        return None
    if isinstance(document, dict):
        return {all_printable(name, 0): all_printable(part, levels - 1) for name, part in document.items()}
    return [all_printable(part, levels - 1) for part in document]
