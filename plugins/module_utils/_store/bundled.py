# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models of a bundle on this host, in the place of their hub: the same commit, the same hashes, no network.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os

from .._bundle import verified
from .._bundle.manifest import BadBundle
from .._hub.manifest import FOLDER, Manifest
from .._hub.resolve import MAIN
from .brought import Brought, Found, Local
from .desk import Request
from .transfer import Failed


def listed(request: Request) -> Manifest:
    """The files of what is asked for, as its hub listed them when the bundle was made. Raises Failed."""
    root, model, revision = request["bundle"], request["model"], request["revision"]
    try:
        found = verified.models_of(verified.opened(root), model, revision)
    except BadBundle as error:
        raise Failed(str(error)) from error
    if not found:
        raise Failed(
            f"the bundle {root} has no {model} at {revision or MAIN}: make it anew from this inventory "
            "(playbooks/bundle.yml)"
        )
    asked = (request["code"], request["pickles"], request["gguf"])
    fit = next((one for one in found if asked == (one["code"], one["pickles"], one["gguf"])), None)
    if fit is None:
        raise Failed(
            f"the bundle {root} has {model} as another inventory allowed it (own code, pickles, a GGUF file): make it "
            "anew from this inventory (playbooks/bundle.yml)"
        )
    return Manifest(**{**fit["manifest"], "revision": revision or MAIN})


class Files:
    """Its files by the addresses that they had, which are read when the first one is opened."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._found: Brought | None = None

    def __call__(self, path: str, begin: int) -> Local:
        """Raises Failed."""
        if self._found is None:
            self._found = self._read()
        return self._found.open(path, begin)

    def _read(self) -> Brought:
        try:
            bundle = verified.opened(self._root)
        except BadBundle as error:
            raise Failed(str(error)) from error
        files = {
            file["url"]: Found(file["size"], 0, os.path.join(self._root, one["folder"], file["path"]))
            for one in bundle["models"]
            for file in one["manifest"]["files"]
        }
        return Brought(self._root, FOLDER, self._root, files)
