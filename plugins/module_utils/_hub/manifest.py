# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of a model's files: what each is called, how long it is, what it hashes to, and where it comes from.

It is made where the source can be asked, and travels: whoever moves files reads it here again, as what others wrote.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from urllib.parse import urlsplit

from .._outside import documents
from .._outside.printable import printable

SCHEMA = 1
# Where files come from: by HTTP, each from an address of its own, or from what somebody has brought.
HUB, URL = "hub", "url"
FOLDER, ARCHIVE = "folder", "archive"
FETCHED = (HUB, URL)
KINDS = (*FETCHED, FOLDER, ARCHIVE)

# The hub's own rules: at most one organisation, no two dots or hyphens in a row, as `--` stands for `/` in its cache.
_PART = r"(?![.-])[A-Za-z0-9_.-]{1,96}(?<![.-])"
MODEL = re.compile(rf"(?!.*(?:\.\.|--|\.git$))(?:{_PART}/)?{_PART}")
COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")
SHA1 = re.compile(r"[0-9a-f]{40}")
REVISION = re.compile(r"(?!.*(?:\.\.|//))(?![-/.])[A-Za-z0-9_./+@=-]{1,200}(?<![/.])")

# The largest models have some hundred files; the hub takes files of 500 GB.
FILES_LIMIT = 20_000
FILE_LIMIT = 4 * 2**40
TOTAL_LIMIT = 64 * 2**40
# What file systems take: bytes of a name and of a path, which still gets folders in front.
NAME_LIMIT, PATH_LIMIT, DEPTH_LIMIT = 240, 1024, 16
URL_LIMIT = 8192
# Bytes of a manifest as text: as many files as there may be, with hashes and common names.
TEXT_LIMIT = 16 * 2**20
SAID = 120


class BadManifest(ValueError):
    """What is wrong with it, as a sentence without its full stop."""


class Source(t.TypedDict):
    """`kind` is one of KINDS; `endpoint` the hub's or the base of addresses, for what was brought its name."""

    kind: str
    endpoint: str


class File(t.TypedDict):
    """`sha256` is that of the content, `git_sha1` the one by which git knows the content (`git_hash`); either may not
    be known. `url` is '' for what was brought."""

    path: str
    size: int
    sha256: str | None
    git_sha1: str | None
    url: str


class Manifest(t.TypedDict):
    """`revision` is what was asked for, `main` where nothing was; `commit` the hub's, else `digest` over the files."""

    schema: int
    model: str
    source: Source
    revision: str
    commit: str
    files: list[File]


_SHAPE: documents.Shape = {
    "schema": int,
    "model": str,
    "source": {"kind": str, "endpoint": str},
    "revision": str,
    "commit": str,
    "files": [{"path": str, "size": int, "sha256?": str, "git_sha1?": str, "url": str}],
}


def parse(text: str | bytes) -> Manifest:
    """A manifest from its text. Raises BadManifest."""
    if len(text) > TEXT_LIMIT:
        raise BadManifest(f"it has more than {TEXT_LIMIT} bytes")
    try:
        return read(documents.parse(text.decode() if isinstance(text, bytes) else text))
    except BadManifest:
        raise
    except ValueError as error:
        raise BadManifest(f"it is no valid JSON ({printable(error)[:SAID]})") from error


def read(document: t.Any) -> Manifest:
    """A manifest from JSON that anybody may have written, with nothing in it that is not of it. Raises BadManifest."""
    if isinstance(document, dict) and document.get("schema") not in (None, SCHEMA):
        raise BadManifest(f"it is of schema {_said(document['schema'])}, and this program reads {SCHEMA}")
    wrong = documents.misfit(document, _SHAPE, "it")
    if wrong:
        raise BadManifest(wrong)
    source = document["source"]
    found = Manifest(
        schema=SCHEMA,
        model=document["model"],
        source=Source(kind=source["kind"], endpoint=source["endpoint"]),
        revision=document["revision"],
        commit=document["commit"],
        files=[_file(one) for one in document["files"][: FILES_LIMIT + 1]],
    )
    _must_hold(found)
    return found


def _file(one: t.Mapping[str, t.Any]) -> File:
    return File(
        path=one["path"], size=one["size"], sha256=one.get("sha256"), git_sha1=one.get("git_sha1"), url=one["url"]
    )


def dump(manifest: Manifest) -> str:
    """The same text for the same manifest, in one line."""
    return json.dumps(manifest, sort_keys=True, separators=(",", ":")) + "\n"


def total(files: t.Iterable[File]) -> int:
    """Bytes of all files."""
    return sum(one["size"] for one in files)


def digest(files: t.Iterable[File]) -> str:
    """What stands for a commit where the source knows none: as long as one, and another one when a file is."""
    rows = sorted([one["path"], one["size"], one["sha256"], one["git_sha1"]] for one in files)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:40]


def git_hash(size: int) -> hashlib._Hash:
    """A hash for the content of a file of `size` bytes, by which git, and so the hub, knows small files."""
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)


def content_problem(file: File, raw: bytes) -> str:
    """What is wrong with the content of a small file; the text continues a sentence that begins with its name."""
    if len(raw) != file["size"]:
        return f"has {len(raw)} bytes, and {file['size']} were announced"
    if file["sha256"] is not None and hashlib.sha256(raw).hexdigest() != file["sha256"]:
        return "has another SHA-256 than was announced"
    found = git_hash(len(raw))
    found.update(raw)
    return "has another hash than was announced" if file["git_sha1"] not in (None, found.hexdigest()) else ""


def path_problem(path: str) -> str:
    """Why a name cannot be one of a file in a model's folder; '' where it can."""
    parts = path.split("/")
    if not path or path.startswith("/") or any(part in ("", ".", "..") for part in parts):
        return "is no plain relative path"
    if not path.isprintable() or "\\" in path:
        return "has characters that no file of a model needs"
    try:
        raw = [part.encode() for part in parts]
    except UnicodeEncodeError:
        return "is no text in UTF-8"
    if any(len(part) > NAME_LIMIT for part in raw) or len(path.encode()) > PATH_LIMIT or len(parts) > DEPTH_LIMIT:
        return "is too long"
    return ""


def url_problem(url: str) -> str:
    """Why an address cannot be fetched from; '' where it can."""
    if not url.isascii() or not url.isprintable() or " " in url or len(url) > URL_LIMIT:
        return "has characters that no address has, or too many"
    try:
        where = urlsplit(url)
        where.port  # noqa: B018 - raises where it is none
    except ValueError:
        return "is no address"
    if where.scheme not in ("http", "https") or not where.hostname:
        return "is no http or https address"
    if "@" in where.netloc:
        return "has credentials in it: a token goes into its variable"
    return "has a fragment (#)" if where.fragment else ""


def _must_hold(found: Manifest) -> None:
    kind, files = found["source"]["kind"], found["files"]
    if kind not in KINDS:
        raise BadManifest(f"its source is of kind {_said(kind)}, which is none of {', '.join(KINDS)}")
    _must_match(MODEL, found["model"], "its model", "no id of a model, as ORGANISATION/NAME")
    _must_match(REVISION, found["revision"], "its revision", "no branch, tag or commit")
    _must_match(COMMIT, found["commit"], "its commit", "not 40 hexadecimal digits")
    if kind in FETCHED and url_problem(found["source"]["endpoint"]):
        raise BadManifest(f"its endpoint {url_problem(found['source']['endpoint'])}")
    if not found["source"]["endpoint"].isprintable() or len(found["source"]["endpoint"]) > URL_LIMIT:
        raise BadManifest("its endpoint has characters that none has, or too many")
    if not files:
        raise BadManifest("it has no files")
    if len(files) > FILES_LIMIT:
        raise BadManifest(f"it has more than {FILES_LIMIT} files")
    for one in files:
        _file_must_hold(one, kind in FETCHED)
    if total(files) > TOTAL_LIMIT:
        raise BadManifest(f"its files have {total(files)} bytes, and {TOTAL_LIMIT} are more than any model has")
    _must_be_apart([one["path"] for one in files])
    if kind != HUB and found["commit"] != digest(files):
        raise BadManifest("its commit is not the digest of its files")


def _file_must_hold(one: File, fetched: bool) -> None:
    wrong = path_problem(one["path"])
    if wrong:
        raise BadManifest(f"the path {_said(one['path'])} {wrong}")
    if not 0 <= one["size"] <= FILE_LIMIT:
        raise BadManifest(f"{_said(one['path'])} has {_said(one['size'])} bytes, and 0 to {FILE_LIMIT} are possible")
    for key, value, pattern in (("sha256", one["sha256"], SHA256), ("git_sha1", one["git_sha1"], SHA1)):
        if value is not None and not pattern.fullmatch(value):
            raise BadManifest(f"{_said(one['path'])} has the {key} {_said(value)}, which is none")
    if not fetched and one["url"]:
        raise BadManifest(f"{_said(one['path'])} has an address, and its source is not fetched from")
    wrong = url_problem(one["url"]) if fetched else ""
    if wrong:
        raise BadManifest(f"the address of {_said(one['path'])} {wrong}")


def _must_be_apart(paths: list[str]) -> None:
    """No two files of one name, and none that another one has as a folder."""
    files: set[str] = set()
    for path in paths:
        if path in files:
            raise BadManifest(f"{_said(path)} is there twice")
        files.add(path)
    for path in paths:
        above = path
        while "/" in above:
            above = above.rpartition("/")[0]
            if above in files:
                raise BadManifest(f"{_said(above)} is a file and the folder of {_said(path)}")


def _must_match(pattern: re.Pattern[str], value: str, what: str, wrong: str) -> None:
    if not pattern.fullmatch(value):
        raise BadManifest(f"{what} {_said(value)} is {wrong}")


def _said(value: t.Any) -> str:
    """A value of others in one short line."""
    return repr(printable(str(value)[: 2 * SAID])[:SAID])
