# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model's files as vLLM will find them: config.json, the weights' headers, and what is wrong with them.

Reads JSON files and headers only, never a weight.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import os
import typing as t

from . import hub, safetensors

Json = dict[str, t.Any]
CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
# Copies in another layout, which vLLM skips where the model has its own files.
CONSOLIDATED = "consolidated"
PICKLES = (".bin", ".pt", ".pth")
GGUF = ".gguf"


def inspect(model: str, hub_dir: str, revision: str = "") -> Json:
    """One model as vllm_model returns it: `problems` keep it from being served, `notes` are worth knowing."""
    place = hub.find(model, hub_dir, revision)
    found: Json = {
        "path": place.folder, "revision": place.revision, "config": None, "weights": None, "problems": [], "notes": [],
    }  # fmt: skip
    if place.folder is None:
        # What a hub holds can still be fetched; a path that is not there cannot.
        found["problems" if os.path.isabs(model) else "notes"].append(place.missing)
        return found
    found["config"] = _config(place.folder, found["problems"], found["notes"])
    found["weights"] = _weights(place.folder, found["problems"], found["notes"])
    if os.path.isabs(model):
        found["problems"] += _leads_outside(place.folder)
    return found


def _document(path: str, problems: list[str]) -> Json | None:
    """A JSON object of a file that must be there."""
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
    except OSError as error:
        problems.append(f"{path} cannot be read ({error.strerror}): download the model again.")
    except ValueError as error:
        problems.append(f"{path} is no valid JSON ({error}): it is cut off or damaged, download the model again.")
    else:
        if isinstance(found, dict):
            return found
        problems.append(f"{path} holds no JSON object: it is damaged, download the model again.")
    return None


def _config(folder: str, problems: list[str], notes: list[str]) -> Json | None:
    path = os.path.join(folder, CONFIG)
    if not os.path.lexists(path):
        problems.append(f"There is no {CONFIG} in {folder}: it is no model folder, or its download has not ended.")
        return None
    config = _document(path, problems)
    if config is not None and config.get("auto_map"):
        notes.append(f"{path} names Python code of the model's own (auto_map), which runs only with trust_remote_code.")
    return config


def _weights(folder: str, problems: list[str], notes: list[str]) -> Json | None:
    names = _weight_files(folder, problems)
    if not names:
        _without_safetensors(folder, problems, notes)
        return None
    dtypes: dict[str, int] = {}
    total = 0
    before = len(problems)
    for name in names:
        header = _header(os.path.join(folder, name), problems)
        if header is not None:
            total += header.tensor_bytes
            for dtype, count in header.dtypes.items():
                dtypes[dtype] = dtypes.get(dtype, 0) + count
    if len(problems) > before:
        return None
    return {
        "files": len(names),
        "bytes": total,
        "parameters": sum(dtypes.values()),
        "dtypes": dict(sorted(dtypes.items())),
    }


def _weight_files(folder: str, problems: list[str]) -> list[str]:
    """What the index lists, else every safetensors file of the folder."""
    index = os.path.join(folder, INDEX)
    if os.path.lexists(index):
        document = _document(index, problems)
        listed = (document or {}).get("weight_map")
        if isinstance(listed, dict):
            return sorted({str(name) for name in listed.values()})
        if document is not None:
            problems.append(f"{index} has no weight_map: it is damaged, download the model again.")
    names = sorted(name for name in os.listdir(folder) if name.endswith(".safetensors"))
    own = [name for name in names if not name.startswith(CONSOLIDATED)]
    return own or names


def _header(path: str, problems: list[str]) -> safetensors.Header | None:
    try:
        with open(path, "rb") as stream:
            return safetensors.read(stream, os.fstat(stream.fileno()).st_size)
    except OSError as error:
        problems.append(f"{path} cannot be read ({error.strerror}): download the model again.")
    except safetensors.BadHeaderError as error:
        problems.append(f"{path} {error}.")
    return None


def pickle_only(folder: str) -> str:
    """A pickle file of a folder whose weights come in no safer form; '' where there is none."""
    names = sorted(os.listdir(folder))
    safer = any(name.endswith((".safetensors", GGUF)) for name in names)
    return "" if safer else next((name for name in names if name.endswith(PICKLES)), "")


def _without_safetensors(folder: str, problems: list[str], notes: list[str]) -> None:
    names = os.listdir(folder)
    pickles = sorted(name for name in names if name.endswith(PICKLES))
    if pickles:
        notes.append(
            f"The weights in {folder} are pickle files only ({pickles[0]}), which can carry code: prefer a build with "
            "safetensors."
        )
    elif any(name.endswith(GGUF) for name in names):
        notes.append(f"The weights in {folder} are GGUF, which vLLM reads only with a plugin since 0.24.0.")
    elif not problems:
        problems.append(f"There are no weights in {folder}: the download has not ended, or it is the wrong folder.")


def _leads_outside(folder: str) -> list[str]:
    """A container sees the folder and nothing that its links point to elsewhere."""
    inside = os.path.realpath(folder) + os.sep
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if os.path.islink(path) and not os.path.realpath(path).startswith(inside):
            return [_outside_text(path)]
    return []


def _outside_text(path: str) -> str:
    return (
        f"{path} is a link to a place outside the folder, which the container does not see: put the files themselves "
        "there, or name the model by its id in the hub cache."
    )
