# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that is only stated is planned for as a bare one, and all that is wrong with it is told at once."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._bundling import system, wanted
from ansible_collections.gpufleet.vllm.plugins.module_utils._driver.plan import plan as plan_driver
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime.plan import managed
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._driver import machines
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._runtime import hosts

Json = dict[str, t.Any]
KERNEL = "6.12.48+deb13-amd64"


def facts(**stated: t.Any) -> t.Any:
    errors: list[str] = []
    found = system.facts({"distribution": "debian", "version": "13", **stated}, errors)
    assert errors == []
    return found


def sets(found: t.Any, archive: Json | None = None, errors: list[str] | None = None, **asked: t.Any) -> t.Any:
    """What is to come for a host with these facts, by the plans of its roles."""
    of_driver = {name: value for name, value in asked.items() if name in ("origin", "branch")}
    driver = plan_driver(found, {"manage": True, **of_driver})
    runtime = managed(found, hosts.asked(**{k: v for k, v in asked.items() if k not in ("origin", "branch")}))
    assert driver.errors == [] and runtime.errors == []
    return wanted.sets(
        found["os"], driver.as_json(), runtime.as_result(), archive or {}, [] if errors is None else errors
    )


@pytest.mark.parametrize("name", [name for name in machines.SYSTEMS if not name.startswith("el")])
def test_every_system_is_planned_as_if_it_had_been_looked_at(name: str) -> None:
    distribution, version, codename, kernel = machines.SYSTEMS[name]
    found = facts(distribution=distribution, version=version, kernel=kernel, gpus=["10de:2503"])
    assert found["os"]["codename"] == codename
    looked_at = plan_driver(machines.facts(name), {"manage": True})
    stated = plan_driver(found, {"manage": True})
    assert stated.errors == [] and stated.details["apply"] == looked_at.details["apply"]
    assert stated.details["repositories"] == looked_at.details["repositories"]
    of_gpus = managed(hosts.facts(distribution, version, gpus=True), hosts.asked())
    runtime = managed(found, hosts.asked())
    assert (runtime.packages, runtime.repositories) == (of_gpus.packages, of_gpus.repositories)


def test_without_gpus_there_is_no_driver() -> None:
    (found,) = sets(facts())
    assert found["packages"] == ["docker.io", "docker-cli", "python3-apt"] and found["first"] == []
    archive, security = found["sources"]
    assert (archive["uris"], archive["suites"]) == (["http://deb.debian.org/debian"], ["trixie", "trixie-updates"])
    assert (security["suites"], security["components"]) == (["trixie-security"], ["main"])
    assert archive["keyrings"] == [f"/usr/share/keyrings/debian-archive-keyring.{end}" for end in ("gpg", "pgp")]


def test_a_driver_of_nvidias_comes_with_its_repository_and_what_pins_it() -> None:
    driver, runtime = sets(facts(kernel=KERNEL, gpus=["0x2684"]))
    assert driver["first"] == ["nvidia-driver-pinning-580"] and f"linux-headers-{KERNEL}" in driver["packages"]
    source = driver["sources"][-1]
    assert source["suites"] == ["/"] and source["fingerprints"] == ["02182E60104FCDC26EAE1B8597A5D4CB8793F200"]
    assert "Pin: release o=Debian" in driver["preferences"]["gpufleet-nvidia-driver-branch.pref"]
    assert runtime["packages"][-2:] == ["libnvidia-container1=1.20.1-1", "python3-apt"]
    pins = runtime["preferences"]["nvidia-container-toolkit.pref"]
    assert "Pin: version 1.20.1-1\nPin-Priority: 1001" in pins


def test_a_driver_of_the_distributions_takes_its_components() -> None:
    driver, _runtime = sets(facts(kernel=KERNEL, gpus=["10DE:2503"]), origin="distribution", branch=550)
    assert driver["sources"][0]["components"] == ["main", "contrib", "non-free", "non-free-firmware"]
    assert len(driver["sources"]) == 2 and "nvidia-smi" in driver["packages"]


def test_docker_of_ubuntus_is_in_universe_and_other_architectures_elsewhere() -> None:
    (found,) = sets(facts(distribution="ubuntu", version="24.04", architecture="aarch64"))
    assert found["architecture"] == "arm64" and found["system"] == "ubuntu-24.04-arm64"
    assert found["sources"][0]["components"] == ["main", "universe"]
    assert {uri for one in found["sources"] for uri in one["uris"]} == {"http://ports.ubuntu.com/ubuntu-ports"}
    assert found["sources"][0]["keyrings"] == ["/usr/share/keyrings/ubuntu-archive-keyring.gpg"]


def test_a_mirror_takes_the_archives_place() -> None:
    stated = {"url": "https://m/debian", "security_url": "https://m/security", "keyring": "/etc/keys.gpg"}
    (found,) = sets(facts(), archive=stated)
    assert [one["uris"] for one in found["sources"]] == [["https://m/debian"], ["https://m/security"]]
    assert found["sources"][0]["keyrings"] == ["/etc/keys.gpg"]


def test_an_address_that_apt_would_not_take_is_refused() -> None:
    errors: list[str] = []
    sets(facts(), archive={"url": "https://u:hidden@m/debian", "security_url": "ftp://m"}, errors=errors)
    assert len(errors) == 2 and "hidden" not in " ".join(errors)
    assert (
        "Repository archive: uris has" in errors[0] and "Repository archive-security: uris has 'ftp://m'" in errors[1]
    )


def test_a_host_that_is_right_needs_nothing_and_one_of_dnf_is_refused() -> None:
    errors: list[str] = []
    assert wanted.sets({"id": "rocky"}, {}, {"packages": [], "manager": "dnf"}, {}, errors) == [] == errors
    about = {"id": "rocky", "name": "Rocky Linux 9.6", "architecture": "x86_64"}
    assert wanted.sets(about, {}, {"packages": ["docker-ce"], "manager": "dnf"}, {}, errors) == []
    assert "The host runs Rocky Linux 9.6, and packages come into a bundle for Debian and Ubuntu" in errors[0]
    assert "set vllm_bundle_packages to false" in errors[0]


def test_all_that_is_wrong_is_told_at_once() -> None:
    errors: list[str] = []
    stated = {"distribution": "rocky", "version": "9", "architecture": "s390x", "gpus": ["1002:744c", "10de:2503"]}
    system.facts({**stated, "kernel": "a b"}, errors)
    assert [one.split(" ", 1)[0] for one in errors] == [
        *("vllm_bundle_system", "vllm_bundle_system.architecture", "vllm_bundle_system.gpus"),
        "vllm_bundle_system.kernel",
    ]
    assert "expected one of debian 12, debian 13, ubuntu 22.04" in errors[0] and "'1002:744c'" in errors[2]


def test_gpus_take_a_kernel_and_are_bounded() -> None:
    errors: list[str] = []
    system.facts({"distribution": "debian", "version": "13", "gpus": ["0x2684"] * 65}, errors)
    assert "no host has more than 64" in errors[0]
    assert "vllm_bundle_system.kernel is '', expected the release of the kernel" in errors[1]


@pytest.mark.parametrize(
    "stated, said",
    [
        # As YAML reads 0x2684 without quotes.
        ({"gpus": [9860]}, "vllm_bundle_system.gpus has '9860', expected a PCI id of NVIDIA's such as 10de:2684"),
        ({"kernel": "6.12.48+deb13-"}, "vllm_bundle_system.kernel is '6.12.48+deb13-', expected the release"),
        ({"nvswitches": -1}, "vllm_bundle_system.nvswitches is -1, expected a number from 0 to 64"),
        ({"nvswitches": 10**9}, "vllm_bundle_system.nvswitches is 1000000000, expected a number from 0 to 64"),
    ],
)
def test_what_would_mean_something_else_is_refused(stated: dict[str, t.Any], said: str) -> None:
    errors: list[str] = []
    system.facts({"distribution": "debian", "version": "13", "kernel": KERNEL, **stated}, errors)
    assert len(errors) == 1 and errors[0].startswith(said)
