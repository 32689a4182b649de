# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container engine of a host."""

from __future__ import annotations

import errno
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker import container_engine
from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.gpu_access import Probed
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gpu.doubles import Tree
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._runtime.containers import container

SILENT = DockerError(0, "the Docker daemon does not answer on /var/run/docker.sock: Connection refused")


class FakeEngine:
    """Answers the two documents, the images and the running containers it is given."""

    def __init__(self, info: t.Any, images: dict[str, t.Any] | None = None, running: t.Sequence[t.Any] = ()) -> None:
        self.info = info
        self.images = images or {}
        self.running = running

    def get(self, path: str) -> t.Any:
        if isinstance(self.info, Exception):
            raise self.info
        if path == "/containers/json":
            return [{"Id": str(number)} for number in range(len(self.running))]
        if path.startswith("/containers/"):
            return self._container(int(path.split("/")[2]))
        return {"/version": {"Version": "28.3.0"}, "/info": self.info}[path]

    def _container(self, number: int) -> t.Any:
        found = self.running[number]
        if isinstance(found, Exception):
            raise found
        return found

    def image(self, reference: str) -> dict[str, t.Any] | None:
        found = self.images.get(reference)
        if isinstance(found, Exception):
            raise found
        return found


@pytest.mark.parametrize(
    ("info", "cdi", "devices", "runtime"),
    [
        pytest.param({}, False, [], False, id="20.10: no CDI"),
        pytest.param({"CDISpecDirs": None, "Runtimes": {"runc": {}}}, False, [], False, id="CDI off"),
        pytest.param({"CDISpecDirs": [], "Runtimes": {"nvidia": {}, "runc": {}}}, False, [], True, id="runtime only"),
        pytest.param({"CDISpecDirs": ["/etc/cdi"]}, True, ["nvidia.com/gpu=0"], False, id="26: devices from the files"),
        pytest.param(
            {
                "CDISpecDirs": ["/etc/cdi"],
                "DiscoveredDevices": [
                    {"Source": "cdi", "ID": "nvidia.com/gpu=all"},
                    {"Source": "cdi", "ID": "nvidia.com/gpu=1"},
                    {"Source": "other", "ID": "x"},
                ],
            },
            True,
            ["nvidia.com/gpu=1", "nvidia.com/gpu=all"],
            False,
            id="28.2: devices from the engine",
        ),
    ],
)
def test_running(tree: Tree, info: dict[str, t.Any], cdi: bool, devices: list[str], runtime: bool) -> None:
    tree.write("etc/cdi/nvidia.yaml", "kind: nvidia.com/gpu\ndevices:\n- name: '0'\n")
    assert container_engine.observe(FakeEngine(info), str(tree.root)) == {
        "name": "docker",
        "kind": "docker",
        "version": "28.3.0",
        "running": True,
        "root": "",
        "cdi": cdi,
        "cdi_devices": devices,
        "nvidia_runtime": runtime,
        "runtimes": dict.fromkeys(info.get("Runtimes") or {}, ""),
        "default_runtime": "",
        "maps_users": False,
        "swarm": False,
        "live_restore": False,
        "running_containers": [],
        "gpu_containers": [],
        "legacy_gpu_containers": [],
        "problem": "",
    }


@pytest.mark.parametrize(
    ("cgroup_driver", "config", "loses_them"),
    [
        ("systemd", {"DeviceRequests": [{"Driver": "", "Capabilities": [["gpu"]]}]}, True),
        ("systemd", {"Runtime": "nvidia", "DeviceRequests": None}, True),
        (
            "systemd",
            {"Runtime": "runc", "DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=0"]}]},
            False,
        ),
        ("systemd", {"Runtime": "runc", "DeviceRequests": None}, False),
        (
            "systemd",
            {"Runtime": "nvidia", "DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=0"]}]},
            False,
        ),
        ("cgroupfs", {"Runtime": "nvidia"}, False),
    ],
)
def test_containers_that_a_daemon_reload_takes_the_gpus_from(
    tree: Tree, cgroup_driver: str, config: dict[str, t.Any], loses_them: bool
) -> None:
    engine = FakeEngine(
        {"CgroupDriver": cgroup_driver}, running=[container("other", config, env=["NVIDIA_VISIBLE_DEVICES=all"])]
    )
    seen = container_engine.observe(engine, str(tree.root))
    assert seen["legacy_gpu_containers"] == (["other"] if loses_them else [])


@pytest.mark.parametrize("lost", [[], ["/dev/nvidia0"]])
def test_containers_that_were_given_gpus(tree: Tree, lost: list[str]) -> None:
    engine = FakeEngine({}, running=[container("vllm-a", instance="a"), container("none", {})])
    probed = Probed({"/dev/nvidia0": errno.EPERM if lost else 0})
    (given,) = container_engine.observe(engine, str(tree.root), lambda _pid: probed)["gpu_containers"]
    assert (given["name"], given["lost"], given["problem"]) == ("vllm-a", lost, "")
    (unknown,) = container_engine.observe(engine, str(tree.root))["gpu_containers"]
    assert (unknown["lost"], unknown["problem"]) == ([], "nobody looked")


def test_a_container_that_ends_while_it_is_looked_at(tree: Tree) -> None:
    engine = FakeEngine({"CgroupDriver": "systemd"}, running=[DockerError(404, "No such container")])
    assert container_engine.observe(engine, str(tree.root))["legacy_gpu_containers"] == []


@pytest.mark.parametrize(
    ("error", "installed", "name", "problem"),
    [
        (SILENT, False, None, "No container engine is installed"),
        (SILENT, True, "docker", "Connection refused): start it"),
        (DockerError(500, "out of order"), True, "docker", "answers with an error (500): out of order"),
        (DockerError(403, "forbidden"), False, "docker", "answers with an error (403): forbidden"),
    ],
)
def test_not_running(tree: Tree, error: DockerError, installed: bool, name: str | None, problem: str) -> None:
    if installed:
        tree.write("usr/bin/dockerd", "")
    seen = container_engine.observe(FakeEngine(error), str(tree.root))
    assert problem in seen.pop("problem")
    assert seen == {
        "name": name,
        "kind": "docker" if installed else "",
        "version": None,
        "running": False,
        "root": "",
        "cdi": False,
        "cdi_devices": [],
        "nvidia_runtime": False,
        "runtimes": {},
        "default_runtime": "",
        "maps_users": False,
        "swarm": False,
        "live_restore": False,
        "running_containers": [],
        "gpu_containers": [],
        "legacy_gpu_containers": [],
    }


@pytest.mark.parametrize(
    ("files", "links", "kind", "swarm"),
    [
        (["usr/bin/dockerd"], {}, "docker", False),
        (["usr/bin/dockerd", "run/user/1000/docker.sock"], {}, "rootless", False),
        (["run/user/1000/docker.sock"], {}, "", False),
        (["var/snap/docker/current/x"], {}, "snap", False),
        (["usr/bin/dockerd", "var/snap/docker/current/x"], {}, "docker", False),
        ([], {"run/docker.sock": "/run/podman/podman.sock"}, "podman", False),
        (["usr/bin/dockerd", "var/lib/docker/swarm/docker-state.json"], {}, "docker", True),
    ],
)
def test_whose_docker_does_not_answer(
    tree: Tree, files: list[str], links: dict[str, str], kind: str, swarm: bool
) -> None:
    for file in files:
        tree.write(file, "")
    for link, target in links.items():
        (tree.root / link).parent.mkdir(parents=True, exist_ok=True)
        (tree.root / link).symlink_to(target)
    seen = container_engine.observe(FakeEngine(SILENT), str(tree.root))
    assert (seen["kind"], seen["swarm"]) == (kind, swarm)


def test_images() -> None:
    engine = FakeEngine(
        {},
        {
            "vllm:1": {"Id": "sha256:aa", "RepoDigests": ["vllm@sha256:bb"], "Size": 1},
            "built:here": {"Id": "sha256:cc", "RepoDigests": None},
            "not//valid": DockerError(400, "invalid reference format"),
        },
    )
    assert container_engine.images(engine, ["vllm:1", "built:here", "absent:1", "not//valid"]) == {
        "vllm:1": {"id": "sha256:aa", "repo_digests": ["vllm@sha256:bb"]},
        "built:here": {"id": "sha256:cc", "repo_digests": []},
        "absent:1": None,
        "not//valid": None,
    }
