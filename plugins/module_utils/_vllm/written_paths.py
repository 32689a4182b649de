# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files, folders and revisions as people write them: what no release of vLLM could mean.

Source: vLLM 0.32.0, `vllm/renderers/chat_utils.py` (`_load_chat_template`: a text with a brace or a line end is the
template itself, anything else a file, or one of those in `vllm/transformers_utils/chat_templates`).

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from .path_arguments import ARGUMENTS, BROUGHT, Kind

# Of these a name without a slash is a file in whatever folder the container starts in.
FILES: tuple[Kind, ...] = ("template", "python", "json")
ITSELF = re.compile(r"[{}\n]")
BUILT_IN = re.compile(r"template_\w+\.jinja")
# Git's names of branches and tags are wider; a hub's are ASCII.
REVISION = re.compile(r"(?!-)(?:(?![~^:?*\[\\])[!-~])+")
REVISIONS = ("revision", "code_revision", "tokenizer_revision", "speculative_config.revision")


def problem(name: str, value: t.Any) -> str:
    """The end of a sentence that begins with the argument's name; '' where nothing is wrong."""
    places = [(key, kind) for argument, key, kind in ARGUMENTS if argument == name]
    for key, kind in places:
        written = value.get(key) if key and isinstance(value, dict) else value
        text = _path(kind, written) if isinstance(written, str) else ""
        if text:
            return f"has {key}, which {text}" if key else text
    if name in REVISIONS:
        return revision(value)
    inner = value.get("revision") if isinstance(value, dict) and f"{name}.revision" in REVISIONS else None
    text = revision(inner)
    return f"has revision, which {text}" if text else ""


def revision(value: t.Any) -> str:
    """The same of a branch, a tag or a commit."""
    if not isinstance(value, str) or not value or REVISION.fullmatch(value):
        return ""
    return f"is {value!r}: write a branch, a tag or a commit, of letters, digits and ._/- and without blanks."


def _path(kind: Kind, text: str) -> str:
    if ITSELF.search(text):
        return ""
    name = text.strip()
    if name.lower().startswith(BROUGHT) and not name.startswith(BROUGHT):
        return f"is '{text}': write {BROUGHT}{name[len(BROUGHT) :]}, in small letters."
    if kind not in FILES or "/" in name or name.startswith(BROUGHT) or BUILT_IN.fullmatch(name):
        return ""
    return (
        f"is '{text}', and no container has a file of that name: write a path with a slash for one that is on the host "
        f"or in the image, or {BROUGHT}NAME for one that is brought."
    )
