# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image has answered before, by question, in a file: asking one again takes the time of a container.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import json
import typing as t

from .._outside import documents
from .durable import read_text, write_atomically


def remembered(path: str) -> dict[str, str]:
    """The answers by question; none where the file is not one of ours any more."""
    try:
        answers = documents.parse(read_text(path) or "{}")
    except (OSError, ValueError):
        return {}
    whole = isinstance(answers, dict) and all(isinstance(said, str) for said in answers.values())
    return t.cast("dict[str, str]", answers) if whole else {}


def remember(path: str, answers: t.Mapping[str, str]) -> None:
    """Written in the order that it has. Who cannot remember asks again."""
    with contextlib.suppress(OSError):
        write_atomically(path, json.dumps(answers, indent=1))
