# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle is used as a whole or not at all, and each thing that is wrong with one has a sentence."""

from __future__ import annotations

import hashlib
import os
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle import known, manifest
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle.manifest import BadBundle
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle.verified import models_of, verified
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._bundle import bundles
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store import models

Json = dict[str, t.Any]
WEIGHTS = f"models/Org--Model/{models.COMMIT}/model.safetensors"


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    bundles.made(tmp_path / "bundle")
    return tmp_path / "bundle"


def refused(root: pathlib.Path, **named: t.Any) -> str:
    with pytest.raises(BadBundle) as error:
        verified(str(root), str(root.parent / "state"), **named)
    return str(error.value)


def test_one_that_is_whole_is_read_once(root: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = str(root.parent / "state")
    found = verified(str(root), state)
    assert models_of(found, "Org/Model", "") == models_of(found, "Org/Model", models.COMMIT) == found["models"]
    assert models_of(found, "Org/Model", "v2") == models_of(found, "Org/Other", "") == []
    monkeypatch.setattr(hashlib, "sha256", lambda *_raw: pytest.fail("it was hashed again"))
    monkeypatch.setattr(manifest, "digest", lambda document: document["digest"])
    name = os.listdir(root.parent / "state" / "bundle_files")[0].removesuffix(".json")
    known.Known(str(root), f"{state}/bundle_files/{name}.json").sha256(WEIGHTS)


def test_a_look_writes_nothing(root: pathlib.Path) -> None:
    verified(str(root), str(root.parent / "state"), keep=False)
    assert not (root.parent / "state").exists()


def test_the_digest_that_is_stated_has_to_be_its_own(root: pathlib.Path) -> None:
    digest = verified(str(root), str(root.parent / "state"))["digest"]
    verified(str(root), str(root.parent / "state"), stated=digest)
    assert f"is the bundle {digest}, and vllm_bundle_digest is sha256:0" in refused(root, stated="sha256:0")


def test_a_flipped_byte_is_found_also_after_it_was_whole(root: pathlib.Path) -> None:
    verified(str(root), str(root.parent / "state"))
    raw = bytearray((root / WEIGHTS).read_bytes())
    raw[4000] ^= 1
    (root / WEIGHTS).write_bytes(raw)
    said = refused(root)
    assert f"nothing of {root} is used: {WEIGHTS} has another content than is listed: copy the bundle again" in said


def test_what_is_missing_or_cut_off(root: pathlib.Path) -> None:
    os.truncate(root / WEIGHTS, 5)
    os.remove(root / WEIGHTS.replace("model.safetensors", "config.json"))
    said = refused(root)
    assert "config.json is missing" in said and "has 5 bytes, and 9000 are listed" in said


def test_a_link_is_refused_wherever_it_leads(root: pathlib.Path) -> None:
    (root / WEIGHTS).rename(root / "weights")
    (root / WEIGHTS).symlink_to(root / "weights")
    assert f"{WEIGHTS} is a link, which a bundle has none of" in refused(root)
    (root / WEIGHTS).unlink()
    os.link(root / "weights", root / WEIGHTS)
    verified(str(root), str(root.parent / "state"))
    (root / "models").rename(root / "elsewhere")
    (root / "models").symlink_to(root / "elsewhere")
    assert "is below a link, which a bundle has none of" in refused(root)


def test_a_pipe_is_no_file_and_nobody_waits_for_it(root: pathlib.Path) -> None:
    os.remove(root / WEIGHTS)
    os.mkfifo(root / WEIGHTS)
    assert f"{WEIGHTS} is no regular file" in refused(root)


def test_without_a_manifest_it_is_none(root: pathlib.Path) -> None:
    os.remove(root / manifest.FILE)
    assert "has no bundle.json, which is written last" in refused(root)
    assert "is not there on the host (vllm_bundle)" in refused(root / "no")


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda one: one.update(schema=2), "it is of schema '2', and this release reads 1: take the release"),
        (lambda one: one.update(kind="x"), "it is not of a bundle"),
        (lambda one: one["files"][0].update(path="models/../../etc/passwd"), "is no plain relative path"),
        (lambda one: one["files"][0].update(path="/etc/passwd"), "is no plain relative path"),
        (lambda one: one["files"][0].update(path="etc/passwd"), "leads out of images, models and packages"),
        (lambda one: one["files"][0].update(size=-1), "is no size and SHA-256"),
        (lambda one: one["files"][0].update(sha256="x"), "is no size and SHA-256"),
        (lambda one: one["files"].append(one["files"][0]), "twice"),
        (lambda one: one["files"].pop(), "it does not list"),
        (lambda one: one["models"][0].update(folder="../x"), "is no plain relative path"),
        (lambda one: one["models"][0]["manifest"].update(commit="x"), "is none: its commit 'x'"),
        (lambda one: one.pop("images"), "it has no images: copy the bundle again"),
        (lambda one: one.update(images=[_image()]), "does not list the files of the image"),
        (lambda one: one.update(images=[_image(image="a@sha256:" + "1" * 64)]), "is listed with the digest"),
        (lambda one: one.update(images=[_image(id="1")]), "has no digest and id"),
        (lambda one: one.update(packages=[_packages()]), "does not list the index of the packages"),
        (lambda one: one.update(packages=[_packages(folder="models/x")]), "are of no known system and folder"),
        (lambda one: one.update(packages=[_packages(system="debian")]), "are of no known system and folder"),
        (lambda one: one.update(packages=[_packages(system="debian-12-amd64")]), "are listed for 'debian-12-amd64'"),
        (
            lambda one: one.update(packages=[_packages(asked=["a\x1b[2J"])]),
            f"packages/debian-13-amd64/{'0' * 16}' are called 'a'",
        ),
        (lambda one: one.update(packages=[_packages(asked=["a" * 121])]), "are called 'aaaa"),
        (lambda one: one.update(packages=[{}]), "it.packages[0] has no system"),
    ],
)
def test_what_a_manifest_may_not_say(root: pathlib.Path, change: t.Callable[[Json], None], said: str) -> None:
    bundles.rewritten(root, change)
    assert said in refused(root)


def _packages(**named: t.Any) -> Json:
    folder = f"packages/debian-13-amd64/{'0' * 16}"
    return {"system": "debian-13-amd64", "folder": folder, "asked": ["docker.io"], **named}


def _image(**named: str) -> Json:
    digest = "sha256:" + "2" * 64
    return {"image": "a:1", "digest": digest, "id": digest, "folder": "images/2", **named}


def test_a_manifest_that_is_cut_off_or_changed_is_told(root: pathlib.Path) -> None:
    path = root / manifest.FILE
    text = path.read_text()
    path.write_text(text.replace("gpu01", "gpu02"))
    assert "it is not what it was when it was written, by its own digest" in refused(root)
    path.write_text(text[:100])
    assert "it is no valid JSON" in refused(root)
    path.unlink()
    path.symlink_to("/etc/hostname")
    assert "cannot be read" in refused(root)


def test_a_manifest_that_is_too_long_is_not_read(root: pathlib.Path) -> None:
    os.truncate(root / manifest.FILE, manifest.TEXT_LIMIT + 1)
    assert f"has {manifest.TEXT_LIMIT + 1} bytes, and none has more than {manifest.TEXT_LIMIT}" in refused(root)
