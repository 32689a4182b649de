# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Docker is asked for, for a release."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.container import (
    create_body,
    device_requests,
    entrypoint_style,
    version_probe_body,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.release import Gpus
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.parser import probe_body
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import Entry
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import IMAGE_ID, release

Json = dict[str, t.Any]


def test_the_whole_body() -> None:
    body = create_body(release(), "d" * 64, IMAGE_ID)
    assert json.loads(body["Labels"].pop("io.gpufleet.release")) == release()
    assert body == {
        "Image": IMAGE_ID,
        "Cmd": ["acme/tiny", "--max-model-len", "1024"],
        "Env": ["A=1", "B=2", "NVIDIA_VISIBLE_DEVICES=void"],
        "Labels": {"io.gpufleet.instance": "assistant", "io.gpufleet.digest": "d" * 64},
        "ExposedPorts": {"8000/tcp": {}},
        "HostConfig": {
            "Binds": ["/srv/hub:/root/.cache/huggingface:ro"],
            "PortBindings": {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8000"}]},
            "DeviceRequests": [],
            "RestartPolicy": {"Name": "no"},
            "SecurityOpt": ["no-new-privileges"],
            "Runtime": "runc",
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "50m", "max-file": "3"}},
            "ShmSize": 2048 * 1024 * 1024,
        },
    }


def test_host_ipc_needs_no_size() -> None:
    document = release()
    document["container"]["ipc"] = "host"
    asked = create_body(document, "d", IMAGE_ID)["HostConfig"]
    assert asked["IpcMode"] == "host" and "ShmSize" not in asked


@pytest.mark.parametrize(
    ("gpus", "requests"),
    [
        ({"mode": "none", "uuids": []}, []),
        (
            {"mode": "cdi", "uuids": ["GPU-1", "MIG-2"]},
            [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=GPU-1", "nvidia.com/gpu=MIG-2"]}],
        ),
        (
            {"mode": "runtime", "uuids": ["GPU-1"]},
            [{"Driver": "nvidia", "DeviceIDs": ["GPU-1"], "Capabilities": [["gpu"]]}],
        ),
    ],
)
def test_gpus_by_uuid(gpus: Gpus, requests: list[Json]) -> None:
    assert device_requests(gpus) == requests


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("cdi", ["NVIDIA_VISIBLE_DEVICES=void"]),
        ("none", ["NVIDIA_VISIBLE_DEVICES=void"]),
        # The hook that gives the GPUs reads it.
        ("runtime", []),
    ],
)
def test_a_container_gets_the_gpus_it_was_planned_with_and_no_other(mode: str, told: list[str]) -> None:
    document = release(gpus={"mode": mode, "uuids": [] if mode == "none" else ["GPU-1"]}, env={})
    for body in (create_body(document, "d", IMAGE_ID), probe_body(Entry("d", document, {}, {}, image_id=IMAGE_ID))):
        assert (body["Env"], body["HostConfig"]["Runtime"]) == (told, "runc")


def test_the_planned_gpus_win_over_a_variable_of_the_inventory() -> None:
    document = release(gpus={"mode": "cdi", "uuids": ["GPU-1"]}, env={"NVIDIA_VISIBLE_DEVICES": "all"})
    assert create_body(document, "d", IMAGE_ID)["Env"] == ["NVIDIA_VISIBLE_DEVICES=void"]


@pytest.mark.parametrize(
    ("entrypoint", "style"),
    [
        (["vllm", "serve"], "serve"),
        (["/opt/venv/bin/tini", "--", "vllm", "serve"], "serve"),
        (["python3", "-m", "vllm.entrypoints.openai.api_server"], "module"),
        (["/bin/bash"], ""),
        ([], ""),
        (None, ""),
    ],
)
def test_entrypoint_style(entrypoint: list[str] | None, style: str) -> None:
    assert entrypoint_style({"Config": {"Entrypoint": entrypoint}}) == style


def test_an_image_is_asked_without_network_and_without_gpus() -> None:
    body = version_probe_body(IMAGE_ID)
    assert (body["NetworkDisabled"], body["HostConfig"]["NetworkMode"]) == (True, "none")
    assert (body["Env"], body["HostConfig"]["Runtime"]) == (["NVIDIA_VISIBLE_DEVICES=void"], "runc")
    assert body["Entrypoint"][0] == "python3"


def test_what_an_image_says_is_read_back_whatever_log_driver_the_host_has() -> None:
    document = release()
    entry = Entry("d", document, {}, {}, image_id=IMAGE_ID)
    for body in (create_body(document, "d", IMAGE_ID), probe_body(entry), version_probe_body(IMAGE_ID)):
        assert body["HostConfig"]["LogConfig"]["Type"] == "json-file"
