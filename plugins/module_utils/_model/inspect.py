# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model's files as vLLM will find them: config.json, the weights' headers, and what is wrong with them.

Reads JSON files and headers only, never a weight.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t

from .._outside.documents import Json
from . import hub, safetensors
from .reading import LeadsOutside, Unreadable, document, names, opened, text

T = t.TypeVar("T")
CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
# Copies in another layout, which vLLM skips where the model has its own files.
CONSOLIDATED = "consolidated"
PICKLES = (".bin", ".pt", ".pth")


def inspect(model: str, hub_dir: str, revision: str = "") -> Json:
    """One model as vllm_model returns it: `problems` keep it from being served, `notes` are worth knowing.

    `without_weights` is that one of the problems by which there are none, for who needs none.
    """
    place = hub.find(model, hub_dir, revision)
    found: Json = {
        "path": place.folder, "revision": place.revision, "config": None, "weights": None, "problems": [], "notes": [],
        "without_weights": None,
    }  # fmt: skip
    if place.folder is None:
        # What a hub holds can still be fetched; a path that is not there cannot.
        found["problems" if os.path.isabs(model) and not place.file else "notes"].append(place.missing)
        return found
    folder = Folder(place.folder, place.root, found["problems"], found["notes"])
    try:
        found["config"] = _config(folder)
        found["weights"] = _weights(folder, found["config"])
        found["without_weights"] = folder.without_weights
        if os.path.isabs(model) and not folder.leads_outside:
            folder.problems += _leads_outside(place.folder)
    except OSError as error:
        folder.problems.append(f"{place.folder} cannot be read ({error.strerror}): download the model again.")
    return found


@dataclasses.dataclass
class Folder:
    """A model's folder, and what is found in it. Whatever its files are, they are the work of others."""

    path: str
    root: str
    problems: list[str]
    notes: list[str]
    leads_outside: bool = False
    without_weights: str | None = None

    def file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def read(self, name: str, how: t.Callable[[str, str], T]) -> T | None:
        """What `how` makes of a file; None where it cannot be read, and then a problem."""
        path = self.file(name)
        try:
            return how(path, self.root)
        except LeadsOutside as error:
            where = _outside_text(path) if self.root == self.path else f"{path} {error}, and is not read: remove it."
            self.problems += [] if self.leads_outside else [where]  # the others lead where the first one does
            self.leads_outside = True
        except Unreadable as error:
            self.problems.append(f"{path} {error}.")
        except OSError as error:
            self.problems.append(f"{path} cannot be read ({error.strerror}): download the model again.")
        except ValueError as error:
            damaged = "it is cut off or damaged, download the model again"
            self.problems.append(f"{path} is no valid JSON ({error}): {damaged}.")
        return None


def _document(folder: Folder, name: str) -> Json | None:
    """A JSON object of a file that must be there."""
    before = len(folder.problems)
    found = folder.read(name, lambda path, root: document(text(path, root)))
    if isinstance(found, dict):
        return found
    if len(folder.problems) == before:
        path = folder.file(name)
        folder.problems.append(f"{path} holds no JSON object: it is damaged, download the model again.")
    return None


def _config(folder: Folder) -> Json | None:
    path = folder.file(CONFIG)
    if not os.path.lexists(path):
        folder.problems.append(
            f"There is no {CONFIG} in {folder.path}: it is no model folder, or its download has not ended."
        )
        return None
    config = _document(folder, CONFIG)
    if config is not None and config.get("auto_map"):
        folder.notes.append(
            f"{path} names Python code of the model's own (auto_map), which runs only with trust_remote_code."
        )
    return config


def _weights(folder: Folder, config: Json | None) -> Json | None:
    before = len(folder.problems)
    listed = _weight_files(folder)
    if not listed:
        if len(folder.problems) == before:
            _without_safetensors(folder)
        return None
    headers = [folder.read(name, _header) for name in listed]
    read = [one for one in headers if one is not None]
    return safetensors.total(read, config) if len(read) == len(headers) else None


def _weight_files(folder: Folder) -> list[str]:
    """What the index lists, else every safetensors file of the folder."""
    index = folder.file(INDEX)
    if os.path.lexists(index):
        found = _document(folder, INDEX)
        listed = (found or {}).get("weight_map")
        if isinstance(listed, dict):
            weights = sorted({str(name) for name in listed.values()})
            strange = next((name for name in weights if not _is_below(name)), None)
            if strange is None and weights:
                return weights
            what = f"names {strange[:200]!r}, which is no file of the folder" if strange else "names no file"
            folder.problems.append(f"{index} {what}: it is damaged, download the model again.")
            return []
        if found is not None:
            folder.problems.append(f"{index} has no weight_map: it is damaged, download the model again.")
    found_there = [name for name in names(folder.path) if name.endswith(".safetensors")]
    own = [name for name in found_there if not name.startswith(CONSOLIDATED)]
    return own or found_there


def _is_below(name: str) -> bool:
    """Whether a name, taken from a file of others, is one of a file in the folder."""
    return bool(name) and name.isprintable() and not os.path.isabs(name) and ".." not in name.split("/")


def _header(path: str, root: str) -> safetensors.Header:
    with opened(path, root) as (stream, size):
        try:
            return safetensors.read(stream, size)
        except safetensors.BadHeaderError as error:
            raise Unreadable(str(error)) from error


def pickle_only(folder: str) -> str:
    """A pickle file of a folder whose weights come in no safer form; '' where there is none."""
    there = names(folder) if os.path.isdir(folder) else []
    safer = any(name.endswith((".safetensors", hub.GGUF)) for name in there)
    return "" if safer else next((name for name in there if name.endswith(PICKLES)), "")


def _without_safetensors(folder: Folder) -> None:
    there = names(folder.path)
    pickles = [name for name in there if name.endswith(PICKLES)]
    if pickles:
        folder.notes.append(
            f"The weights in {folder.path} are pickle files only ({pickles[0]}), which can carry code: prefer a build "
            "with safetensors."
        )
    elif any(name.endswith(hub.GGUF) for name in there):
        folder.notes.append(
            f"The weights in {folder.path} are GGUF: vLLM up to 0.23 reads one file, which `model` names, and "
            "since 0.24 only with a plugin. Take the AWQ, GPTQ or FP8 build of the same model."
        )
    elif not folder.problems:
        folder.without_weights = (
            f"There are no weights in {folder.path}: the download has not ended, or it is the wrong folder."
        )
        folder.problems.append(folder.without_weights)


def _leads_outside(folder: str) -> list[str]:
    """A container sees the folder and nothing that its links point to elsewhere."""
    inside = os.path.realpath(folder) + os.sep
    for name in names(folder):
        path = os.path.join(folder, name)
        if os.path.islink(path) and not os.path.realpath(path).startswith(inside):
            return [_outside_text(path)]
    return []


def _outside_text(path: str) -> str:
    return (
        f"{path} is a link to a place outside the folder, which the container does not see: put the files themselves "
        "there, or name the model by its id in the hub cache."
    )
