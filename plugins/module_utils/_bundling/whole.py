# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a bundle: its manifest, once everything that the hosts need has come.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import typing as t

from .._bundle import manifest
from .._bundle.known import Known
from .._bundle.manifest import FILE, IMAGES, MODELS, PACKAGES, WORK, BadBundle, Bundle
from .._outside import documents
from .._outside.documents import Json
from .._state.durable import write_atomically
from .._store.progress import size
from . import parts as shapes
from .folder import must_have_room


def write(root: str, parts: t.Sequence[Json], hosts: t.Sequence[str], keep: bool) -> Json:
    """What became of it. Raises BadBundle, OSError, NoFile."""
    wrong = documents.misfit(list(parts), [shapes.SHAPE], "parts")
    if wrong:
        raise BadBundle(f"what came is not understood: {wrong}")
    images = [one["image"] for one in parts if one.get("image")]
    models = [one["model"] for one in parts if one.get("model")]
    packages = [one["packages"] for one in parts if one.get("packages")]
    if not (images or models or packages):
        raise BadBundle("there is nothing to bundle: no instance of the inventory has an image or a model of a hub")
    if not keep:
        missing = sum(
            {
                (one.get("image") or one.get("model") or one["packages"])["folder"]: one["missing"] for one in parts
            }.values()
        )
        must_have_room(root, missing, "the bundle")
        told = (
            f"{_counted(images, models, packages)}, for {len(hosts)} hosts: {size(missing)} would be fetched to {root}."
        )
        return {"changed": bool(missing), "msg": told[:1].upper() + told[1:]}
    bundle = manifest.made(hosts, images, models, [item for one in parts for item in one["files"]], packages)
    known = Known(root, os.path.join(root, WORK, "known.json"))
    for one in bundle["files"]:
        if known.sha256(one["path"], one["size"]) != one["sha256"]:
            raise BadBundle(f"{one['path']} has changed since it came: run the playbook again")
    text = manifest.dump(bundle)
    if len(text) > manifest.TEXT_LIMIT:
        raise BadBundle(f"its manifest would have {len(text)} bytes, and {manifest.TEXT_LIMIT} are read: make several")
    changed = _written(os.path.join(root, FILE), text)
    total = sum(one["size"] for one in bundle["files"])
    counted = _counted(bundle["images"], bundle["models"], bundle.get("packages", []))
    told = (
        f"{root} is whole: {counted}, {len(bundle['files'])} files, "
        f"{size(total)}, for {len(bundle['hosts'])} hosts. Its digest is {bundle['digest']} (vllm_bundle_digest)."
    )
    return {"changed": changed, "digest": bundle["digest"], "msg": f"{told}{_unlisted(root, bundle)}"}


def _counted(images: t.Sequence[t.Any], models: t.Sequence[t.Any], packages: t.Sequence[t.Any]) -> str:
    folders = {one["folder"] for one in models}
    more = f", sets of packages: {len({one['folder'] for one in packages})}" if packages else ""
    return f"images: {len({one['image'] for one in images})}, models: {len(folders)}{more}"


def _written(path: str, text: str) -> bool:
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return False
    except (FileNotFoundError, ValueError):
        pass
    except IsADirectoryError:
        raise BadBundle(f"{path} is a folder, and the manifest has to be there: remove it, and run again") from None
    write_atomically(path, text, mode=0o644)
    return True


def _unlisted(root: str, bundle: Bundle) -> str:
    """What lies there of bundles before, as a sentence. It is not removed: somebody may use it elsewhere."""
    listed = {one["path"] for one in bundle["files"]}
    found = []
    for top in (IMAGES, MODELS, PACKAGES):
        for folder, _folders, names in os.walk(os.path.join(root, top)):
            found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    rest = sorted(set(found) - listed)
    if not rest:
        return ""
    return f" {len(rest)} files there are none of it, such as {rest[0]}: remove them, or leave them out of the copy."
