# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a model at the addresses of a plain web server, or a bucket, as a manifest.

A web server lists nothing and knows no hash: both are in `SHA256SUMS` beside the files, as `sha256sum *` writes it.
Where that is missing, the index of the weights names them, the others have names that engines know, and of each the
length is all that is known.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import re
import typing as t
from urllib.parse import quote

from .._outside import documents
from .._outside.limited import MIB
from . import manifest, refusals, selection
from .client import Client
from .manifest import BadManifest, File, Manifest, Source
from .refusals import About, HubError
from .resolve import MAIN, Resolved

SUMS = "SHA256SUMS"
# `*` is what sha256sum writes for a file that it read as binary.
_LINE = re.compile(r"([0-9a-f]{64}) [ *](?:\./)?(.+)")
SUMS_LIMIT, INDEX_LIMIT = 4 * MIB, 64 * MIB
AT_ONCE = 8
CONFIG, INDEX, WEIGHTS = "config.json", "model.safetensors.index.json", "model.safetensors"
# What lies beside config.json, where nothing lists it.
BESIDE: t.Final = (
    "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "vocab.txt", "merges.txt", "tokenizer.model", "tekken.json", "params.json", "chat_template.jinja",
    "chat_template.json", "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json",
    "quantize_config.json", "quant_config.json", "hf_quant_config.json", "modules.json", "sentence_bert_config.json",
    "config_sentence_transformers.json", "1_Pooling/config.json",
)  # fmt: skip
# What a bucket that may not be listed answers for what it has not.
NOT_THERE = ("not_found", "refused")


def resolve_base(client: Client, model: str, wish: selection.Wish = selection.COMMON) -> Resolved:
    """The files below the endpoint of the client that serve, under the name of a model. Raises HubError."""
    about = client.about(model=model, path=SUMS, hub=False)
    if not manifest.MODEL.fullmatch(model):
        raise about.error("settings", f"{model!r} is no name of a model: write it as ORGANISATION/NAME.")
    files = _listed(client, about, model, wish)
    # By their lengths, which no list has.
    chosen = selection.select(model, files, wish)
    if chosen.problem:
        raise about.error("files", chosen.problem)
    files = list(chosen.files)
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
        raise about.error("unsound", f"What {client.endpoint} lists cannot be right: {error}.") from error
    return Resolved(made, chosen.notes)


def _listed(client: Client, about: About, model: str, wish: selection.Wish) -> list[File]:
    """Of what the list of hashes, or else the index, names, those that serve, with their lengths."""
    try:
        answer = client.get(_url(client, SUMS), about, SUMS_LIMIT)
    except HubError as error:
        if error.kind not in NOT_THERE:
            raise
        return _unlisted(client, about, wish)
    sums = _sums(answer.body.decode("utf-8", "replace"))
    if not sums:
        raise refusals.no_sums(answer, about)
    listed = [_unsized(client, path, sha256) for path, sha256 in sums.items()]
    chosen = selection.select(model, listed, wish)
    if chosen.problem:
        raise about.error("files", chosen.problem)
    return _sized(client, about, chosen.files)


def _unlisted(client: Client, about: About, wish: selection.Wish) -> list[File]:
    """What has the names that a model's files have. Nothing that could carry code is looked for."""
    about = dataclasses.replace(about, path=CONFIG)
    _with_size(client, about, _unsized(client, CONFIG, None))
    paths = {CONFIG, *BESIDE, WEIGHTS, *([wish.gguf] if wish.gguf else [])}
    about = dataclasses.replace(about, path=INDEX)
    try:
        answer = client.get(_url(client, INDEX), about, INDEX_LIMIT)
    except HubError as error:
        if error.kind not in NOT_THERE:
            raise
    else:
        paths |= {INDEX, *_weights(answer.body, about)}
        paths.discard(WEIGHTS)
    must = paths - {WEIGHTS, *BESIDE}
    return _sized(client, about, [_unsized(client, path, None) for path in sorted(paths)], must)


def _weights(raw: bytes, about: About) -> set[str]:
    """The files that the index names. Raises HubError."""
    try:
        said = documents.parse(raw.decode())
    except ValueError:
        said = None
    listed = said.get("weight_map") if isinstance(said, dict) else None
    names = (
        set(listed.values())
        if isinstance(listed, dict) and all(isinstance(one, str) for one in listed.values())
        else set()
    )
    if not names or len(names) > manifest.FILES_LIMIT:
        raise about.error("unsound", f"{about.endpoint}/{about.path} names no file of weights: bring the model again.")
    wrong = next((name for name in sorted(names) if manifest.path_problem(name)), None)
    if wrong is not None:
        raise about.error(
            "unsound", f"{about.endpoint}/{about.path} names {wrong[:120]!r}, which is no file of a model."
        )
    return names


def _url(client: Client, path: str) -> str:
    return f"{client.endpoint}/{quote(path)}"


def _unsized(client: Client, path: str, sha256: str | None) -> File:
    return File(
        path=path, size=0, sha256=sha256, git_sha1=None, url=f"{client.endpoint}/{quote(path, errors='replace')}"
    )


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


def _sized(client: Client, about: About, files: t.Sequence[File], must: t.Container[str] | None = None) -> list[File]:
    """Several at a time; of those that are not in `must` the ones that are there. Raises HubError."""

    def one(file: File) -> File | None:
        try:
            return _with_size(client, dataclasses.replace(about, path=file["path"]), file)
        except HubError as error:
            if must is None or file["path"] in must or error.kind not in NOT_THERE:
                raise
            return None

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return [file for file in pool.map(one, files) if file is not None]


def _with_size(client: Client, about: About, one: File) -> File:
    headers = client.get(one["url"], about, method="HEAD").headers
    if one["sha256"] is None and headers.get_content_type() == "text/html":
        raise about.error("not_found", f"{one['url']} is a page of HTML and no file of a model: check the address.")
    said = (headers.get("Content-Length") or "").strip()
    if not (said.isascii() and said.isdecimal() and len(said) < 16):
        raise about.error("unsound", f"{one['url']} does not say how long it is (Content-Length): serve it as a file.")
    return File(path=one["path"], size=int(said), sha256=one["sha256"], git_sha1=None, url=one["url"])
