# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image that reads sounds: what is there with one layer more, made once for what it is made from."""

from __future__ import annotations

import hashlib
import http
import json
import pathlib
import shutil
import typing as t
import urllib.parse

import pytest

from lab import audio_image, oci, packages, tools, vllm_image
from lab.tools import INPUTS_LABEL, LabError

pytestmark = pytest.mark.skipif(shutil.which("zstd") is None, reason="there is no zstd")
BASE, OWN = vllm_image.VERSION, audio_image.TAG


class Kept(oci.Repository):
    """A repository of a registry that is a dictionary: what was sent, by digest and by tag."""

    blobs: t.ClassVar[dict[str, bytes]] = {}
    tags: t.ClassVar[dict[str, bytes]] = {}

    def _call(
        self, method: str, path: str, body: t.Any = None, headers: t.Mapping[str, str] | None = None
    ) -> tuple[int, t.Mapping[str, str], bytes]:
        sent = body.read() if hasattr(body, "read") else body
        kind, _slash, last = path.removeprefix(f"/v2/{vllm_image.NAME}/").partition("/")
        if method == "POST":
            return http.HTTPStatus.ACCEPTED, {"location": f"http://registry{path}1"}, b""
        if method == "PUT" and kind == "blobs":
            digest = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query)["digest"][0]
            assert digest == f"sha256:{hashlib.sha256(sent).hexdigest()}"
            self.blobs[digest] = sent
        elif method == "PUT":
            self.tags[last] = sent
        else:
            found = (self.blobs if kind == "blobs" else self.tags).get(last)
            return (http.HTTPStatus.NOT_FOUND, {}, b"") if found is None else (http.HTTPStatus.OK, {}, found)
        return http.HTTPStatus.CREATED, {}, b""

    def shown(self, tag: str) -> tuple[t.Any, t.Any]:
        """Manifest and config."""
        manifest = json.loads(self.tags[tag])
        return manifest, json.loads(self.blobs[manifest["config"]["digest"]])


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Kept:
    monkeypatch.setattr(Kept, "blobs", {})
    monkeypatch.setattr(Kept, "tags", {})
    monkeypatch.setattr(oci, "Repository", Kept)
    monkeypatch.setattr(tools, "WORK", tmp_path / "lab")
    return Kept("registry", vllm_image.NAME)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    asked: list[tuple[str, bool]] = []

    def install(site: pathlib.Path, *requirements: str, alone: bool = False) -> None:
        asked.extend((requirement, alone) for requirement in requirements)
        (site / "soundfile.py").write_text("")

    monkeypatch.setattr(packages, "install", install)
    return asked


def have_base(repository: Kept, tmp_path: pathlib.Path, inputs: str = "one") -> None:
    content = tmp_path / f"base-{inputs}"
    content.mkdir()
    (content / "file").write_text(inputs)
    labels = {INPUTS_LABEL: inputs, "org.opencontainers.image.version": BASE}
    image = oci.Image(("vllm", "serve"), {"A": "1"}, labels)
    repository.push(BASE, image, [oci.pack(content, tmp_path / f"{inputs}.zst")])


def test_it_is_the_image_below_with_a_layer_more(
    repository: Kept, installed: list[tuple[str, bool]], tmp_path: pathlib.Path
) -> None:
    have_base(repository, tmp_path)
    assert audio_image.build("registry") == f"registry/{vllm_image.NAME}:{OWN}"
    below, base = repository.shown(BASE)
    manifest, config = repository.shown(OWN)
    assert manifest["layers"][:-1] == below["layers"]
    assert len(manifest["layers"]) == len(config["rootfs"]["diff_ids"]) == 2
    assert config["rootfs"]["diff_ids"][:-1] == base["rootfs"]["diff_ids"]
    assert manifest["layers"][-1]["digest"] in repository.blobs
    assert (config["config"]["Entrypoint"], config["config"]["Env"]) == (["vllm", "serve"], ["A=1"])
    assert config["config"]["Labels"]["org.opencontainers.image.version"] == BASE
    assert config["config"]["Labels"][INPUTS_LABEL] != base["config"]["Labels"][INPUTS_LABEL]
    assert installed == [(audio_image.PACKAGE, True)], "what it requires is in the image already"


def test_it_is_made_once_for_each_image_below(
    repository: Kept, installed: list[tuple[str, bool]], tmp_path: pathlib.Path
) -> None:
    have_base(repository, tmp_path)
    audio_image.build("registry")
    audio_image.build("registry")
    assert len(installed) == 1
    have_base(repository, tmp_path, "another")
    audio_image.build("registry")
    assert len(installed) == 2


@pytest.mark.usefixtures("repository")
def test_without_an_image_below_it_says_how_that_comes() -> None:
    with pytest.raises(LabError, match=r"registry has no vllm-cpu:.* to build on; `lab/lab up` makes it"):
        audio_image.build("registry")


def test_only_what_is_there_can_be_extended(repository: Kept, tmp_path: pathlib.Path) -> None:
    layer = oci.Layer(tmp_path / "none", "sha256:1", 1, "sha256:2")
    with pytest.raises(LabError, match="the registry has no vllm-cpu:none"):
        repository.extend("none", "other", layer, {})
