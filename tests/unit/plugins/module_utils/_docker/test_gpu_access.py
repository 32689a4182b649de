# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which containers were given GPUs, and which of them lost them."""

from __future__ import annotations

import errno
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker import gpu_access
from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.gpu_access import Probed
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._runtime.containers import (
    CDI,
    HELD,
    LOST,
    NODES,
    Json,
    container,
)

NVIDIA: t.Final[Json] = {"Runtime": "nvidia"}
GPU_0: t.Final[Json] = {"PathOnHost": "/dev/nvidia0", "PathInContainer": "/dev/nvidia0"}


def requests(**request: t.Any) -> Json:
    return {"Runtime": "runc", "DeviceRequests": [request], "Devices": None}


@pytest.mark.parametrize(
    ("config", "env", "given", "by_hook"),
    [
        pytest.param(CDI, [], True, False, id="CDI"),
        pytest.param(requests(Driver="cdi", DeviceIDs=["vendor.com/net=eth0"]), [], False, False, id="CDI, no GPU"),
        pytest.param(requests(Driver="cdi", DeviceIDs=None), [], False, False, id="CDI, nothing"),
        pytest.param(requests(Driver="", Capabilities=[["gpu"]], Count=-1), [], True, True, id="--gpus"),
        pytest.param(
            requests(Driver="nvidia", DeviceIDs=["0"], Capabilities=[["utility"]]), [], True, True, id="nvidia"
        ),
        pytest.param(requests(Driver="gpu", Capabilities=None), [], True, True, id="gpu"),
        pytest.param(requests(Driver="other", Capabilities=[["tpu"]]), [], False, False, id="another driver"),
        pytest.param(NVIDIA, ["A=1", "NVIDIA_VISIBLE_DEVICES=all"], True, True, id="NVIDIA's runtime"),
        pytest.param(NVIDIA, ["NVIDIA_VISIBLE_DEVICES=void"], False, False, id="NVIDIA's runtime, told to give none"),
        pytest.param(NVIDIA, [], False, False, id="NVIDIA's runtime, told nothing"),
        pytest.param({**NVIDIA, **CDI}, ["NVIDIA_VISIBLE_DEVICES=all"], True, False, id="CDI under NVIDIA's runtime"),
        pytest.param({"Runtime": "runc"}, ["NVIDIA_VISIBLE_DEVICES=all"], False, False, id="the variable alone"),
        pytest.param({"Devices": [GPU_0]}, [], True, False, id="--device"),
        pytest.param({"Devices": [{"PathInContainer": "/dev/fuse"}]}, [], False, False, id="another device"),
    ],
)
def test_who_was_given_gpus(config: Json, env: list[str], given: bool, by_hook: bool) -> None:
    found = container("a", config, env=env)
    assert (gpu_access.was_given_gpus(found), gpu_access.uses_the_hook(found)) == (given, by_hook)


@pytest.mark.parametrize(
    ("probed", "nodes", "lost", "problem"),
    [
        pytest.param(HELD, NODES, [], "", id="may"),
        pytest.param(LOST, NODES, NODES, "", id="may not"),
        pytest.param(
            Probed({"/dev/nvidia0": errno.EPERM, "/dev/nvidia1": 0}),
            ("/dev/nvidia0", "/dev/nvidia1"),
            NODES[:1],
            "",
            id="one of two",
        ),
        pytest.param(
            Probed({"/dev/nvidia0": errno.EACCES}), NODES[:1], [], "/dev/nvidia0: Permission denied", id="else"
        ),
        pytest.param(Probed({}), (), [], "", id="no nodes"),
        pytest.param(Probed({}, "no such process"), (), [], "no such process", id="not found out"),
    ],
)
def test_what_is_seen(probed: Probed, nodes: t.Sequence[str], lost: t.Sequence[str], problem: str) -> None:
    assert gpu_access.seen(container("vllm-a", instance="a"), lambda _pid: probed) == {
        "name": "vllm-a",
        "id": "id-vllm-a",
        "instance": "a",
        "nodes": list(nodes),
        "lost": list(lost),
        "problem": problem,
    }


def test_a_paused_container_is_not_entered() -> None:
    def probe(_pid: int) -> t.NoReturn:
        raise AssertionError("whoever enters is frozen")

    paused = container("a", State={"Paused": True, "Pid": 1})
    assert gpu_access.seen(paused, probe)["problem"] == "it is paused"


@pytest.mark.parametrize(
    ("config", "lost"),
    [
        pytest.param(CDI, ["/dev/nvidiactl"], id="by a request"),
        pytest.param({"Devices": [GPU_0]}, ["/dev/nvidia0", "/dev/nvidiactl"], id="by name"),
    ],
)
def test_one_that_sees_all_of_dev_did_not_lose_what_it_was_not_given(config: Json, lost: list[str]) -> None:
    probed = Probed(dict.fromkeys((*NODES, "/dev/nvidia1"), errno.EPERM))
    all_of_dev = container("a", config, Mounts=[{"Destination": "/data"}, {"Destination": "/dev"}])
    assert gpu_access.seen(all_of_dev, lambda _pid: probed)["lost"] == lost


class Engine:
    def __init__(self, answers: dict[str, t.Any], status: int = 404) -> None:
        self.answers, self.status = answers, status

    def get(self, path: str) -> t.Any:
        if path not in self.answers:
            raise DockerError(self.status, "No such container")
        return self.answers[path]


def test_a_container_that_ends_meanwhile_is_left_out() -> None:
    listed = {"/containers/json": [{"Id": "a"}, {"Id": "b"}], "/containers/b/json": {"Id": "b"}}
    assert [found["Id"] for found in gpu_access.running(Engine(listed))] == ["b"]


@pytest.mark.parametrize(
    "odd",
    [
        None,
        [],
        "down for maintenance",
        {"State": None, "HostConfig": [], "Config": "?"},
        {"HostConfig": {"DeviceRequests": [1, {"DeviceIDs": [2], "Capabilities": [None]}], "Devices": {}}},
        {"Config": {"Env": [1], "Labels": []}, "State": {"Pid": "x"}, "Mounts": 1},
    ],
)
def test_what_is_of_another_shape_counts_as_not_said(odd: t.Any) -> None:
    (found,) = gpu_access.running(Engine({"/containers/json": [{"Id": "a"}, 7], "/containers/a/json": odd}))
    assert not gpu_access.was_given_gpus(found) and not gpu_access.uses_the_hook(found)
    assert gpu_access.seen(found, lambda _pid: HELD)["name"] == ""
    assert gpu_access.running(Engine({"/containers/json": odd})) == []


def test_a_daemon_that_does_not_answer_is_not_one_without_containers() -> None:
    with pytest.raises(DockerError):
        gpu_access.running(Engine({}))
    broken = Engine({"/containers/json": [{"Id": "a"}]}, status=500)
    with pytest.raises(DockerError):
        gpu_access.running(broken)


def test_only_those_with_gpus_are_looked_at() -> None:
    looked = gpu_access.look([container("b"), container("none", {}), container("a")], lambda _pid: HELD)
    assert [one["name"] for one in looked] == ["a", "b"]


V1 = """31 23 0:28 / /sys/fs/cgroup ro,relatime - tmpfs tmpfs rw,mode=755
36 31 0:33 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu
37 31 0:34 / /sys/fs/cgroup/devices rw,relatime shared:10 - cgroup cgroup rw,devices
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
"""
V2 = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
BELOW = V2.replace(" / /sys", " /docker/ab /sys")


@pytest.mark.parametrize(
    ("memberships", "mounts", "group"),
    [
        pytest.param("0::/system.slice/docker-1.scope\n", V2, "/sys/fs/cgroup/system.slice/docker-1.scope", id="v2"),
        pytest.param("0::/\n", V2, "/sys/fs/cgroup", id="v2, a namespace of its own"),
        pytest.param("5:devices:/docker/1\n0::/system\n", V1, "/sys/fs/cgroup/devices/docker/1", id="v1"),
        pytest.param("5:cpuset,devices:/docker/1:2\n", V1, "/sys/fs/cgroup/devices/docker/1:2", id="v1, with another"),
        pytest.param("0::/system\n", V1, "/sys/fs/cgroup/unified/system", id="v1 without the controller"),
        pytest.param("0::/docker/ab/docker/1\n", BELOW, "/sys/fs/cgroup/docker/1", id="mounted in part"),
        pytest.param("0::/docker/ab\n", BELOW, "/sys/fs/cgroup", id="the mount's own root"),
        pytest.param("0::/docker/abc\n", BELOW, "", id="not mounted"),
        pytest.param("0::/../docker/1\n", V2, "", id="outside of the namespace"),
        pytest.param("5:devices:/docker/1\n", V2, "", id="another version"),
        pytest.param("1:name=systemd:/a\n", V1, "", id="no controller"),
        pytest.param("", "", "", id="nothing"),
    ],
)
def test_control_group(memberships: str, mounts: str, group: str) -> None:
    assert gpu_access.control_group(memberships, mounts) == group
