# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts as people have them (tests/data/docker_hosts.yml): from files and the answers of their engine to the plan."""

from __future__ import annotations

import copy
import pathlib
import typing as t
from unittest import mock

import pytest
import yaml

from ansible_collections.gpufleet.vllm.plugins.action import container_runtime_plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._docker import container_engine
from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare import installed
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.files import Files
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime import daemon_json, observed
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._runtime.hosts import CHECKOUT, asked, facts

Json = dict[str, t.Any]
HOSTS = yaml.safe_load((CHECKOUT / "tests/data/docker_hosts.yml").read_text(encoding="utf-8"))["hosts"]
USUAL: t.Final[Json] = {
    "CgroupDriver": "systemd",
    "DefaultRuntime": "runc",
    "Runtimes": {"io.containerd.runc.v2": {"path": "runc"}, "runc": {"path": "runc"}},
    "DockerRootDir": "/var/lib/docker",
    "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"],
    "Swarm": {"LocalNodeState": "inactive"},
    "CDISpecDirs": ["/etc/cdi", "/var/run/cdi"],
    "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=all"}],
}


class Engine:
    """The Docker Engine API of a host."""

    def __init__(self, host: Json) -> None:
        self.answers = host.get("engine", {})
        self.containers = {one["Id"]: one for one in host.get("containers", [])}

    def get(self, path: str) -> t.Any:
        if self.answers is None:
            raise DockerError(0, "Connection refused")
        if path == "/containers/json":
            return list(self.containers.values())
        if path.startswith("/containers/"):
            return self.containers[path.split("/")[2]]
        usual: Json = {"/version": {"Version": "29.8.1"}, "/info": USUAL}[path]
        return {**usual, **self.answers.get(path[1:], {})}

    def image(self, reference: str) -> None:
        return None


def planned(host: Json, root: pathlib.Path) -> Json:
    """What the plan makes of a host that gpu_facts has looked at."""
    written = {**host.get("files", {})}
    if "daemon_json" in host:
        written["etc/docker/daemon.json"] = host["daemon_json"]
    for path, text in written.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    for path, target in host.get("links", {}).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).symlink_to(target)
    listed = "".join("{:<3}\t{}\t{}\n".format(*line.split()) for line in host.get("packages", []))
    engine = container_engine.observe(Engine(host), str(root))
    seen = {
        **facts(gpus=host.get("gpus", False), installed=installed.parsed(listed)),
        "unfinished_packages": installed.unfinished(listed),
        "engine": {**engine, "settings": observed.observe(Files(str(root)).read)},
    }
    variables = {
        name: value
        for name, value in asked(**host.get("stated", {})).items()
        if name in container_runtime_plan.ARGUMENTS
    }
    task = mock.Mock(args={"facts": seen, **variables}, async_val=0, check_mode=True, diff=False, delegate_to=None)
    made: t.Any = container_runtime_plan.ActionModule(task, *(mock.Mock() for _port in range(5)))
    return {**t.cast(Json, made.run(task_vars={})), "seen": seen["engine"]["settings"]}


@pytest.mark.parametrize("host", HOSTS, ids=[host["kind"] for host in HOSTS])
def test_a_host_as_it_is(host: Json, tmp_path: pathlib.Path) -> None:
    made, expect = planned(copy.deepcopy(host), tmp_path), host["expect"]
    for what in ("errors", "warnings"):
        said, wanted = " ".join(made[what]), expect.get(what, [])
        assert [text for text in wanted if text not in said] == [], made[what]
        assert bool(made[what]) == bool(wanted), made[what]
    assert made.get("failed", False) == ("errors" in expect)
    assert all(any(text in one for one in made["missing"]) for text in expect.get("missing", [])), made["missing"]
    assert made["right"] == expect.get("right", False), made["missing"]
    for result, stated in (("settings", "sets"), ("packages", "packages"), ("origin", "origin")):
        assert made[result] == expect.get(stated, made[result])
    # A plan that does not fail says all that it will do.
    assert "errors" in expect or ("sets" in expect and made["packages"] == expect.get("packages", []))


@pytest.mark.parametrize("host", [host for host in HOSTS if "sets" in host["expect"]], ids=lambda host: host["kind"])
def test_nothing_of_a_host_is_lost(host: Json, tmp_path: pathlib.Path) -> None:
    made = planned(copy.deepcopy(host), tmp_path)
    values = made["seen"]["values"]
    merged = daemon_json.merge(values, {}, made["settings"])
    assert merged.conflicts == ()
    assert daemon_json.satisfied(merged.config, values)


def test_kinds_are_told_apart() -> None:
    kinds = [host["kind"] for host in HOSTS]
    assert len(set(kinds)) == len(kinds)
