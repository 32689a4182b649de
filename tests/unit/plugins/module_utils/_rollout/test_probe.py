# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that answer one question: what somebody else has under their names is left alone."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout import probe
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.parser import UNDERSTOOD
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import IMAGE_ID
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

NAMES = ["gpufleet-version-111111111111", "gpufleet-parser-assistant"]
ASKED = {"smoke": {}, "timeouts": {}, "ask_parser": True}


def place(scene: Scene, name: str, labels: dict[str, str], of_image: dict[str, str] | None = None) -> None:
    """A container under the name; `of_image` are the labels that its image has too."""
    docker = scene.docker
    made = docker.create(name, {"Image": IMAGE_ID, "Labels": labels, "HostConfig": {}})
    there = docker.containers.pop(made)
    docker.containers["there"] = {**there, "Id": "there", "Image": "sha256:theirs"}
    docker.images["theirs"] = {"Id": "sha256:theirs", "Config": {"Labels": of_image or {}}}
    docker.writes.clear()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("labels", "of_image"),
    [({}, None), ({probe.LABEL: "another"}, None), ("ours", "ours")],
    ids=["no label", "of another probe", "committed"],
)
def test_somebody_elses_stays(scene: Scene, name: str, labels: t.Any, of_image: t.Any) -> None:
    mark = {probe.LABEL: name}
    place(scene, name, mark if labels == "ours" else labels, mark if of_image else None)
    scene.docker.parser = (0, UNDERSTOOD)
    assert scene.roll_out(1024, settings=ASKED) == "verified"
    assert "there" in scene.docker.containers
    assert [one for one in scene.docker.writes if one == f"remove {name}"] == []
    left = [one["Name"] for one in scene.docker.containers.values() if "gpufleet-" in one["Name"]]
    assert left == [f"/{name}"]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_killed_one_left_is_removed(scene: Scene, name: str) -> None:
    place(scene, name, {probe.LABEL: name})
    scene.docker.parser = (0, UNDERSTOOD)
    assert scene.roll_out(1024, settings=ASKED) == "verified"
    assert [one["Name"] for one in scene.docker.containers.values() if "gpufleet-" in one["Name"]] == []
