# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small bundle for tests: the image of _images/archives.py and the model of _store/models.py, as a run makes them."""

from __future__ import annotations

import json
import pathlib
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle import manifest
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundling import parts, whole
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundling.folder import BundleFolder
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.manifest import Manifest
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store import hubs, models

CONTENTS = {"config.json": b"{}" * 9, "model.safetensors": models.content("weights", 9000)}
FILES = [models.file(path, raw, large=path.endswith("tensors")) for path, raw in CONTENTS.items()]
MODEL: Manifest = models.manifest(*FILES)


def hub() -> hubs.Hub:
    return hubs.Hub({one["url"]: CONTENTS[one["path"]] for one in FILES})


def part(root: pathlib.Path, served: hubs.Hub, check: bool = False) -> parts.Came:
    with BundleFolder(str(root), keep=not check) as folder:
        return parts.model(folder, hubs.request("/"), "", check, lambda: MODEL, served)


def made(root: pathlib.Path) -> manifest.Bundle:
    """A whole one, of the model alone."""
    whole.write(str(root), [t.cast("dict[str, t.Any]", part(root, hub()).part)], ["gpu01"], keep=True)
    return manifest.parse((root / manifest.FILE).read_text())


def rewritten(root: pathlib.Path, change: t.Callable[[dict[str, t.Any]], None]) -> None:
    """As somebody would write it who knows how its digest is made."""
    path = root / manifest.FILE
    document = json.loads(path.read_text())
    change(document)
    document["digest"] = manifest.digest(document)
    path.write_text(json.dumps(document))
