# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of an image, of its parser and of the model's files, and what counts as an answer."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout import (
    image,
    parser,
    weights,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.failure import Refused
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import (
    IMAGE_ID,
    entry,
    release,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

OLD, NEW = 1024, 2048


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("0.32.0", "0.32.0"),
        ("v" * 64, "v" * 64),
        ("v" * 65, ""),
        ("0.32.0 and more", ""),
        ("\x1b[2J0.32.0", ""),
        ("", ""),
    ],
)
def test_a_version_is_one_short_word(scene: Scene, tmp_path: pathlib.Path, said: str, version: str) -> None:
    scene.docker.versions[IMAGE_ID] = said
    assert image.version_of(scene.docker, IMAGE_ID, str(tmp_path / "images.json")) == version


def test_probes_have_minutes(scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    limits: list[float] = []

    def wait(_container: str, limit: float) -> int:
        limits.append(limit)
        return 0

    monkeypatch.setattr(scene.docker, "wait", wait)
    assert image.version_of(scene.docker, IMAGE_ID, str(tmp_path / "images.json")) == "0.32.0"
    asked = entry(OLD, image_id=IMAGE_ID, settings={"ask_parser": True})
    parser.must_parse(scene.host, scene.journal(), asked, str(tmp_path / "parsers.json"))
    assert limits == [120.0, 180.0]


@pytest.mark.parametrize(
    ("code", "said", "outcome"),
    [
        (0, "gpufleet: understood", "verified"),
        (2, "vllm: error: first\nvllm: error: argument --x: last", "refused"),
        (2, "vllm: error : no", "verified"),
        (1, "vllm: error: argument --x: last", "verified"),
        (3, "vllm: error: argument --x: last", "verified"),
    ],
)
def test_only_how_a_parser_refuses_is_a_refusal(scene: Scene, code: int, said: str, outcome: str) -> None:
    scene.docker.parser = (code, said)
    assert scene.roll_out(OLD, settings={"smoke": {}, "timeouts": {}, "ask_parser": True}) == outcome
    assert ("argument --x: last" in scene.last()["detail"]) is (outcome == "refused")


def test_the_parser_is_not_shown_the_key(scene: Scene) -> None:
    key = {"fingerprint": "f" * 64, "path": "/run/key.yaml"}
    command = ["acme/tiny", "--config", "/run/key.yaml", "--max-model-len", "8"]
    with_key = parser.probe_body(entry(OLD, release=release(api_key=key, command=command)))
    assert with_key["Cmd"] == ["acme/tiny", "--max-model-len", "8"]
    own = parser.probe_body(entry(OLD, release=release(command=["acme/tiny", "--config", "mine.yaml"])))
    assert own["Cmd"] == ["acme/tiny", "--config", "mine.yaml"]
    assert (own["NetworkDisabled"], own["HostConfig"]["NetworkMode"]) == (True, "none")


@pytest.mark.parametrize(
    ("offline", "asks_none"), [*((word, True) for word in ("1", "on", "Yes", "TRUE")), ("0", False), ("no", False)]
)
def test_what_the_hubs_client_takes_for_yes(tmp_path: pathlib.Path, offline: str, asks_none: bool) -> None:
    document = release(env={"HF_HUB_CACHE": "/hub", "HF_HUB_OFFLINE": offline})
    document["container"] = {**document["container"], "volumes": ["named", f"{tmp_path}:/hub:rw"]}
    if not asks_none:
        weights.must_be_whole(document)
        return
    with pytest.raises(Refused) as refused:
        weights.must_be_whole(document)
    assert refused.value.diagnosis.failure_class == "model.missing"
    assert weights._hub_dir(document) == str(tmp_path)
