# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host lacks, and what cannot be done about it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.fact import Facts
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime import engine, plan, settings
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._runtime.hosts import (
    TOOLKIT,
    asked,
    facts,
    packages,
    running,
)

DEBIAN_13 = packages("docker.io=26.1.5+dfsg1-9", "docker-cli=26.1.5+dfsg1-9")
DOCKER_CE = packages(
    "docker-ce=5:29.8.1-1~debian.13~trixie", "docker-ce-cli=5:29.8.1-1~debian.13~trixie", "containerd.io=2.1.5-1"
)


def says(values: dict[str, t.Any], **changed: t.Any) -> dict[str, t.Any]:
    return {"settings": {"values": values, "ours": {}, "pending": False, "problem": "", **changed}}


CPU = settings.wanted(asked(), False).all
GPU = settings.wanted(asked(), True).all
CDI: t.Final[dict[str, t.Any]] = {"cdi": True, "cdi_devices": ["nvidia.com/gpu=all"]}


@pytest.mark.parametrize(
    ("host", "variables"),
    [
        pytest.param(facts(installed=DEBIAN_13, **running(), **says(CPU)), {}, id="the distribution's"),
        pytest.param(facts(installed=DOCKER_CE, **running("29.8.1"), **says(CPU)), {}, id="Docker's"),
        pytest.param(
            facts(installed=DOCKER_CE, **running("29.8.1"), **says(CPU)), {"docker_version": "29.8"}, id="of a version"
        ),
        pytest.param(
            facts(gpus=True, installed={**DEBIAN_13, **TOOLKIT}, **running(**CDI), **says(GPU)), {}, id="with GPUs"
        ),
        pytest.param(facts(**running(), **says(CPU)), {}, id="from no package"),
        pytest.param(
            facts(installed=DEBIAN_13, **running(), **says({**CPU, "debug": True})), {}, id="with settings of others"
        ),
    ],
)
def test_a_host_that_is_right(host: t.Any, variables: dict[str, t.Any]) -> None:
    made = plan.managed(host, asked(**variables))
    assert (made.errors, made.missing, made.packages, made.repositories) == ([], [], [], [])
    assert made.right


@pytest.mark.parametrize(
    ("host", "variables", "missing"),
    [
        (facts(), {}, "Docker is to be installed: docker.io, docker-cli."),
        (
            facts(installed=DEBIAN_13, **running(), **says({})),
            {},
            "daemon.json is to say live-restore, log-driver, log-opts.max-size, log-opts.max-file, default-ulimits",
        ),
        (
            facts(installed=DEBIAN_13, **running(), **says(CPU, pending=True)),
            {},
            "A change of daemon.json was begun and not finished.",
        ),
        (
            facts(installed=DEBIAN_13, **running(), **says({**CPU, "debug": True}, ours={"debug": True})),
            {},
            "daemon.json says debug, which no variable asks for any more.",
        ),
        (
            facts(installed=DEBIAN_13, **says(CPU), name="docker", problem="Docker is installed and does not answer."),
            {},
            "Docker is installed and does not answer.",
        ),
        (
            facts(gpus=True, installed=DEBIAN_13, **running(), **says(GPU)),
            {},
            "NVIDIA's container toolkit is to be at 1.20.1-1: nvidia-container-toolkit is not installed, ",
        ),
        (
            {
                **facts(gpus=True, installed={**DEBIAN_13, **TOOLKIT}, **running(cdi=True), **says(GPU)),
                "state": "healthy",
            },
            {},
            "Docker lists no GPU: see what systemctl status nvidia-cdi-refresh.service says",
        ),
        (
            facts(installed=DOCKER_CE, **running("29.8.1"), **says(CPU)),
            {"docker_version": "29.9"},
            "Docker is to be installed: docker-ce, docker-ce-cli.",
        ),
    ],
)
def test_what_is_missing(host: t.Any, variables: dict[str, t.Any], missing: str) -> None:
    made = plan.managed(host, asked(**variables))
    assert made.errors == []
    assert len(made.missing) >= 1
    assert any(sentence.startswith(missing) for sentence in made.missing), made.missing
    assert not made.right


def test_one_package_of_the_toolkit_at_another_version_brings_all_four() -> None:
    installed = {**DEBIAN_13, **TOOLKIT, "libnvidia-container1": {"version": "1.19.1-1", "held": False}}
    made = plan.managed(facts(gpus=True, installed=installed, **running(**CDI), **says(GPU)), asked())
    assert "libnvidia-container1 1.19.1-1" in made.missing[0]
    assert len(made.packages) == 4


@pytest.mark.parametrize(
    ("host", "variables", "error"),
    [
        (
            facts("fedora", "42"),
            {},
            "This host runs fedora 42 on x86_64, expected debian 12/13, ubuntu 22.04/24.04/26.04",
        ),
        (facts(architecture="riscv64"), {}, "This host runs debian 13 on riscv64"),
        (
            facts("debian", "12", gpus=True),
            {"origin": "distribution"},
            "The Docker of debian 12 cannot give GPUs to containers by CDI: set container_runtime_origin to docker.",
        ),
        (
            facts(
                "debian", "12", gpus=True, installed=packages("docker.io=20.10.24+dfsg1"), **running("20.10.24+dfsg1")
            ),
            {},
            "set container_runtime_origin to docker. To keep it with NVIDIA's runtime, set",
        ),
        (
            facts("rocky", "9.6"),
            {"origin": "distribution"},
            "rocky 9 has no Docker of its own: set container_runtime_origin to docker.",
        ),
        (
            facts(installed=DEBIAN_13, **running()),
            {"origin": "docker"},
            "container_runtime_origin is docker and docker.io is installed: remove it from the host first",
        ),
        (
            facts(installed=DOCKER_CE, **running()),
            {"origin": "distribution"},
            "container_runtime_origin is distribution and docker-ce is installed",
        ),
        (
            facts(),
            {"docker_version": "29.8"},
            "container_runtime_docker_version is 29.8 and Docker comes from the distribution",
        ),
        (
            facts(gpus=True, installed=DOCKER_CE, **running("25.0.3")),
            {},
            "Docker 25.0.3 cannot give GPUs to containers by CDI, expected 26.1 or later",
        ),
        (facts(gpus=True), {"toolkit_version": "1.17.7-1"}, "'1.17.7-1': before 1.17.8 a container can break out"),
        (facts(gpus=True), {"toolkit_version": "1.17.8-1"}, "before 1.18.0 nothing describes the GPUs anew"),
        (facts(gpus=True), {"toolkit_version": "1.19.0-1"}, "the unit of 1.19.0 keeps Docker from starting at boot"),
        (facts(gpus=True), {"toolkit_version": "1.20"}, "expected a version with its package revision"),
        (
            {**facts(), "disk": [{"path": "/var/lib/docker", "total_mib": 900, "free_mib": 300}]},
            {},
            "/var/lib/docker has 300 MiB free, expected 1024 for Docker's packages: make room.",
        ),
        (
            facts(gpus=True, installed=DEBIAN_13, **running(), **says(GPU), legacy_gpu_containers=["other"]),
            {},
            "other have their GPUs through NVIDIA's legacy hook, and installing packages makes systemd reload",
        ),
        (
            facts(installed=DEBIAN_13, **running(), **says({}, problem="daemon.json is no valid JSON (line 1).")),
            {},
            "daemon.json is no valid JSON (line 1).",
        ),
        (
            facts(),
            {"log_max_size": "50 MB"},
            "container_runtime_log_max_size is '50 MB', expected a number with k, m or g",
        ),
        (facts(), {"log_max_files": 0}, "container_runtime_log_max_files is 0, expected at least 1"),
        (facts(), {"nofile": -1}, "container_runtime_nofile is -1, expected 0 or more"),
        (facts(), {"data_root": "docker"}, "container_runtime_data_root is 'docker', expected an absolute path"),
        (facts(), {"registry_mirrors": ["host:5000"]}, "container_runtime_registry_mirrors has 'host:5000'"),
        (
            facts(),
            {"registry_mirrors": ["ftp://u:p@a@host"]},
            "container_runtime_registry_mirrors has 'ftp://***@host'",
        ),
        (facts(), {"insecure_registries": ["https://u:p@host"]}, "insecure_registries has 'https://***@host'"),
        (facts(), {"insecure_registries": ["http://a"]}, "container_runtime_insecure_registries has 'http://a'"),
        (
            facts(),
            {"daemon_options": {"live-restore": False}, "live_restore": True},
            "container_runtime_daemon_options has live-restore, which container_runtime_live_restore sets",
        ),
        (facts(gpus=True), {"daemon_options": {"features": {"cdi": False}}}, "switches features.cdi off"),
        (facts(), {"daemon_options": {"features": []}}, "has features, expected a mapping"),
    ],
)
def test_what_cannot_be_done(host: t.Any, variables: dict[str, t.Any], error: str) -> None:
    made = plan.managed(host, asked(**variables))
    assert any(error in sentence for sentence in made.errors), made.errors
    assert not made.right


def test_every_mistake_is_told() -> None:
    made = plan.managed(facts(gpus=True), asked(nofile=-1, data_root="x", toolkit_version="1.2", docker_version="29"))
    assert len(made.errors) == 4


def test_a_gpu_that_a_virtual_machine_has_is_none() -> None:
    host: t.Any = {
        **facts(),
        "pci": [{"supported": True, "driver": "vfio-pci"}, {"supported": False, "driver": "amdgpu"}],
    }
    assert plan.has_gpus(host) is False


def test_a_gpu_under_wsl2_is_on_no_bus() -> None:
    bare: Facts = facts()
    assert plan.has_gpus({**bare, "pci": [], "gpus": [{"index": 0}]}) is True
    assert plan.has_gpus({**bare, "pci": [], "gpus": []}) is False


@pytest.mark.parametrize(
    ("variables", "setting"),
    [
        ({"live_restore": False}, {}),
        ({"data_root": "/srv/docker"}, {"data-root": "/srv/docker"}),
        ({"registry_mirrors": ["https://m"]}, {"registry-mirrors": ["https://m"]}),
        ({"insecure_registries": ["m:1"]}, {"insecure-registries": ["m:1"]}),
        ({"cgroup_driver": "systemd"}, {"exec-opts": ["native.cgroupdriver=systemd"]}),
        ({"daemon_options": {"debug": True}}, {"debug": True}),
    ],
)
def test_settings_are_in_the_words_of_daemon_json(variables: dict[str, t.Any], setting: dict[str, t.Any]) -> None:
    nothing = {"live_restore": False, "log_max_size": "0", "nofile": 0}
    assert settings.wanted(asked(**{**nothing, **variables}), False).all == setting


def test_other_features_are_kept_beside_cdi() -> None:
    options = {"features": {"containerd-snapshotter": True}}
    assert settings.wanted(asked(daemon_options=options), True).all["features"] == {
        "containerd-snapshotter": True,
        "cdi": True,
    }


@pytest.mark.parametrize(
    ("host", "missing"),
    [
        (facts(**running()), []),
        (facts(gpus=True, **running(**CDI)), []),
        (facts(gpus=True, **running("20.10.24", nvidia_runtime=True)), []),
        (facts(), ["install Docker. To have it done by this role, set container_runtime_manage to true."]),
        (facts(gpus=True, **running("20.10.24")), ["replace Docker 20.10.24 by 26.1 or later"]),
        (facts(gpus=True, **running()), ["switch features.cdi on in daemon.json and restart Docker"]),
        (facts(gpus=True, **running(cdi=True)), ["install NVIDIA's container toolkit and start nvidia-cdi-refresh"]),
        (
            facts(gpus=True, installed=packages("nvidia-container-toolkit-base=1.17.4-1"), **running(**CDI)),
            ["The NVIDIA container toolkit is 1.17.4-1, in which a container can break out of its bounds"],
        ),
    ],
)
def test_a_host_that_is_only_looked_at(host: t.Any, missing: list[str]) -> None:
    made = plan.looked_at(host)
    assert len(made.missing) == len(missing)
    for sentence, words in zip(made.missing, missing, strict=True):
        assert words in sentence
        assert "container_runtime_manage to true" in sentence
    assert (made.packages, made.repositories, made.settings) == ([], [], {})


@pytest.mark.parametrize(
    ("version", "cdi"),
    [("20.10.24+dfsg1", False), ("26.0.2", False), ("26.1.5+dfsg1", True), ("29.8.1", True), (None, False)],
)
def test_versions_with_cdi(version: str | None, cdi: bool) -> None:
    assert engine.has_cdi(version) is cdi


@pytest.mark.parametrize(
    ("given", "without"),
    [
        ([], []),
        ([{"name": "a", "lost": [], "problem": ""}], []),
        ([{"name": "a", "lost": ["/dev/nvidia0"], "problem": ""}], ["a"]),
        ([{"name": "a", "lost": [], "problem": "it is paused"}, {"name": "b", "lost": [], "problem": ""}], ["a"]),
    ],
)
def test_containers_without_their_gpus_are_nothing_that_is_missing(given: list[t.Any], without: list[str]) -> None:
    host = facts(installed=DEBIAN_13, **running(), **says(CPU), gpu_containers=given)
    for made in (plan.managed(host, asked()), plan.looked_at(host)):
        assert (made.without_gpus, made.right) == (without, True)
