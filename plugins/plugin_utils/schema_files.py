# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory of engine-argument schemas: `history.json`, and `VERSION.json` for each image that was read.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import os

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.schema import VERSION

HISTORY = "history.json"
ARCHITECTURES = "architectures.json"
SCHEMA = 1


class BadSchemaError(ValueError):
    """The directory does not hold what it should; the text says which file and what to do."""


def load(directory: str, readings_directory: str = "") -> tuple[Json, dict[str, Json]]:
    """The history, and what was read from images by version. Raises BadSchemaError.

    READINGS_DIRECTORY holds readings of one's own, which come before those beside the history; it need not exist yet.
    """
    history = _read(os.path.join(directory, HISTORY))
    models = os.path.join(directory, ARCHITECTURES)
    if os.path.exists(models):
        history = {**history, "architectures": _read(models).get("architectures") or {}}
    readings = _readings(directory)
    if readings_directory and os.path.isdir(readings_directory):
        readings.update(_readings(readings_directory))
    return history, readings


def _readings(directory: str) -> dict[str, Json]:
    found = {}
    for name in sorted(os.listdir(directory)):
        stem, extension = os.path.splitext(name)
        if extension == ".json" and VERSION.fullmatch(stem):
            found[stem] = _read(os.path.join(directory, name))
    return found


def _read(path: str) -> Json:
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
    except OSError as error:
        raise BadSchemaError(
            f"The engine arguments cannot be read from {path} ({error.strerror}): check `schemas`."
        ) from error
    except ValueError as error:
        raise BadSchemaError(f"{path} is no valid JSON ({error}): make it anew from the image.") from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise BadSchemaError(
            f"{path} is not of schema {SCHEMA}: make it anew with this collection's read_engine_args.py."
        )
    return found
