# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings an image of the lab's registry into this machine's engine, which may neither trust it nor know zstd."""

from __future__ import annotations

import contextlib
import http.client
import json
import pathlib
import shutil
import subprocess
import tarfile
import typing as t

from lab import registry

REGISTRY = registry.known()
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class NotThereError(Exception):
    """No registry answers, or it has no such image."""


@contextlib.contextmanager
def _get(path: str) -> t.Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(REGISTRY, timeout=60)
    try:
        connection.request("GET", path, headers={"Accept": MANIFEST})
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise NotThereError(f"{REGISTRY}{path} answers {answer.status}")
        yield answer
    except OSError as error:
        raise NotThereError(f"{REGISTRY} does not answer ({error})") from error
    finally:
        connection.close()


def bring(name: str, tag: str, to: str, folder: pathlib.Path) -> None:
    """Load NAME:TAG as TO; FOLDER takes the unpacked layers. Raises NotThereError."""
    with _get(f"/v2/{name}/manifests/{tag}") as answer:
        manifest = json.loads(answer.read())
    with _get(f"/v2/{name}/blobs/{manifest['config']['digest']}") as answer:
        (folder / "config.json").write_bytes(answer.read())
    files = ["config.json"]
    for number, layer in enumerate(manifest["layers"]):
        packed, plain = folder / f"{number}.packed", folder / f"{number}.tar"
        with _get(f"/v2/{name}/blobs/{layer['digest']}") as answer, packed.open("wb") as file:
            shutil.copyfileobj(answer, file)
        subprocess.run(["zstd", "-q", "-d", "--rm", str(packed), "-o", str(plain)], check=True)
        files.append(plain.name)
    described = [{"Config": files[0], "RepoTags": [to], "Layers": files[1:]}]
    (folder / "manifest.json").write_text(json.dumps(described))
    with subprocess.Popen(["docker", "load", "--quiet"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as load:
        with tarfile.open(fileobj=t.cast("t.IO[bytes]", load.stdin), mode="w|") as archive:
            for file_name in ("manifest.json", *files):
                archive.add(folder / file_name, arcname=file_name)
        t.cast("t.IO[bytes]", load.stdin).close()
    if load.returncode:
        raise NotThereError(f"docker load ended with {load.returncode}")
