# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host lacks to run containers, with GPUs where it has some, and what brings it there.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._docker.container_engine import EngineFact
from .._gpu.fact import Facts
from .._outside.documents import Json
from .._prepare.installed import Package
from . import engine, kinds, toolkit
from .distributions import Platform, known, platform
from .settled import settle

# MiB that engine and toolkit take, with the packages as they come.
FREE_MIB = 1024
DOCKER_DIR = "/var/lib/docker"


@dataclass
class Plan:
    """`errors` cannot be done; `missing` is not as it shall be, a sentence each; the rest is how it becomes so.

    `warnings` are to be known, and nothing is done about them here. `unseen`: only the host can compare settings.
    `without_gpus` are running containers that lost GPUs, or of which that could not be found out.
    """

    errors: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    manager: str = ""
    origin: str = ""
    repositories: list[Json] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    prerequisites: list[str] = field(default_factory=list)
    settings: Json = field(default_factory=dict)
    unseen: bool = False
    toolkit: bool = False
    without_gpus: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        return not (self.errors or self.missing)

    def as_result(self) -> Json:
        return {**vars(self), "right": self.right}


def has_gpus(facts: Facts) -> bool:
    """Whether containers shall use GPUs here: NVIDIA's, and not given away to a virtual machine.

    Under WSL2 a GPU is on no PCI bus, and NVML lists it.
    """
    on_bus = any(device.get("supported") and device.get("driver") != "vfio-pci" for device in facts.get("pci") or [])
    return on_bus or bool(facts.get("gpus"))


def _without_gpus(facts: Facts) -> list[str]:
    given = facts["engine"].get("gpu_containers") or []
    return [container["name"] for container in given if container["lost"] or container["problem"]]


def looked_at(facts: Facts) -> Plan:
    """What is missing on a host that somebody else prepares, and which variable would let us bring it."""
    plan = Plan(toolkit=has_gpus(facts), without_gpus=_without_gpus(facts))
    found = facts["engine"]
    unlock = "set container_runtime_manage to true, or"
    other = kinds.objection(facts, "apt")
    plan.warnings += kinds.warnings(found)
    if other:
        plan.warnings.append(other)
    elif not found["running"]:
        plan.missing.append(f"{found['problem']} To have it done by this role, set container_runtime_manage to true.")
    elif plan.toolkit and not found["nvidia_runtime"] and not (found["cdi"] and found["cdi_devices"]):
        plan.missing.append(f"Containers cannot use the GPUs: {unlock} {_way_to_gpus(found)}.")
    unsafe = toolkit.unsafe(facts["packages"])
    if unsafe:
        plan.missing.append(
            f"The NVIDIA container toolkit is {unsafe}, in which a container can break out of its bounds: {unlock} "
            "install 1.20.1."
        )
    return plan


def _way_to_gpus(found: EngineFact) -> str:
    if not engine.has_cdi(found["version"]):
        return f"replace Docker {found['version']} by 26.1 or later and install NVIDIA's container toolkit"
    if not found["cdi"]:
        return "switch features.cdi on in daemon.json and restart Docker"
    return "install NVIDIA's container toolkit and start nvidia-cdi-refresh.service, which describes the GPUs"


def managed(facts: Facts, asked: Json) -> Plan:
    """What brings the host to what the variables ask for. Every mistake is told, not only the first."""
    gpus = has_gpus(facts)
    plan = Plan(toolkit=gpus, without_gpus=_without_gpus(facts), warnings=kinds.warnings(facts["engine"]))
    on = platform(facts["os"])
    if on is None:
        seen = facts["os"]
        plan.errors.append(
            f"This host runs {seen['name'] or 'an unknown system'} on {seen['architecture']}, expected {known()} "
            "on x86_64 or aarch64: prepare it yourself and set container_runtime_manage to false."
        )
    else:
        plan.manager = on.distribution.manager
    other = kinds.objection(facts, plan.manager)
    if other:
        plan.errors.append(other)
    settled = settle(facts, asked, gpus)
    plan.errors += settled.errors
    plan.warnings += settled.warnings
    plan.settings, plan.unseen = settled.settings, settled.unseen
    if on is None or other:
        return plan
    _docker(plan, facts, asked, on)
    if gpus:
        _toolkit(plan, facts, asked, on)
    _unfinished(plan, facts)
    plan.missing += settled.missing
    if gpus and not plan.missing:
        _devices(plan, facts)
    if plan.packages:
        _before_installing(plan, facts, asked)
    else:
        plan.repositories = []
    return plan


def _unfinished(plan: Plan, facts: Facts) -> None:
    """What dpkg did not finish stops apt, and may be why Docker does not run."""
    left = facts.get("unfinished_packages") or {}
    if not left:
        return
    told = ", ".join(f"{name} is {state}" for name, state in sorted(left.items()))
    broken = [name for name, state in sorted(left.items()) if state == "half-installed"]
    again = f" and apt-get install --reinstall {' '.join(broken)}" if broken else ""
    said = (
        f"dpkg did not finish an installation: {told}. Finish it with dpkg --configure -a{again}, which says what "
        "stands in its way, and run this again."
    )
    in_the_way = plan.packages or not facts["engine"]["running"]
    (plan.errors if in_the_way else plan.warnings).append(said)


def _docker(plan: Plan, facts: Facts, asked: Json, on: Platform) -> None:
    present = engine.installed_origin(facts["packages"])
    found = facts["engine"]
    if found["name"] and not present:
        # Docker from no package, for instance unpacked by hand: it is there, and nobody replaces it.
        plan.origin = "other"
    else:
        plan.origin, objection = engine.origin(asked["origin"], facts["packages"], plan.toolkit, on)
        if objection:
            plan.errors.append(objection)
        _docker_packages(plan, facts, asked, on)
    if found["running"] and plan.toolkit and not plan.packages and not engine.has_cdi(found["version"]):
        plan.errors.append(
            f"Docker {found['version']} cannot give GPUs to containers by CDI, expected 26.1 or later: upgrade it, or "
            f"state a later container_runtime_docker_version. {engine.KEEP}."
        )
    if found["name"] and not found["running"]:
        plan.missing.append(found["problem"])


def _docker_packages(plan: Plan, facts: Facts, asked: Json, on: Platform) -> None:
    version = asked["docker_version"] if plan.origin == "docker" else ""
    if asked["docker_version"] and plan.origin == "distribution":
        plan.errors.append(
            f"container_runtime_docker_version is {asked['docker_version']} and Docker comes from the distribution, "
            "which has one version only: remove it, or set container_runtime_origin to docker."
        )
    due = [
        package
        for package in engine.packages(plan.origin, on)
        if not _is_there(facts["packages"], package, version if package.startswith("docker-ce") else "")
    ]
    if due:
        plan.missing.append(f"Docker is to be installed: {', '.join(due)}.")
    plan.packages += [_exact(package, version, on) if package.startswith("docker-ce") else package for package in due]
    if plan.origin == "docker":
        plan.repositories.append(engine.repository(on, version, asked["docker_repository"]))


def _is_there(packages: dict[str, Package], name: str, version: str) -> bool:
    found = packages.get(name)
    return (
        found is not None and found["version"].rpartition(":")[2].startswith(version) if version else found is not None
    )


def _exact(package: str, version: str, on: Platform) -> str:
    if not version:
        return package
    return f"{package}=5:{version}*" if on.distribution.manager == "apt" else f"{package}-{version}*"


def _toolkit(plan: Plan, facts: Facts, asked: Json, on: Platform) -> None:
    version = asked["toolkit_version"]
    objection = toolkit.objection(version)
    if objection:
        plan.errors.append(objection)
        return
    plan.repositories.append(toolkit.repository(on, version, asked["toolkit_repository"]))
    have = {name: facts["packages"].get(name, {}).get("version") for name in toolkit.PACKAGES}
    if set(have.values()) == {version}:
        return
    plan.missing.append(f"NVIDIA's container toolkit is to be at {version}: {', '.join(_versions(have))}.")
    # Always all four: they only work together.
    sign = "=" if on.distribution.manager == "apt" else "-"
    plan.packages += [f"{name}{sign}{version}" for name in toolkit.PACKAGES]


def _versions(have: t.Mapping[str, str | None]) -> list[str]:
    return [f"{name} {version or 'is not installed'}" for name, version in have.items()]


def _devices(plan: Plan, facts: Facts) -> None:
    """With everything in place, Docker lists the GPUs of a driver that works."""
    found = facts["engine"]
    if facts["state"] == "healthy" and not (found["cdi"] and found["cdi_devices"]):
        plan.missing.append(
            "Docker lists no GPU: see what systemctl status nvidia-cdi-refresh.service says, which describes the GPUs."
        )


def _before_installing(plan: Plan, facts: Facts, asked: Json) -> None:
    """What must hold before packages are touched."""
    plan.errors += [
        f"{disk['path']} has {disk['free_mib']} MiB free, expected {FREE_MIB} for Docker's packages: make room."
        for disk in facts["disk"]
        if disk["path"] == DOCKER_DIR and disk["free_mib"] is not None and disk["free_mib"] < FREE_MIB
    ]
    losers = facts["engine"].get("legacy_gpu_containers") or []
    if losers:
        plan.errors.append(
            f"{', '.join(losers)} have their GPUs through NVIDIA's legacy hook, and installing packages makes systemd "
            "reload, which takes them away: stop these containers first (docker stop), and create them again with CDI "
            "devices afterwards (docker run --device nvidia.com/gpu=all)."
        )
    if not asked["add_repositories"]:
        plan.repositories = []
    if plan.manager == "apt" and any("https://" in uri for one in plan.repositories for uri in one["apt"]["uris"]):
        plan.prerequisites = ["ca-certificates"]
