# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that arguments and variables name, against what the container sees of the host.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._vllm.images import OFFICIAL

Values = t.Mapping[str, t.Any]
# Arguments whose value is a file or folder where it begins with a slash, and the key into those that are documents.
FILES: tuple[tuple[str, str], ...] = (
    ("chat_template", ""),
    ("tokenizer", ""),
    ("hf_config_path", ""),
    ("generation_config", ""),
    ("tool_parser_plugin", ""),
    ("reasoning_parser_plugin", ""),
    ("logits_processors", ""),
    ("log_config_file", ""),
    ("speculative_config", "model"),
)
VARIABLES = ("VLLM_LOGGING_CONFIG_PATH", "VLLM_TUNED_CONFIG_FOLDER", "VLLM_MODEL_REDIRECT_PATH")
# What an image brings itself.
OF_IMAGE = ("/vllm-workspace/", "/usr/", "/opt/", "/app/", "/workspace/", "/etc/ssl/", "/dev/", "/tmp/")


def missing(values: Values, variables: t.Mapping[str, str], volumes: t.Sequence[str]) -> list[str]:
    """Names and paths of what no container of this instance can see. VOLUMES: as in a release."""
    seen = tuple(f"{volume.rsplit(':', 2)[1].rstrip('/')}/" for volume in volumes)
    found = []
    for name, key in FILES:
        value = values.get(name)
        stated = value.get(key) if key and isinstance(value, dict) else value
        if _unseen(stated, seen):
            found.append(f"{name}{f'.{key}' if key else ''} is {stated}")
    found += [f"env.{name} is {variables[name]}" for name in VARIABLES if _unseen(variables.get(name), seen)]
    return found


def problem(what: str, volumes: t.Sequence[str]) -> str:
    """One sentence about one of them."""
    folders = sorted({volume.rsplit(":", 2)[1] for volume in volumes})
    there = f"only {', '.join(folders)} and its own files" if folders else "only its own files"
    return (
        f"{what}, which is not there in the container: it sees {there}. Put the file into one of these folders, or "
        "build an image that has it."
    )


def official(image: str) -> bool:
    """Whether what the image brings is known."""
    return OFFICIAL.search(image) is not None


def _unseen(value: t.Any, seen: tuple[str, ...]) -> bool:
    if not isinstance(value, str) or not value.startswith("/") or "\n" in value or "{" in value:
        return False
    return not f"{value}/".startswith((*seen, *OF_IMAGE))
