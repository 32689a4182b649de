# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests: what is read, and what is refused of what others write."""

from __future__ import annotations

import copy
import json
import typing as t

import hypothesis
import hypothesis.strategies as st
import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._hub import manifest
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.manifest import BadManifest, Manifest

SHA256 = "ab" * 32
SHA1 = "cd" * 20


def file(path: str, size: int = 1, url: str = "http://hub/x", **hashes: t.Any) -> manifest.File:
    return t.cast(manifest.File, {"path": path, "size": size, "sha256": None, "git_sha1": None, "url": url} | hashes)


def whole(**changed: t.Any) -> Manifest:
    made = {
        "schema": 1,
        "model": "Qwen/Qwen3-0.6B",
        "source": {"kind": "hub", "endpoint": "https://huggingface.co"},
        "revision": "main",
        "commit": "c" * 40,
        "files": [file("config.json", 7, git_sha1=SHA1), file("sub/model.safetensors", 2**35, sha256=SHA256)],
    }
    return t.cast(Manifest, made | changed)


def test_it_comes_back_as_it_was_written() -> None:
    assert manifest.parse(manifest.dump(whole())) == whole()
    assert manifest.parse(manifest.dump(whole()).encode()) == whole()
    assert manifest.total(whole()["files"]) == 2**35 + 7


def test_what_is_not_of_it_is_left_out_and_what_may_miss_is_null() -> None:
    document = copy.deepcopy(t.cast("dict[str, t.Any]", whole())) | {"token": "x"}
    document["files"][0].pop("sha256")
    document["files"][1]["mode"] = "0777"
    assert manifest.read(document) == whole()


def test_small_files_hash_as_git_has_them() -> None:
    """`printf hello | git hash-object --stdin`."""
    found = manifest.git_hash(5)
    found.update(b"hello")
    assert found.hexdigest() == "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"


def test_without_a_hub_the_commit_is_the_digest_of_the_files() -> None:
    files = [file("b", url=""), file("a", url="", sha256=SHA256)]
    made = whole(source={"kind": "folder", "endpoint": "m.tar"}, files=files, commit=manifest.digest(files))
    assert manifest.read(made) == made
    assert manifest.digest(files) == manifest.digest(files[::-1]) != manifest.digest(files[:1])
    with pytest.raises(BadManifest, match="not the digest"):
        manifest.read(made | {"commit": "c" * 40})


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("", "relative"),
        ("/etc/passwd", "relative"),
        ("../x", "relative"),
        ("a/../../x", "relative"),
        ("a//b", "relative"),
        ("a/", "relative"),
        ("./a", "relative"),
        ("a\0b", "characters"),
        ("a\nb", "characters"),
        ("a\x1b[31m", "characters"),
        ("a\u202eb", "characters"),
        ("a\\..\\b", "characters"),
        ("\udc80", "characters"),
        ("x" * 241, "long"),
        ("x/" * 16 + "x", "long"),
        ("/".join(["x" * 200] * 6), "long"),
    ],
)
def test_a_path_stays_in_its_folder(path: str, wrong: str) -> None:
    with pytest.raises(BadManifest, match=wrong):
        manifest.read(whole(files=[file(path)]))


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("", "no http"),
        ("file:///etc/passwd", "no http"),
        ("ftp://host/x", "no http"),
        ("//host/x", "no http"),
        ("http:///x", "no http"),
        ("http://u:p@host/x", "credentials"),
        ("http://host/a b", "characters"),
        ("http://host/a\r\nX: y", "characters"),
        ("http://h\u00f6st/", "characters"),
        ("http://host:99999/", "no address"),
        ("http://host/#x", "fragment"),
        ("http://host/" + "x" * 8192, "too many"),
    ],
)
def test_an_address_is_one_of_http(url: str, wrong: str) -> None:
    with pytest.raises(BadManifest, match=wrong):
        manifest.read(whole(files=[file("a", url=url)]))


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"schema": 2}, "schema '2'"),
        ({"schema": True}, "not a whole number"),
        ({"schema": None}, "no schema"),
        ({"model": "a/b/c"}, "no id"),
        ({"model": "../b"}, "no id"),
        ({"model": "a--b/c"}, "no id"),
        ({"model": "a/b..c"}, "no id"),
        ({"model": "a/b.git"}, "no id"),
        ({"model": "a/-b"}, "no id"),
        ({"model": 7}, "not a text"),
        ({"revision": ""}, "no branch"),
        ({"revision": "a/../b"}, "no branch"),
        ({"revision": "--upload"}, "no branch"),
        ({"revision": "a b"}, "no branch"),
        ({"commit": "main"}, "40 hexadecimal"),
        ({"commit": "C" * 40}, "40 hexadecimal"),
        ({"source": {"kind": "rsync", "endpoint": "x"}}, "none of hub"),
        ({"source": {"kind": "hub", "endpoint": "/srv"}}, "endpoint is no http"),
        ({"source": {"kind": "folder", "endpoint": "a\x1b"}}, "endpoint has characters"),
        ({"source": "hub"}, "not an object"),
        ({"files": []}, "no files"),
        ({"files": [file("a")] * 2}, "'a' is there twice"),
        ({"files": [file("a/b"), file("a")]}, "'a' is a file and the folder of 'a/b'"),
        ({"files": [file("a", -1)]}, "-1"),
        ({"files": [file("a", 2**43)]}, "bytes"),
        ({"files": [file(str(at), 2**42) for at in range(17)]}, "more than any model"),
        ({"files": [file("a", True)]}, "whole number"),
        ({"files": [file("a", sha256="AB" * 32)]}, "sha256"),
        ({"files": [file("a", git_sha1=SHA256)]}, "git_sha1"),
        ({"files": [file(str(at)) for at in range(20_001)]}, "more than 20000"),
        ({"source": {"kind": "archive", "endpoint": "x"}, "files": [file("a")]}, "not fetched from"),
    ],
)
def test_what_is_wrong_is_refused(changed: dict[str, t.Any], wrong: str) -> None:
    with pytest.raises(BadManifest, match=wrong):
        manifest.read(whole(**changed))


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"schema": 1e999}', "[" * 5000])
def test_text_that_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(BadManifest):
        manifest.parse(text)
    with pytest.raises(BadManifest):
        manifest.parse(b"\xff" + text.encode())


def test_text_without_end_is_refused() -> None:
    with pytest.raises(BadManifest, match="more than"):
        manifest.parse(" " * (manifest.TEXT_LIMIT + 1))


@hypothesis.given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_any_value_in_any_place_is_refused_or_read(value: t.Any) -> None:
    for place in ("schema", "model", "source", "revision", "commit", "files"):
        for document in (whole(**{place: value}), whole(files=[file("a", value, sha256=value)])):
            try:
                read = manifest.read(document)
            except BadManifest as error:
                assert str(error).isprintable()
            else:
                assert json.loads(manifest.dump(read)) == read
