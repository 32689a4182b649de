# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image from its registry as an OCI layout: no container engine is needed, and every digest is that of the registry.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import typing as t

from .._bundle.manifest import IMAGES, Image
from .._hub.manifest import FILE_LIMIT, File
from .._images import reference, registry_login, sources
from .._images.archive_image import MANIFEST, MANIFESTS
from .._images.credential_helper import NoLogin
from .._images.registry import NotTold, Registry, is_plain
from .._outside import documents
from .._outside.documents import Json
from .._store.opening import Opening
from .._store.transfer import Failed, Stream

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MOST_LAYERS = 512


class Layout(t.NamedTuple):
    """`files` have to be fetched, `texts` are in hand; both by their paths in the bundle."""

    image: Image
    files: dict[str, File]
    texts: dict[str, bytes]
    registry: Registry


def resolve(image: str, stated: sources.Sources, plain: t.Container[str], architecture: str, config: str) -> Layout:
    """What is to come of an image, from its mirror or its registry. Raises Failed."""
    said = []
    for name in filter(None, (stated.mirrored(image), image)):
        read = reference.read(name)
        who = "without a login"
        try:
            login = registry_login.login(read.registry, stated.registries, config)
            who = f"with the login of {login.origin}" if login else who
        except NoLogin as problem:
            login, who = None, f"without a login, as {problem}"
        insecure = read.registry in plain or is_plain(read.registry, {})
        try:
            return _layout(image, Registry(read, login, insecure), read, architecture)
        except NotTold as problem:
            said.append(f"{name} cannot be had from {read.registry} {who}: {problem}")
    raise Failed(f"{'; '.join(said)}. Correct the name, vllm_server_registries or vllm_server_image_mirrors")


def _layout(image: str, registry: Registry, name: reference.Reference, architecture: str) -> Layout:
    """Raises NotTold."""
    top = registry.document(name.digest or name.tag or "latest")
    digest = _digest(top)
    if name.digest and digest != name.digest:
        raise NotTold(f"it answers {digest} where {name.digest} was asked for")
    folder = f"{IMAGES}/{digest.partition(':')[2]}"
    manifest, blobs = _json(top), {digest: top}
    if "manifests" in manifest:
        if documents.misfit(manifest, MANIFESTS, "it"):
            raise NotTold("its index is not understood")
        chosen = _of_platform(manifest, architecture)
        raw = registry.document(chosen)
        if _digest(raw) != chosen:
            raise NotTold(f"it answers {_digest(raw)} where {chosen} was asked for")
        blobs[chosen], manifest = raw, _json(raw)
    if documents.misfit(manifest, MANIFEST, "it") or len(manifest["layers"]) > MOST_LAYERS:
        raise NotTold("its manifest is not understood")
    files = {}
    for one in [manifest["config"], *manifest["layers"]]:
        size = one.get("size")
        if not DIGEST.fullmatch(one["digest"]) or size is None or not 0 <= size <= FILE_LIMIT:
            raise NotTold("its manifest names a layer without a SHA-256 and a size")
        sha256 = one["digest"].partition(":")[2]
        path = f"blobs/sha256/{sha256}"
        url = registry.blob_address(one["digest"])
        files[f"{folder}/{path}"] = File(path=path, size=size, sha256=sha256, git_sha1=None, url=url)
    kind = _json(top).get("mediaType")
    told = {"mediaType": kind if isinstance(kind, str) else OCI_MANIFEST, "digest": digest, "size": len(top)}
    texts = {
        f"{folder}/index.json": json.dumps({"schemaVersion": 2, "manifests": [told]}, sort_keys=True).encode(),
        f"{folder}/oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        **{f"{folder}/blobs/sha256/{one.partition(':')[2]}": raw for one, raw in blobs.items()},
    }
    listed = Image(image=image, digest=digest, id=manifest["config"]["digest"], folder=folder)
    return Layout(listed, files, texts, registry)


def _digest(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def _json(raw: bytes) -> Json:
    try:
        document = documents.parse(raw.decode())
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise NotTold("it answers no JSON object")
    return document


def _of_platform(index: Json, architecture: str) -> str:
    for one in index["manifests"]:
        told = one.get("platform") or {}
        if (told.get("architecture"), told.get("os")) == (architecture, "linux") and DIGEST.fullmatch(one["digest"]):
            return str(one["digest"])
    raise NotTold(f"it has no image for linux/{architecture} (vllm_bundle_architecture)")


class Blobs:
    """Reads of an image's files. Tokens of registries hold for some minutes: a refused one is renewed once a read."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __call__(self, url: str, begin: int) -> Stream:
        """Raises Again, Failed."""
        challenges: list[str] = []

        def refusal(status: int, headers: http.client.HTTPMessage, path: str) -> str:
            if status == 401:
                challenges.append(headers.get("WWW-Authenticate") or "")
            return f"the registry answers {status} for {path}"

        def opened() -> Stream:
            scheme, _blank, token = self._registry.authorization.partition(" ")
            return Opening(self._registry.base, token, refusal, scheme=scheme)(url, begin)

        try:
            return opened()
        except Failed:
            if not challenges:
                raise
        try:
            self._registry.renew(challenges[0])
        except NotTold as problem:
            raise Failed(f"the registry takes the login no more: {problem}") from problem
        return opened()
