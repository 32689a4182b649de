# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a model is, asked of its hub: config.json, and headers of safetensors files by ranges of some hundred kB.

The facts have the shape of `_model.inspect`, so that a plan reads both alike.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import concurrent.futures
import typing as t

from .._model import safetensors
from .._model.reading import document
from .._outside.documents import Json
from .._outside.limited import KIB, MIB
from . import manifest
from .client import Client
from .manifest import File
from .refusals import HubError
from .resolve import Resolved
from .selection import weight_files

CONFIG = "config.json"
PICKLED = (".bin", ".pt", ".pth")
CONFIG_LIMIT = 16 * MIB
# Headers of shards have tens to hundreds of KiB; a first piece of this size mostly holds all of one.
PIECE = 128 * KIB
HEADER_LIMIT = 32 * MIB
# Headers that are read; of models with more files the hub's own count is taken.
HEADERS = 64
AT_ONCE = 8
# What the headers of all files may come to.
ROOM = HEADER_LIMIT + MIB


def of(client: Client, resolved: Resolved) -> Json:
    """Facts of a model. Raises HubError, and then nothing of it is known."""
    found: Json = {
        "path": None, "revision": None, "config": None, "weights": None, "problems": [], "notes": [],
        "without_weights": None,
        "hub": {
            "endpoint": client.endpoint, "commit": resolved.manifest["commit"], "bytes": resolved.bytes,
            "files": len(resolved.manifest["files"]),
        },
    }  # fmt: skip
    config = next((one for one in resolved.manifest["files"] if one["path"] == CONFIG), None)
    if config is not None:
        found["config"] = _config(client, resolved, config)
    files = weight_files(resolved.manifest["files"])
    found["weights"] = _weights(client, resolved, files, found["config"])
    found["notes"] += resolved.notes
    model = resolved.manifest["model"]
    pickled = next((one["path"] for one in resolved.manifest["files"] if one["path"].endswith(PICKLED)), "")
    if found["weights"] is None and pickled:
        found["notes"].append(
            f"The weights of {model} are pickle files only ({pickled}), which can carry code: prefer a build with "
            "safetensors."
        )
    return found


def _config(client: Client, resolved: Resolved, file: File) -> Json:
    about = client.about(model=resolved.manifest["model"], revision=resolved.manifest["commit"], path=file["path"])
    raw = client.get(file["url"], about, CONFIG_LIMIT).body
    wrong = manifest.content_problem(file, raw)
    if wrong:
        raise about.error("unsound", f"{file['path']} of {about.model} {wrong}: try again, or take another endpoint.")
    try:
        found = document(raw)
    except ValueError as error:
        raise about.error("unsound", f"{file['path']} of {about.model} is no valid JSON ({error}).") from error
    if not isinstance(found, dict):
        raise about.error("unsound", f"{file['path']} of {about.model} holds no JSON object.")
    return found


def _weights(client: Client, resolved: Resolved, files: t.Sequence[File], config: Json | None) -> Json | None:
    if not files:
        return None
    if len(files) > HEADERS:
        # Of each file a few hundred kB are its header: of more than this many the tensors are nearly all.
        dtypes = dict(sorted(resolved.parameters.items()))
        size = manifest.total(files)
        return {"files": len(files), "bytes": size, "parameters": sum(dtypes.values()), "dtypes": dtypes}
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        headers = list(pool.map(lambda one: _header(client, resolved, one), files))
    return safetensors.total(headers, config)


def _header(client: Client, resolved: Resolved, file: File) -> safetensors.Header:
    about = client.about(model=resolved.manifest["model"], revision=resolved.manifest["commit"], path=file["path"])

    def part(start: int, stop: int) -> bytes:
        answer = client.get(file["url"], about, ROOM, headers={"Range": f"bytes={start}-{stop - 1}"})
        if answer.status != 206 or len(answer.body) != stop - start:
            raise about.error("unsound", f"{client.endpoint} does not send ranges of files: {about.path} is not read.")
        return answer.body

    size = file["size"]
    try:
        raw = part(0, min(PIECE, size)) if size else b""
        end = safetensors.LENGTH_BYTES + safetensors.header_length(raw, size)
        if end > HEADER_LIMIT:
            raise safetensors.BadHeaderError(f"has a header of {end} bytes")
        raw += part(len(raw), end) if end > len(raw) else b""
        return safetensors.parse(raw[safetensors.LENGTH_BYTES : end], size)
    except safetensors.BadHeaderError as error:
        raise about.error("unsound", f"{file['path']} of {about.model} {error}.") from error


__all__ = ["HubError", "of"]
