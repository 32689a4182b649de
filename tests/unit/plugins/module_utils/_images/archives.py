# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of a small image, as `docker save` and as skopeo write them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pathlib
import platform
import tarfile
import typing as t

HERE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def digest(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def blob(raw: bytes) -> str:
    return f"blobs/sha256/{hashlib.sha256(raw).hexdigest()}"


LAYERS = (b"first layer" * 99, b"second layer")
PACKED = tuple(gzip.compress(layer, mtime=0) for layer in LAYERS)
CONFIG = json.dumps({"rootfs": {"diff_ids": [digest(layer) for layer in LAYERS]}}).encode()
ID = digest(CONFIG)
MANIFEST = json.dumps({"config": {"digest": ID}, "layers": [{"digest": digest(layer)} for layer in PACKED]}).encode()
INDEX = json.dumps(
    {
        "manifests": [
            {"digest": "sha256:" + "9" * 64, "platform": {"architecture": "s390x", "os": "linux"}},
            {"digest": digest(MANIFEST), "platform": {"architecture": HERE, "os": "linux"}},
        ]
    }
).encode()


def in_zstd() -> dict[str, bytes]:
    """The layout, whose manifest says that a layer is packed in zstd; what is in it is not looked at."""
    layers = [{"digest": digest(layer), "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd"} for layer in PACKED]
    top = json.dumps({"config": {"digest": ID}, "layers": layers}).encode()
    listed = {"manifests": [{"digest": digest(top)}]}
    files = {blob(raw): raw for raw in (*PACKED, CONFIG, top)}
    return {**files, "index.json": json.dumps(listed).encode(), "oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}


def saved() -> dict[str, bytes]:
    listed = [{"Config": "c.json", "RepoTags": ["debian:latest"], "Layers": ["1/layer.tar", "2/layer.tar"]}]
    return {
        "c.json": CONFIG,
        "1/layer.tar": LAYERS[0],
        "2/layer.tar": LAYERS[1],
        "manifest.json": json.dumps(listed).encode(),
    }


def layout(through_index: bool = False) -> dict[str, bytes]:
    top = INDEX if through_index else MANIFEST
    listed = {"manifests": [{"digest": digest(top)}]}
    blobs = [*PACKED, CONFIG, MANIFEST, *([INDEX] if through_index else [])]
    files = {blob(raw): raw for raw in blobs}
    return {**files, "index.json": json.dumps(listed).encode(), "oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}


def written(path: pathlib.Path, files: t.Mapping[str, bytes], links: t.Mapping[str, str] | None = None) -> str:
    with tarfile.open(path, "w") as tar:
        for name, raw in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(raw)
            tar.addfile(member, io.BytesIO(raw))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return str(path)
