# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that no host has yet: the lab's vLLM with one more layer, of random bytes or with another engine."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import json
import os
import tarfile
import time
import typing as t
import urllib.parse

from lab import registry, vllm_image

NAME = vllm_image.NAME
VERSION = vllm_image.VERSION
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
REGISTRY = registry.known()


def _call(method: str, path: str, body: bytes | None = None, kind: str = MANIFEST) -> tuple[t.Any, bytes]:
    with contextlib.closing(http.client.HTTPConnection(REGISTRY, timeout=120)) as connection:
        connection.request(method, path, body, {"Accept": kind, "Content-Type": kind})
        answer = connection.getresponse()
        said = answer.read()
    assert answer.status < 300, f"{method} {path} answered {answer.status}: {said[:300]!r}"
    return answer.headers, said


def _upload(content: bytes) -> str:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    headers, _said = _call("POST", f"/v2/{NAME}/blobs/uploads/")
    place = urllib.parse.urlsplit(headers["Location"])
    query = f"{place.query}&digest={urllib.parse.quote(digest)}".lstrip("&")
    _call("PUT", f"{place.path}?{query}", content, "application/octet-stream")
    return digest


def _layer(path: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo(path)
        entry.size, entry.mode = len(content), 0o755
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def heavier(mebibytes: int) -> str:
    """Push the lab's image with one more layer of this size; its name without the registry."""
    return _pushed(_layer("opt/ballast", os.urandom(mebibytes << 20)), "heavier")


def hostile(engine: bytes) -> str:
    """Push the lab's image with this program in the place of its `vllm`; its name without the registry."""
    return _pushed(_layer("usr/local/bin/vllm", b"#!/usr/bin/env python3\n" + engine), "hostile")


def _pushed(layer: bytes, name: str) -> str:
    manifest = json.loads(_call("GET", f"/v2/{NAME}/manifests/{VERSION}")[1])
    config = json.loads(_call("GET", f"/v2/{NAME}/blobs/{manifest['config']['digest']}")[1])
    digest = _upload(layer)
    config["rootfs"]["diff_ids"].append(digest)
    packed = json.dumps(config).encode()
    manifest["layers"].append({"mediaType": LAYER, "digest": digest, "size": len(layer)})
    manifest["config"] |= {"digest": _upload(packed), "size": len(packed)}
    tag = f"{name}-{time.time_ns()}"
    _call("PUT", f"/v2/{NAME}/manifests/{tag}", json.dumps(manifest).encode())
    return f"{NAME}:{tag}"
