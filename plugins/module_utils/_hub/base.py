# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a model at the addresses of a plain web server, as a manifest.

A web server lists nothing and knows no hash: both are in `SHA256SUMS` beside the files, as `sha256sum *` writes it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import re
from urllib.parse import quote

from .._outside.limited import MIB
from . import manifest, refusals, selection
from .client import Client
from .manifest import BadManifest, File, Manifest, Source
from .refusals import About
from .resolve import MAIN, Resolved

SUMS = "SHA256SUMS"
# `*` is what sha256sum writes for a file that it read as binary.
_LINE = re.compile(r"([0-9a-f]{64}) [ *](?:\./)?(.+)")
SUMS_LIMIT = 4 * MIB
AT_ONCE = 8


def resolve_base(client: Client, model: str, wish: selection.Wish = selection.COMMON) -> Resolved:
    """The files below the endpoint of the client that serve, under the name of a model. Raises HubError."""
    about = client.about(model=model, path=SUMS, hub=False)
    if not manifest.MODEL.fullmatch(model):
        raise about.error("settings", f"{model!r} is no name of a model: write it as ORGANISATION/NAME.")
    answer = client.get(f"{client.endpoint}/{SUMS}", about, SUMS_LIMIT)
    sums = _sums(answer.body.decode("utf-8", "replace"))
    if not sums:
        raise refusals.no_sums(answer, about)
    listed = [
        File(path=path, size=0, sha256=sha256, git_sha1=None, url=f"{client.endpoint}/{quote(path)}")
        for path, sha256 in sums.items()
    ]
    chosen = selection.select(model, listed, wish)
    if chosen.problem:
        raise about.error("files", chosen.problem)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        files = list(pool.map(lambda one: _sized(client, about, one), chosen.files))
    try:
        made = manifest.read(
            Manifest(
                schema=manifest.SCHEMA,
                model=model,
                source=Source(kind=manifest.URL, endpoint=client.endpoint),
                revision=MAIN,
                commit=manifest.digest(files),
                files=files,
            )
        )
    except BadManifest as error:
        raise about.error("unsound", f"What {client.endpoint}/{SUMS} lists cannot be right: {error}.") from error
    return Resolved(made, chosen.notes)


def _sums(text: str) -> dict[str, str]:
    """The hash of each file that is listed; nothing where a line is none of such a list."""
    found: dict[str, str] = {}
    for line in filter(None, text.splitlines()):
        one = _LINE.fullmatch(line)
        if one is None or len(found) >= manifest.FILES_LIMIT:
            return {}
        if one[2] != SUMS:
            found[one[2]] = one[1]
    return found


def _sized(client: Client, about: About, one: File) -> File:
    about = dataclasses.replace(about, path=one["path"])
    said = (client.get(one["url"], about, method="HEAD").headers.get("Content-Length") or "").strip()
    if not (said.isascii() and said.isdecimal() and len(said) < 16):
        raise about.error("unsound", f"{one['url']} does not say how long it is (Content-Length): serve it as a file.")
    return File(path=one["path"], size=int(said), sha256=one["sha256"], git_sha1=None, url=one["url"])
