# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a model's files are on a host: an absolute path, or a snapshot in a Hugging Face hub cache.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t

from .reading import Unreadable, is_inside, text

COMMIT = re.compile(r"[0-9a-f]{40}")
MAIN = "main"
# Bytes: a commit and the end of a line.
REFERENCE_LIMIT = 256
GGUF = ".gguf"


@dataclasses.dataclass(frozen=True)
class Place:
    """`folder` is None where the model is not on the host, or is one `file`; `missing` says so in one sentence.

    No link of the folder may lead out of `root`.
    """

    folder: str | None
    root: str = ""
    revision: str | None = None
    missing: str = ""
    file: bool = False


def repository_folder(model: str) -> str:
    """`Qwen/Qwen3-0.6B` is kept as `models--Qwen--Qwen3-0.6B`."""
    return "models--" + model.replace("/", "--")


def find(model: str, hub_dir: str, revision: str = "") -> Place:
    """The folder of a model. A moving revision (a branch or tag) is resolved to the commit that the cache has."""
    if os.path.isabs(model):
        if os.path.isdir(model):
            return Place(model, model)
        if model.lower().endswith(GGUF) and os.path.isfile(model):
            return Place(None, missing=f"{model} is a GGUF file: what is in it is not looked at.", file=True)
        what = "is a file" if os.path.exists(model) else "does not exist on the host"
        return Place(None, missing=f"The model path {model} {what}: name the folder that holds config.json.")
    if not hub_dir:
        return Place(None, missing=f"The model {model} is looked for in no hub cache: hub_dir is empty.")
    repository = os.path.join(hub_dir, repository_folder(model))
    commit = revision if COMMIT.fullmatch(revision) else _reference(repository, revision or MAIN)
    if commit is None:
        return Place(None, missing=f"The model {model} is not in the hub cache {hub_dir} yet.")
    snapshot = os.path.join(repository, "snapshots", commit)
    if os.path.isdir(snapshot):
        if not is_inside(snapshot, hub_dir):
            return Place(None, missing=f"{snapshot} leads out of the hub cache, and is not read: remove it.")
        return Place(snapshot, hub_dir, commit)
    return Place(None, missing=f"The model {model} is not in the hub cache {hub_dir} at revision {commit} yet.")


def references(model: str, hub_dir: str, names: t.Iterable[str]) -> dict[str, str]:
    """The commits that branches and tags stand for on the host, of those that are asked for and there."""
    if os.path.isabs(model) or not hub_dir:
        return {}
    repository = os.path.join(hub_dir, repository_folder(model))
    found = ((name, _reference(repository, name)) for name in names)
    return {name: commit for name, commit in found if commit is not None}


def _reference(repository: str, name: str) -> str | None:
    """The commit that a branch or tag stands for. Containers write it: what is no commit, or elsewhere, is none."""
    refs = os.path.join(repository, "refs")
    try:
        commit = text(os.path.join(refs, name), refs, REFERENCE_LIMIT).strip()
    except (Unreadable, OSError, ValueError):
        return None
    return commit if COMMIT.fullmatch(commit) else None
