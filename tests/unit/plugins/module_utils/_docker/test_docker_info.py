# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container engine says of itself."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker import docker_info

PODMAN = {"Version": "5.2.2", "Components": [{"Name": "Podman Engine"}, {"Name": "Conmon"}]}


@pytest.mark.parametrize(
    ("info", "version", "kind"),
    [
        ({"DockerRootDir": "/var/lib/docker", "SecurityOptions": ["name=seccomp,profile=builtin"]}, {}, "docker"),
        ({"SecurityOptions": ["name=rootless"]}, PODMAN, "podman"),
        ({"OperatingSystem": "Docker Desktop"}, {}, "desktop"),
        ({"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"]}, {}, "rootless"),
        ({"DockerRootDir": "/var/snap/docker/common/var-lib-docker"}, {}, "snap"),
    ],
)
def test_what_answers(info: t.Any, version: t.Any, kind: str) -> None:
    assert docker_info.read(info, version).kind == kind


@pytest.mark.parametrize(
    ("state", "swarm"),
    [("active", True), ("locked", True), ("pending", True), ("error", True), ("inactive", False), (None, False)],
)
def test_a_node_of_a_swarm(state: t.Any, swarm: bool) -> None:
    assert docker_info.read({"Swarm": {"LocalNodeState": state}}).swarm is swarm


def test_runtimes_and_users() -> None:
    said = docker_info.read(
        {
            "DefaultRuntime": "nvidia",
            "Runtimes": {"runc": {"path": "runc"}, "nvidia": {"path": "nvidia-container-runtime"}, "x": {"type": "y"}},
            "SecurityOptions": ["name=userns"],
        }
    )
    assert said.runtimes == {"runc": "runc", "nvidia": "nvidia-container-runtime", "x": ""}
    assert (said.default_runtime, said.maps_users) == ("nvidia", True)


@pytest.mark.parametrize(
    "odd",
    [
        None,
        [],
        "ok",
        {"Runtimes": [], "Swarm": "active", "SecurityOptions": [1], "CDISpecDirs": "x", "Containers": "7"},
        {"DiscoveredDevices": ["a", {"Source": "cdi", "ID": 1}], "Runtimes": {"runc": None}, "DockerRootDir": 1},
    ],
)
def test_what_is_of_another_shape_counts_as_not_said(odd: t.Any) -> None:
    said = docker_info.read(odd, odd)
    assert (said.kind, said.version, said.swarm, said.containers, said.cdi_folders) == ("docker", None, False, 0, ())
    assert not any(said.runtimes.values())
