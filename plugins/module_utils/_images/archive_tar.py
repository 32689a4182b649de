# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tar that Docker loads: one image of an archive, with the names and files that were verified and no others.

It is both what `docker load` reads and an OCI layout, where the archive has the manifest: Docker with containerd's
store keeps the digest then.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import typing as t

from .._outside.documents import Json
from .archive_content import PIECE, Content, Damaged, members
from .archive_image import BLOBS, INDEX, LIST, Found

BLOCK = 512
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


def _blob(content: Content, name: str) -> str:
    return BLOBS + content.files[name][1]


def _written(content: Content, found: Found) -> dict[str, bytes]:
    """The files that say what the others are."""
    listed = [
        {
            "Config": _blob(content, found.config),
            "RepoTags": None,
            "Layers": [_blob(content, one) for one in found.layers],
        }
    ]
    files = {LIST: json.dumps(listed).encode()}
    if found.manifest:
        name = BLOBS + found.manifest.partition(":")[2]
        told: Json = {"mediaType": MANIFEST_TYPE, "digest": found.manifest, "size": content.files[name][0]}
        media = json.loads(content.texts[name]).get("mediaType")
        told["mediaType"] = media if isinstance(media, str) else MANIFEST_TYPE
        files[INDEX] = json.dumps({"schemaVersion": 2, "manifests": [told]}).encode()
        files["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
        files[name] = content.texts[name]
    return files


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member.tobuf(tarfile.USTAR_FORMAT)


def _padded(size: int) -> int:
    return BLOCK + -(-size // BLOCK) * BLOCK


def _needed(content: Content, found: Found) -> set[str]:
    return {found.config, *found.layers}


def size(content: Content, found: Found) -> int:
    """Bytes of the tar."""
    written = _written(content, found)
    sizes = [content.files[name][0] for name in _unique(content, found)]
    return sum(map(_padded, sizes)) + sum(_padded(len(text)) for text in written.values()) + 2 * BLOCK


def _unique(content: Content, found: Found) -> list[str]:
    """Each content once, however many names it has."""
    by_digest = {content.files[name][1]: name for name in sorted(_needed(content, found), reverse=True)}
    return list(by_digest.values())


def tar(path: str, content: Content, found: Found) -> t.Iterator[bytes]:
    """The tar, piece by piece. What has changed since it was verified ends it. Raises Damaged, OSError."""
    due = set(_unique(content, found))
    for name, _size, stream, target in members(path):
        if target or name not in due:
            continue
        due.remove(name)
        length, digest = content.files[name]
        yield _header(BLOBS + digest, length)
        seen, left = hashlib.sha256(), length
        while piece := stream.read(min(PIECE, left)) if left else b"":
            seen.update(piece)
            left -= len(piece)
            if not left and seen.hexdigest() != digest:
                break
            yield piece
        if left or seen.hexdigest() != digest:
            raise Damaged(f"{name} has changed while it was read")
        yield bytes(-length % BLOCK)
    if due:
        raise Damaged(f"{min(due)} is gone since it was read")
    for name, text in _written(content, found).items():
        yield _header(name, len(text)) + text + bytes(-len(text) % BLOCK)
    yield bytes(2 * BLOCK)
