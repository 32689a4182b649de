# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One part of a bundle, an image, a model or packages: what it is, what is missing of it, and that it comes.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._bundle.manifest import IMAGE, ITEM, MODEL, MODELS, PACKAGE_SET, Image, Item, Model, PackageSet
from .._hub.manifest import File
from .._images import sources
from .._outside import documents
from .._store.asking import opening, resolver
from .._store.desk import Request
from .._store.mover import Away, Resolve
from .._store.progress import size
from .._store.transfer import Failed, Open
from . import image as images
from .folder import BundleFolder, missing_in


class Part(t.TypedDict):
    """`image`, `model` or `packages` is what it is; `files` are empty where nothing was written,
    and `missing` bytes of it then."""

    image: t.Optional[Image]  # noqa: UP045 - evaluated by Python 3.9
    model: t.Optional[Model]  # noqa: UP045 - evaluated by Python 3.9
    packages: t.Optional[PackageSet]  # noqa: UP045 - evaluated by Python 3.9
    files: t.List[Item]  # noqa: UP006 - evaluated by Python 3.9
    missing: int


SHAPE: documents.Shape = {"image?": IMAGE, "model?": MODEL, "packages?": PACKAGE_SET, "files": [ITEM], "missing": int}


class Came(t.NamedTuple):
    """`msg` is a sentence."""

    part: Part
    changed: bool
    missing_files: int
    missing_bytes: int
    msg: str


def image(
    folder: BundleFolder,
    name: str,
    stated: sources.Sources,
    plain: t.Container[str],
    architecture: str,
    config: str,
    check: bool,
) -> Came:
    """Raises Failed, OSError."""
    found = images.resolve(name, stated, plain, architecture, config)
    part = Part(image=found.image, model=None, packages=None, files=[], missing=0)
    return come(folder, part, name, found.files, found.texts, images.Blobs(found.registry), check)


def model(
    folder: BundleFolder,
    request: Request,
    token: str,
    check: bool,
    resolve: Resolve | None = None,
    opened: Open | None = None,
) -> Came:
    """Raises Failed, OSError."""
    try:
        manifest = (resolve or resolver(request, token, keep=False))()
    except Away as error:
        raise Failed(str(error)) from error
    place = f"{MODELS}/{manifest['model'].replace('/', '--')}/{manifest['commit']}"
    listed = Model(
        folder=place,
        manifest=manifest,
        code=request["code"],
        pickles=request["pickles"],
        gguf=request["gguf"],
    )
    files = {f"{place}/{one['path']}": one for one in manifest["files"]}
    part = Part(image=None, model=listed, packages=None, files=[], missing=0)
    what = f"{manifest['model']} at {manifest['commit'][:12]}"
    return come(folder, part, what, files, {}, opened or opening(request, token), check)


def come(
    folder: BundleFolder,
    part: Part,
    what: str,
    files: t.Mapping[str, File],
    texts: t.Mapping[str, bytes],
    opened: Open,
    check: bool,
) -> Came:
    """What is missing of these files and texts, or that it came. Raises Failed, OSError."""
    due = folder.due(files)
    numbers = missing_in(due)
    total = sum(one["size"] for one in files.values())
    folder.must_have_room(due, what)
    if check:
        part["missing"] = numbers["missing_bytes"]
        says = f"{len(due)} files of {what} would be fetched, {size(numbers['missing_bytes'])} of {size(total)}."
        return Came(part, bool(due), **numbers, msg=says if due else f"{what} is whole, {size(total)}.")
    folder.fetch(due, opened)
    written = [folder.write(path, text) for path, text in texts.items()]
    part["files"] = [folder.item(path) for path in sorted({*files, *texts})]
    fetched = f" Fetched {len(due)} files, {size(folder.received)}." if due else ""
    says = f"{what} is whole: {len(part['files'])} files, {size(total)}.{fetched}"
    return Came(part, bool(due) or any(written), **numbers, msg=says)
