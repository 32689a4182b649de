# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bundle says of itself: one folder with images, models and packages, for hosts that have no network.

    bundle.json                     this, the last file that is written
    images/HEX/                     an OCI layout, by the digest of its manifest
    models/ORGANISATION--NAME/COMMIT/PATH
    packages/SYSTEM/pool/HEX/       packages of one distribution, release and architecture
    packages/SYSTEM/HEX/            an index of apt over some of them, and the keys that signed the indexes before
    .gpufleet/                      what is on its way, and what was hashed: of no use elsewhere

It has no time and no name of a machine in it, so that the same content has the same digest wherever it is made.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import json
import re
import typing as t

from .._hub import manifest as models
from .._hub.manifest import SHA256, BadManifest, Manifest, path_problem
from .._images.reference import DIGEST
from .._outside import documents
from .._outside.printable import printable

FILE, WORK = "bundle.json", ".gpufleet"
IMAGES, MODELS, PACKAGES = "images", "models", "packages"
INDEX = "Packages"
KIND, SCHEMA = "gpufleet.vllm.bundle", 1
# A bundle of a hundred models has some thousand files. Parsed, a text takes many times its bytes of a host's memory.
FILES_LIMIT = 50_000
TEXT_LIMIT = 48 * 2**20
SAID = 120
_ID = re.compile(r"sha256:[0-9a-f]{64}")
SYSTEM = re.compile(r"[a-z]{1,20}-[0-9.]{1,10}-[a-z0-9]{1,20}")
_SET = re.compile(rf"packages/{SYSTEM.pattern}/[0-9a-f]{{16}}")


class BadBundle(ValueError):
    """What is wrong with it, as a sentence without its full stop."""


class Item(t.TypedDict):
    """A file: its path in the bundle, how long it is, and what it hashes to."""

    path: str
    size: int
    sha256: str


class Image(t.TypedDict):
    """`image` as it is planned, `digest` of its manifest, `id` of its configuration, `folder` of its OCI layout."""

    image: str
    digest: str
    id: str
    folder: str


class Model(t.TypedDict):
    """`manifest` lists the files below `folder`; the others say what was allowed besides what is safe."""

    folder: str
    manifest: Manifest
    code: bool
    pickles: bool
    gguf: str


class PackageSet(t.TypedDict):
    """What one host lacks: `asked` are packages as apt is asked for them, and all that they depend on is there too.

    `system` is distribution, release and architecture, `debian-13-amd64`; `folder` has the index.
    """

    system: str
    folder: str
    asked: list[str]


class _Bundle(t.TypedDict):
    schema: int
    kind: str
    hosts: list[str]
    images: list[Image]
    models: list[Model]
    files: list[Item]
    digest: str


class Bundle(_Bundle, total=False):
    """`hosts` are those that it was made for; `digest` is that of everything else in it. `packages` is there where it
    has some."""

    packages: list[PackageSet]


ITEM: documents.Shape = {"path": str, "size": int, "sha256": str}
IMAGE: documents.Shape = {"image": str, "digest": str, "id": str, "folder": str}
MODEL: documents.Shape = {"folder": str, "manifest": {}, "code": bool, "pickles": bool, "gguf": str}
PACKAGE_SET: documents.Shape = {"system": str, "folder": str, "asked": [str]}
_SHAPE: documents.Shape = {
    "schema": int,
    "kind": str,
    "hosts": [str],
    "images": [IMAGE],
    "models": [MODEL],
    "files": [ITEM],
    "digest": str,
}
_WITH_PACKAGES: documents.Shape = {**_SHAPE, "packages": [PACKAGE_SET]}


def digest(bundle: t.Mapping[str, t.Any]) -> str:
    """Of everything in it but the digest itself."""
    rest = {key: value for key, value in bundle.items() if key != "digest"}
    return f"sha256:{hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()}"


def made(
    hosts: t.Iterable[str],
    images: t.Iterable[Image],
    models_: t.Iterable[Model],
    files: t.Iterable[Item],
    packages: t.Sequence[PackageSet] = (),
) -> Bundle:
    """Each thing once, in one order. Raises BadBundle."""
    found = Bundle(
        schema=SCHEMA,
        kind=KIND,
        hosts=sorted(set(hosts)),
        images=sorted(_once(images), key=lambda one: one["image"]),
        models=sorted(_once(models_), key=lambda one: (one["folder"], one["manifest"]["revision"])),
        files=sorted(_once(files), key=lambda one: one["path"]),
        digest="",
    )
    if packages:
        found["packages"] = sorted(_once(packages), key=lambda one: (one["folder"], one["asked"]))
    _must_be_one((one["image"], one["image"], one["digest"]) for one in found["images"])
    _must_be_one(
        (
            # Where no hub is, the commit is that of the files, and what is allowed decides which those are.
            json.dumps(
                [one["manifest"]["model"], one["manifest"]["revision"], one["code"], one["pickles"], one["gguf"]]
            ),
            f"{one['manifest']['model']} at {one['manifest']['revision']}",
            one["manifest"]["commit"],
        )
        for one in found["models"]
    )
    found["digest"] = digest(found)
    return read(json.loads(json.dumps(found)))


def _must_be_one(rows: t.Iterable[tuple[str, str, str]]) -> None:
    """A tag or a branch may move between two hosts of one run; nobody could say which one is meant then."""
    seen: dict[str, str] = {}
    for key, name, what in rows:
        if seen.setdefault(key, what) != what:
            raise BadBundle(
                f"{_said(name)} was {seen[key]} for one host and {what} for another, as it moved in between: run the "
                "playbook again, or name it by its digest or commit"
            )


T = t.TypeVar("T")


def _once(values: t.Iterable[T]) -> list[T]:
    return list({json.dumps(one, sort_keys=True): one for one in values}.values())


def dump(bundle: Bundle) -> str:
    return json.dumps(bundle, sort_keys=True, indent=1) + "\n"


def parse(text: str) -> Bundle:
    """A bundle's manifest from its text. Raises BadBundle."""
    try:
        return read(documents.parse(text))
    except BadBundle:
        raise
    except ValueError as error:
        raise BadBundle(f"it is no valid JSON ({printable(error)[:SAID]}): copy the bundle again") from error


def read(document: t.Any) -> Bundle:
    """The same from JSON that anybody may have written. Raises BadBundle."""
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise BadBundle("it is not of a bundle: name the folder that playbooks/bundle.yml has made")
    schema = document.get("schema")
    if schema != SCHEMA:
        raise BadBundle(
            f"it is of schema {_said(schema)}, and this release reads {SCHEMA}: take the release of gpufleet.vllm that "
            "made it, or a newer one"
        )
    shape = _WITH_PACKAGES if "packages" in document else _SHAPE
    wrong = documents.misfit(document, shape, "it")
    if wrong:
        raise BadBundle(f"{wrong}: copy the bundle again")
    if digest(document) != document["digest"]:
        raise BadBundle("it is not what it was when it was written, by its own digest: copy the bundle again")
    found = t.cast("Bundle", {key: document[key] for key in shape})
    listed = _items(found["files"])
    for image in found["images"]:
        _must_be_image(image, listed)
    found["models"] = [_model(one, listed) for one in found["models"]]
    for one in found.get("packages", []):
        _must_be_package_set(one, listed)
    return found


def _items(files: t.Sequence[Item]) -> set[str]:
    if len(files) > FILES_LIMIT:
        raise BadBundle(f"it has more than {FILES_LIMIT} files")
    paths: set[str] = set()
    for one in files:
        _must_be_path(one["path"])
        if one["path"] in paths:
            raise BadBundle(f"it lists {_said(one['path'])} twice")
        if not 0 <= one["size"] <= models.FILE_LIMIT or not SHA256.fullmatch(one["sha256"]):
            raise BadBundle(f"what it says of {_said(one['path'])} is no size and SHA-256")
        paths.add(one["path"])
    return paths


def _must_be_path(path: str) -> None:
    wrong = path_problem(path)
    if wrong or path.split("/", maxsplit=1)[0] not in (IMAGES, MODELS, PACKAGES):
        raise BadBundle(f"the path {_said(path)} {wrong or f'leads out of {IMAGES}, {MODELS} and {PACKAGES}'}")


def _must_be_image(image: Image, listed: t.Container[str]) -> None:
    stated = DIGEST.search(image["image"])
    _must_be_path(image["folder"])
    if not _ID.fullmatch(image["digest"]) or not _ID.fullmatch(image["id"]) or not image["image"].isprintable():
        raise BadBundle(f"the image {_said(image['image'])} has no digest and id")
    if stated is not None and stated[1] != image["digest"]:
        raise BadBundle(f"the image {_said(image['image'])} is listed with the digest {image['digest']}")
    if f"{image['folder']}/index.json" not in listed:
        raise BadBundle(f"it does not list the files of the image {_said(image['image'])}")


def _must_be_package_set(one: PackageSet, listed: t.Container[str]) -> None:
    _must_be_path(one["folder"])
    if not SYSTEM.fullmatch(one["system"]) or not _SET.fullmatch(one["folder"]):
        raise BadBundle(f"the packages of {_said(one['folder'])} are of no known system and folder")
    if one["folder"].split("/")[1] != one["system"]:
        raise BadBundle(f"the packages of {_said(one['folder'])} are listed for {_said(one['system'])}")
    wrong = next((name for name in one["asked"] if not name.isprintable() or len(name) > SAID), None)
    if wrong is not None:
        raise BadBundle(f"the packages of {_said(one['folder'])} are called {_said(wrong)}")
    if f"{one['folder']}/{INDEX}" not in listed:
        raise BadBundle(f"it does not list the index of the packages in {_said(one['folder'])}")


def _model(one: Model, listed: t.Container[str]) -> Model:
    _must_be_path(one["folder"])
    try:
        manifest = models.read(one["manifest"])
    except BadManifest as error:
        raise BadBundle(f"the model of {_said(one['folder'])} is none: {error}") from error
    missing = next((file for file in manifest["files"] if f"{one['folder']}/{file['path']}" not in listed), None)
    if missing is not None:
        raise BadBundle(f"it does not list {_said(missing['path'])} of {manifest['model']}")
    return Model(folder=one["folder"], manifest=manifest, code=one["code"], pickles=one["pickles"], gguf=one["gguf"])


def _said(value: t.Any) -> str:
    return repr(printable(str(value)[: 2 * SAID])[:SAID])
