# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of `docker run` and of compose, as Docker 29 and Compose 2 describe them."""

from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._adopt import containers
from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._adopt.adopting import adopted

Json = dict[str, t.Any]
OF_IMAGE = ["PATH=/usr/bin", "VLLM_USAGE_SOURCE=production-docker-image"]
IMAGE: Json = {"Config": {"Env": OF_IMAGE}}
CONTAINER: Json = {
    "Id": "c1",
    "Name": "/llm-vllm-1",
    "Image": "sha256:1",
    "State": {"Pid": 7},
    "Config": {
        "Image": "vllm/vllm-openai:v0.26.0",
        "Entrypoint": ["vllm", "serve"],
        "Cmd": ["/models/qwen", "--port", "9000", "--max-num-seqs", "4"],
        "Env": [*OF_IMAGE, "HF_TOKEN=hf_x", "VLLM_LOGGING_LEVEL=DEBUG"],
        "Labels": {"com.docker.compose.service": "vllm"},
    },
    "HostConfig": {
        "NetworkMode": "llm_default",
        "PortBindings": {"9000/tcp": [{"HostIp": "", "HostPort": "8001"}]},
        "DeviceRequests": [{"Driver": "nvidia", "DeviceIDs": ["1", "3"]}],
        "IpcMode": "private",
        "ShmSize": 8 * 2**30,
    },
    "Mounts": [
        {"Source": "/srv/models", "Destination": "/models"},
        {"Source": "/srv/hf", "Destination": "/root/.cache/huggingface"},
    ],
}


class Docker:
    """An engine with these containers."""

    def __init__(self, *running: Json, image: Json | None = None) -> None:
        self.running, self.shown = running, image

    def get(self, path: str) -> t.Any:
        if path == "/containers/json":
            return [{"Id": str(at)} for at, _one in enumerate(self.running)]
        return copy.deepcopy(self.running[int(path.split("/")[2])])

    def image(self, reference: str) -> Json | None:
        if self.shown is None:
            raise DockerError(404, reference)
        return self.shown


def changed(part: str, **values: t.Any) -> Json:
    return {**CONTAINER, part: {**CONTAINER[part], **values}}


def test_a_service_of_compose() -> None:
    (served,) = containers.look(Docker(CONTAINER, image=IMAGE))
    assert served["withheld"] == ["HF_TOKEN"] and "hf_x" not in str(served)
    assert served["stop"] == "docker update --restart=no llm-vllm-1 && docker stop llm-vllm-1"
    made = adopted(served)
    assert made.instance == {
        "name": "vllm",
        "model": "/srv/models/qwen",
        "served_model_name": "/models/qwen",
        "image": "vllm/vllm-openai:v0.26.0",
        "version": "0.26.0",
        "bind": "0.0.0.0",
        "port": 8001,
        "gpus": [1, 3],
        "engine_args": {"max_num_seqs": 4},
        "env": {"VLLM_LOGGING_LEVEL": "DEBUG"},
    }
    assert made.variables == {"vllm_server_shm_size_mib": 8192}


def test_ours_and_others_are_left_out() -> None:
    ours = changed("Config", Labels={"io.gpufleet.instance": "a"})
    other = changed("Config", Entrypoint=["nginx"], Cmd=[])
    assert containers.look(Docker(ours, other, image=IMAGE)) == []


def test_an_image_that_is_gone_hides_nothing() -> None:
    (served,) = containers.look(Docker(CONTAINER))
    assert served["variables"]["VLLM_LOGGING_LEVEL"] == "DEBUG"
    assert adopted(served).instance["env"] == {"VLLM_LOGGING_LEVEL": "DEBUG", "PATH": "/usr/bin"}


@pytest.mark.parametrize(
    ("given", "visible", "gpus"),
    [
        (["1", "3"], "1", ["3"]),
        (["1", "3"], "", ["1", "3"]),
        ([], "0,1", ["0", "1"]),
        (["nvidia.com/gpu=2"], "", ["2"]),
    ],
)
def test_gpus_as_the_host_counts_them(given: list[str], visible: str, gpus: list[str]) -> None:
    container = changed("HostConfig", DeviceRequests=[{"DeviceIDs": given}] if given else [])
    container["Config"] = {
        **CONTAINER["Config"],
        "Env": [f"CUDA_VISIBLE_DEVICES={visible}", "NVIDIA_VISIBLE_DEVICES=all"],
    }
    (served,) = containers.look(Docker(container, image=IMAGE))
    assert served["gpus"] == gpus


def test_the_hosts_own_network() -> None:
    (served,) = containers.look(Docker(changed("HostConfig", NetworkMode="host", IpcMode="host"), image=IMAGE))
    made = adopted(served)
    assert (made.instance["port"], made.instance["bind"]) == (9000, "0.0.0.0")
    assert made.variables == {"vllm_server_ipc": "host"}


def test_parts_of_another_kind_break_nothing() -> None:
    strange = {**CONTAINER, "HostConfig": {"PortBindings": [], "ShmSize": "x", "DeviceRequests": None}, "Mounts": None}
    (served,) = containers.look(Docker(strange, image={"Config": []}))
    assert (served["port"], served["mounts"], served["shm_mib"]) == (-1, [], 0)
