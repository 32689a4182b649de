# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host that a driver is chosen for, read from the facts of gpu_facts.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .._gpu.fact import Facts, Prepared, Slice
from .._gpu.ownership import is_driver
from .._gpu.pci import NVIDIA, PASSTHROUGH
from .._settings.rollout import Settings
from .._state.deadlines import TIMEOUTS, stated
from .._state.observed import Kept, Observed
from .branches import Version, numbers

ENTERPRISE_LINUX = ("rhel", "rocky", "almalinux", "centos", "ol")
# What NVIDIA calls the architectures in the paths of its repositories.
ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "sbsa"}
NO_VERSION = "none"
SUPPORTED = ("debian12", "debian13", "ubuntu22.04", "ubuntu24.04", "ubuntu26.04", "el9", "el10")

# 6.1.0-40-cloud-amd64, 6.12.48+deb13-amd64, 6.8.0-50-generic: what follows the version is the flavour.
_FLAVOUR = re.compile(r"^\d+(?:\.\d+)*(?:[+~][\w.~]+)?(?:-\d+)?-(?P<flavour>[a-z][\w-]*)$")


@dataclass(frozen=True)
class Gpu:
    """A GPU on the PCI bus: slot and device id."""

    slot: str
    device: str


@dataclass(frozen=True)
class Host:
    """What the choice depends on. `system` is one of SUPPORTED, or as the host calls itself; `packages`
    are those of the driver, and whether each is held."""

    state: str
    advice: str
    distribution: str
    system: str
    codename: str
    version: str
    architecture: str
    kernel: str
    boot_kernel: str
    boot_module: bool
    secure_boot: bool
    key_enrolled: bool
    gpus: tuple[Gpu, ...]
    nvswitches: int
    open_modules: bool | None
    prepared: Prepared | None
    packages: t.Mapping[str, bool]
    driver_version: Version
    module_version: str | None
    library_version: str | None
    brought_by: str | None
    container: str | None
    vgpu: Slice | None
    origins: t.Mapping[str, t.Sequence[str]]
    instances: tuple[Observed, ...]
    machine: str | None

    @property
    def family(self) -> str:
        """apt or dnf."""
        return "dnf" if self.system.startswith("el") else "apt"

    @property
    def flavour(self) -> str | None:
        """The flavour of the kernel that boots next, as packages are called after it; None for an own build."""
        match = _FLAVOUR.match(self.boot_kernel)
        return match["flavour"] if match else None

    @property
    def theirs(self) -> bool:
        """Whether somebody else put packages of a driver here."""
        return self.prepared is None and bool(self.packages)

    @property
    def driver_text(self) -> str:
        """The version of the driver that is there, for people."""
        return self.module_version or self.library_version or ".".join(map(str, self.driver_version)) or NO_VERSION

    @property
    def serving(self) -> list[str]:
        """Names of instances whose container runs."""
        return [one["name"] for one in self.instances if (one.get("container") or {}).get("running")]

    @property
    def stop_seconds(self) -> int:
        """How long those may take to end what they have in flight, and then themselves; by their own limits."""
        return max((_stop_seconds(one) for one in self.instances if one["name"] in self.serving), default=0)

    @property
    def changing(self) -> list[str]:
        """Names of instances with a rollout under way."""
        return [one["name"] for one in self.instances if one.get("transaction")]


def _stop_seconds(instance: Observed) -> int:
    current: Kept = instance.get("current") or {}
    settings: Settings = current.get("settings") or {}
    limits = {name: stated(settings, name) for name in ("drain", "stop")}
    own = ((current.get("release") or {}).get("arguments") or {}).get("shutdown_timeout")
    seconds = {name: TIMEOUTS[name] if limit is None else limit for name, limit in limits.items()}
    # The planner may have been told to let any value through.
    drain = max(own, seconds["drain"]) if isinstance(own, (int, float)) else seconds["drain"]
    return int(drain + seconds["stop"])


def read(facts: Facts) -> Host:
    """The host as its facts describe it."""
    system, boot, driver = facts["os"], facts["boot"], facts["driver"]
    distribution, version = system["id"] or "unknown", system["version"] or ""
    seen = t.cast("t.Sequence[Observed]", facts["instances"])
    return Host(
        state=facts["state"],
        advice=facts["advice"],
        distribution=distribution,
        system=_system(distribution, version),
        codename=system["codename"] or "",
        version=version,
        architecture=system["architecture"],
        kernel=system["kernel"],
        boot_kernel=boot["kernel"] or system["kernel"],
        boot_module=boot["driver_module"],
        secure_boot=bool(boot["secure_boot"]),
        key_enrolled=boot["module_key_enrolled"],
        gpus=tuple(
            Gpu(gpu["slot"], gpu["device"])
            for gpu in facts["pci"]
            if gpu["vendor"] == NVIDIA and gpu["driver"] != PASSTHROUGH
        ),
        nvswitches=len(facts["nvswitches"]),
        open_modules=driver["open_modules"],
        prepared=driver["prepared"],
        packages={name: about["held"] for name, about in facts["packages"].items() if is_driver(name)},
        driver_version=numbers(driver["version"] or driver["library_version"] or driver["module_version"] or ""),
        module_version=driver["module_version"],
        library_version=driver["library_version"],
        # Facts that an older release of the collection left in a cache do not have these.
        brought_by=driver.get("brought_by"),
        container=system.get("container"),
        vgpu=driver.get("vgpu"),
        origins=driver.get("origins") or {},
        instances=tuple(seen),
        machine=facts["machine"],
    )


def _system(distribution: str, version: str) -> str:
    major = version.partition(".")[0]
    if distribution in ENTERPRISE_LINUX:
        return f"el{major}"
    return f"{distribution}{version if distribution == 'ubuntu' else major}"
