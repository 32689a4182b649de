# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where images come from: what is stated is checked, kept for root alone, and gone once it is not stated any more."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._images import reference, sources
from ansible_collections.gpufleet.vllm.plugins.module_utils._images.sources import Archive, Sources

WORD = "hidden-word"
LOGIN = {"username": "u", "password": WORD}
PIN = "@sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("image", "parts", "version"),
    [
        ("vllm/vllm-openai:v1", ("docker.io", "vllm/vllm-openai", "v1", ""), ":v1"),
        ("ubuntu", ("docker.io", "library/ubuntu", "", ""), ":latest"),
        ("index.docker.io/vllm/a:v1" + PIN, ("docker.io", "vllm/a", "v1", PIN[1:]), PIN),
        ("host:5000/a/b", ("host:5000", "a/b", "", ""), ":latest"),
        ("localhost/a", ("localhost", "a", "", ""), ":latest"),
    ],
)
def test_a_name_in_its_parts(image: str, parts: tuple[str, ...], version: str) -> None:
    assert tuple(reference.read(image)) == parts
    assert reference.read(image).at("m") == f"m{version}"


@pytest.mark.parametrize(
    ("image", "mirrored"),
    [
        ("vllm/vllm-openai:v1", "near.example.com/v/vllm-openai:v1"),
        (f"vllm/vllm-openai:v1{PIN}", f"near.example.com/v/vllm-openai{PIN}"),
        ("vllm-cpu", "mirror.example.com/hub/library/vllm-cpu:latest"),
        ("vllmish/x:1", "mirror.example.com/hub/vllmish/x:1"),
        ("ghcr.io/a/b:1", ""),
    ],
)
def test_a_mirror_of_the_longest_place_is_taken(image: str, mirrored: str) -> None:
    stated = {"docker.io": "mirror.example.com/hub", "docker.io/vllm": "near.example.com/v"}
    assert sources.read({"mirrors": stated}, []).mirrored(image) == mirrored


WRONG: list[tuple[str, t.Any, str]] = [
    ("registries", {"https:// x": LOGIN}, "is no registry"),
    ("registries", {"a b": LOGIN}, "is no registry"),
    ("registries", {"ghcr.io": WORD}, "is no mapping (what it is now is not shown)"),
    ("registries", {"ghcr.io": {"password": WORD}}, "has password (what it is now is not shown)"),
    ("registries", {"ghcr.io": {**LOGIN, "identity_token": WORD}}, "write username and password, or identity_token"),
    ("registries", {"ghcr.io": {"username": "", "password": WORD}}, "each a text that is not empty"),
    ("registries", {"ghcr.io": {"username": 1, "password": WORD}}, "each a text"),
    ("registries", {"ghcr.io": {"identity_token": None}}, "each a text"),
    ("mirrors", {"docker.io": "https://mirror.example.com"}, "without https:// in front"),
    ("mirrors", {"docker.io": "mirror.example.com/x:tag"}, "without a tag"),
    ("mirrors", {"docker.io": 1}, "has 1"),
    ("mirrors", {"docker.io/../x": "m"}, "docker.io/../x"),
    ("archives", {"a:1": "images/a.tar"}, "write an absolute path"),
    ("archives", {"a:1": {"image_id": "x"}}, "write the path of an archive"),
    ("archives", {"a:1": {"path": "/a", "image_id": "x"}}, "write sha256: and 64 digits"),
    ("archives", {"a:1": ["/a"]}, "write the path of an archive"),
]


@pytest.mark.parametrize(("name", "value", "told"), WRONG)
def test_what_is_wrong_is_told_and_left_out(name: str, value: t.Any, told: str) -> None:
    errors: list[str] = []
    assert sources.read({name: value}, errors) == Sources()
    assert len(errors) == 1 and told in errors[0] and WORD not in errors[0]


def test_registries_are_known_however_they_are_written(tmp_path: pathlib.Path) -> None:
    errors: list[str] = []
    found = sources.read({"registries": {"https://index.docker.io/v1/": LOGIN, "[::1]:5000": LOGIN}}, errors)
    assert set(found.registries) == {"docker.io", "[::1]:5000"} and not errors


def test_the_file_is_for_root_alone_and_goes_with_what_is_stated(tmp_path: pathlib.Path) -> None:
    folder = str(tmp_path / "state")
    path = sources.path_of(folder)
    archives = {"a:1": "/srv/a.tar", "b:1": {"path": "/srv/b.tar", "image_id": "sha256:" + "b" * 64}}
    stated = sources.read({"registries": {"ghcr.io": LOGIN}, "mirrors": {}, "archives": archives}, [])
    assert sources.keep(stated, folder, write=False) and not os.path.exists(path)
    assert sources.keep(stated, folder) and os.stat(path).st_mode & 0o777 == 0o400
    assert not sources.keep(stated, folder)
    assert sources.known(folder) == stated
    assert stated.archives["a:1"] == Archive("/srv/a.tar")
    os.chmod(path, 0o644)
    assert sources.keep(stated, folder) and os.stat(path).st_mode & 0o777 == 0o400
    assert sources.keep(Sources(), folder) and not os.path.exists(path)
    assert not sources.keep(Sources(), folder)


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b'{"registries": []}', b'{"mirrors": {"docker.io": 1}}'])
def test_a_file_that_is_none_of_ours_states_nothing(tmp_path: pathlib.Path, raw: bytes) -> None:
    (tmp_path / sources.FILE).write_bytes(raw)
    assert sources.known(str(tmp_path)) == Sources()
    assert sources.keep(sources.read({"mirrors": {"docker.io": "m"}}, []), str(tmp_path))
