# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image that an archive holds: verified from its digest down to every layer, before Docker is given any of it.

`docker save` writes an image without the digest that it has at a registry, so there the id of the image has to be
known. An OCI layout holds the manifests themselves.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import platform
import typing as t

from .._outside import documents
from .._outside.documents import Json
from . import reference
from .archive_content import Content, Damaged

BLOBS = "blobs/sha256/"
LIST, INDEX = "manifest.json", "index.json"
# By the name that Linux has for a processor, the one that images have for it.
PROCESSORS = {"x86_64": "amd64", "aarch64": "arm64"}
DESCRIPTOR: documents.Shape = {
    "digest": str,
    "size?": int,
    "mediaType?": str,
    "platform?": {"architecture?": str, "os?": str},
}
MANIFEST: documents.Shape = {"config": DESCRIPTOR, "layers": [DESCRIPTOR]}
MANIFESTS: documents.Shape = {"manifests": [DESCRIPTOR]}
SAVED: documents.Shape = [{"Config": str, "RepoTags?": [str], "Layers": [str]}]
CONFIG: documents.Shape = {"rootfs": {"diff_ids": [str]}}


class OtherImage(Exception):
    """The archive is whole, and not of the image that it is stated for; the text says what it holds, and what to do."""


class Found(t.NamedTuple):
    """Names of files in the archive, and the digest of its `manifest`, '' without one. `ids` are those in Docker, and
    `zstd` is whether a layer is packed in that way."""

    config: str
    layers: tuple[str, ...]
    diff_ids: tuple[str, ...]
    manifest: str
    ids: tuple[str, ...]
    zstd: bool = False


def find(content: Content, image: str, image_id: str) -> Found:
    """The image of this name. IMAGE_ID is what it has to be, '' where nobody knows. Raises Damaged, OtherImage."""
    digest = reference.read(image).digest
    if digest and BLOBS + digest.partition(":")[2] in content.files:
        found = _by_manifest(content, digest)
    elif LIST in content.texts:
        found = _saved(content, digest, image_id)
    elif INDEX in content.texts:
        found = _only_one(content, digest, image_id)
    else:
        raise Damaged(f"it has neither {LIST} (docker save) nor {INDEX} (OCI layout)")
    if image_id and image_id not in found.ids:
        raise OtherImage(f"it holds the image {found.ids[0]}, and {image_id} is stated: correct the one that is wrong")
    return found


def _by_manifest(content: Content, digest: str) -> Found:
    """From a digest down: what it names has that digest, and so on."""
    document = _json(content, _blob(content, digest), digest)
    if isinstance(document, dict) and "manifests" in document:
        _must_be(document, MANIFESTS, digest)
        here = PROCESSORS.get(platform.machine(), platform.machine())
        for one in document["manifests"]:
            told = one.get("platform") or {}
            if (told.get("architecture"), told.get("os")) == (here, "linux") and _name(one["digest"]) in content.files:
                return _by_manifest(content, one["digest"])
        raise OtherImage(f"it has no image for linux/{here} behind {digest}: write the archive anew with that platform")
    _must_be(document, MANIFEST, digest)
    config = _blob(content, document["config"]["digest"])
    layers = tuple(_blob(content, one["digest"]) for one in document["layers"])
    diff_ids = _diff_ids(content, config, len(layers))
    zstd = any(str(one.get("mediaType") or "").endswith("zstd") for one in document["layers"])
    return Found(config, layers, diff_ids, digest, (document["config"]["digest"], digest), zstd)


def _saved(content: Content, digest: str, image_id: str) -> Found:
    """As `docker save` writes it: layers as they are unpacked, which is how the image's configuration names them."""
    listed = _json(content, LIST, LIST)
    _must_be(listed, SAVED, LIST)
    for one in listed:
        config = content.name(one["Config"])
        if not config:
            raise Damaged(f"{one['Config']} is not in it")
        made = f"sha256:{content.files[config][1]}"
        if len(listed) > 1 and made != image_id:
            continue
        if digest and not image_id:
            raise _unproven(digest, made)
        layers = tuple(map(content.name, one["Layers"]))
        diff_ids = _diff_ids(content, config, len(layers))
        for name, layer, diff_id in zip(one["Layers"], layers, diff_ids):
            if not layer:
                raise Damaged(f"{name} is not in it")
            if f"sha256:{content.files[layer][1]}" != diff_id:
                raise Damaged(f"{name} is not the layer {diff_id} that the image has")
        return Found(config, layers, diff_ids, "", (made,))
    raise OtherImage(
        f"it holds {len(listed)} images{f', and none is {image_id}' if image_id else ''}: state the image_id of the "
        "one that is meant, or write an archive of that one alone"
    )


def _only_one(content: Content, digest: str, image_id: str) -> Found:
    """An OCI layout without the manifest that is asked for: its image is known by its id alone."""
    listed = _json(content, INDEX, INDEX)
    _must_be(listed, MANIFESTS, INDEX)
    all_found = [_by_manifest(content, one["digest"]) for one in listed["manifests"]]
    fit = [one for one in all_found if image_id in one.ids] if image_id else all_found
    if len(fit) != 1:
        held = ", ".join(one.ids[0] for one in all_found) or "none"
        raise OtherImage(f"it holds other images ({held}): state the image_id of the one that is meant")
    if digest and not image_id:
        raise _unproven(digest, fit[0].ids[0])
    return fit[0]


def _unproven(digest: str, made: str) -> OtherImage:
    return OtherImage(
        f"it holds the image {made} without its manifest {digest}, so that nothing proves that it is the one: state "
        f"`image_id: {made}` if a host that pulled it shows that id (docker image inspect --format '{{{{.Id}}}}'), or "
        "write an OCI layout with the manifest (skopeo copy --preserve-digests docker://IMAGE oci-archive:FILE)"
    )


def _name(digest: str) -> str:
    return BLOBS + digest.partition(":")[2]


def _blob(content: Content, digest: str) -> str:
    """The file with this digest, which is what is in it."""
    name = content.name(_name(digest))
    if not name:
        raise Damaged(f"{digest} is not in it")
    if f"sha256:{content.files[name][1]}" != digest:
        raise Damaged(f"{name} is not what its name says: it has the digest sha256:{content.files[name][1]}")
    return name


def _diff_ids(content: Content, config: str, layers: int) -> tuple[str, ...]:
    document = _json(content, config, "the image's configuration")
    _must_be(document, CONFIG, "the image's configuration")
    diff_ids = tuple(document["rootfs"]["diff_ids"])
    if len(diff_ids) != layers:
        raise Damaged(f"it has {layers} layers, and the image's configuration names {len(diff_ids)}")
    return diff_ids


def _json(content: Content, name: str, what: str) -> t.Any:
    try:
        return documents.parse(content.texts[name].decode())
    except (KeyError, ValueError) as error:
        raise Damaged(f"{what} is no JSON") from error


def _must_be(document: Json, shape: documents.Shape, what: str) -> None:
    wrong = documents.misfit(document, shape, what)
    if wrong:
        raise Damaged(wrong)
