# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A revision of a model at a hub, as a manifest of the files that serve.

`GET /api/models/ID/revision/REV?blobs=true` lists every file with its size and its hash: that of the content for files
in Git LFS, else git's. It does so for gated models too, whose files are refused: that is asked with one HEAD.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t
from urllib.parse import quote

from .._outside import documents
from . import manifest, refusals, selection
from .client import Client
from .manifest import BadManifest, File, Manifest, Source
from .refusals import HubError

MAIN = "main"
_SHAPE: documents.Shape = {
    "sha": str,
    "siblings": [{"rfilename": str, "size?": int, "blobId?": str, "lfs?": {"sha256": str, "size": int}}],
}


@dataclasses.dataclass(frozen=True)
class Resolved:
    """`parameters` are the model's elements by data type where the hub has counted them."""

    manifest: Manifest
    notes: tuple[str, ...] = ()
    parameters: t.Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return manifest.total(self.manifest["files"])


def resolve(
    client: Client,
    model: str,
    revision: str = MAIN,
    wish: selection.Wish = selection.COMMON,
) -> Resolved:
    """What a revision is, and the files of it that serve. Raises HubError."""
    about = client.about(model=model, revision=revision)
    if not manifest.MODEL.fullmatch(model):
        raise about.error("settings", f"{model!r} is no id of a model at a hub: write it as ORGANISATION/NAME.")
    if not manifest.REVISION.fullmatch(revision):
        raise about.error("settings", f"{revision!r} is no branch, tag or commit: write one as {MAIN}.")
    url = f"{client.endpoint}/api/models/{model}/revision/{quote(revision, safe='')}?blobs=true"
    answer = client.get(url, about)
    try:
        document = documents.parse(answer.body.decode("utf-8"))
        wrong = documents.misfit(document, _SHAPE, "its answer")
    except ValueError:
        raise refusals.no_hub(answer, about, "what is no JSON: check the endpoint") from None
    if wrong:
        raise refusals.no_hub(answer, about, f"another answer than a hub has ({wrong}): check the endpoint")
    found = _manifest(client, model, revision, document, wish)
    if document.get("gated"):
        must_be_open(client, found.manifest)
    return found


def must_be_open(client: Client, found: Manifest) -> None:
    """Raises HubError where the files are refused: the list of a gated model is not."""
    first = found["files"][0]
    about = client.about(model=found["model"], revision=found["commit"], path=first["path"])
    client.get(first["url"], about, method="HEAD", follow=lambda _url: False)


def _manifest(client: Client, model: str, revision: str, document: documents.Json, wish: selection.Wish) -> Resolved:
    about, commit = client.about(model=model, revision=revision), document["sha"]
    listed = [_file(one, f"{client.endpoint}/{model}/resolve/{commit}/") for one in document["siblings"]]
    unsized = next((one["path"] for one in listed if one["size"] < 0), None)
    if unsized is not None:
        raise about.error(
            "unsound",
            f"{client.endpoint} does not say how long {unsized} of {model} is: it does not answer ?blobs=true as a hub "
            "does. Take another endpoint.",
        )
    chosen = selection.select(model, listed, wish)
    if chosen.problem:
        raise about.error("files", chosen.problem)
    try:
        made = manifest.read(
            Manifest(
                schema=manifest.SCHEMA,
                model=model,
                source=Source(kind=manifest.HUB, endpoint=client.endpoint),
                revision=revision,
                commit=commit,
                files=list(chosen.files),
            )
        )
    except BadManifest as error:
        raise about.error("unsound", f"What {client.endpoint} says of {model} cannot be right: {error}.") from error
    return Resolved(made, chosen.notes, _parameters(document.get("safetensors")))


def _file(one: documents.Json, base: str) -> File:
    """A file in LFS is known by the hash of its content: git has that of a pointer."""
    lfs = one.get("lfs")
    size = lfs["size"] if lfs else one.get("size")
    return File(
        path=one["rfilename"],
        size=-1 if size is None else size,
        sha256=lfs["sha256"] if lfs else None,
        git_sha1=None if lfs else one.get("blobId"),
        url=base + quote(one["rfilename"], errors="replace"),
    )


def _parameters(said: t.Any) -> dict[str, int]:
    counted = said.get("parameters") if isinstance(said, dict) else None
    if not isinstance(counted, dict) or documents.misfit(list(counted.values()), [int], "it"):
        return {}
    return {str(name)[:24]: number for name, number in counted.items() if 0 <= number < 2**63}


__all__ = ["HubError", "Resolved", "must_be_open", "resolve"]
