# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a host shows of its hardware, written to .lab/hosts/<name> from the host's description.

gpu.ini        the description; NVML reads it at every call, so a change shows at once
lib/           libnvidia-ml.so.<driver version>, where a driver is installed
pci/           mounted over /sys/bus/pci/devices
proc-driver/   mounted over /proc/driver, where a driver is loaded
sys-module/    laid over /sys/module, where a driver is loaded
cdi/           mounted at /etc/cdi
daemon.json    the Docker engine's configuration at the first boot
container.conf mounted in /etc/tmpfiles.d: what systemd tells of being in a container
"""

from __future__ import annotations

import json
import pathlib
import shutil

from lab.gpu import cdi, description, pci
from lab.tools import LAB, WORK, LabError, digest, run, work_directory

SOURCES = tuple(
    LAB / "gpu" / name for name in ("fake_nvml.c", "fake_nvml_links.c", "description.c", "fake_nvml.h", "description.h")
)
CC = (
    "cc",
    "-O1",
    "-std=c11",
    "-D_DEFAULT_SOURCE",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-format-truncation",
    "-fPIC",
    "-shared",
)


def build_library(directory: pathlib.Path | None = None) -> pathlib.Path:
    """Compile the simulated NVML unless it is there, and return where it is."""
    target = (directory or work_directory("nvml")) / f"libnvidia-ml-{digest(*SOURCES)}.so"
    if not target.exists():
        code = [path for path in SOURCES if path.suffix == ".c"]
        run(*CC, "-Wl,-soname,libnvidia-ml.so.1", "-o", target, *code)
    return target


def _daemon(host: description.Section, registry: str) -> dict[str, object]:
    config: dict[str, object] = {"insecure-registries": [registry]}
    return {**config, "features": {"cdi": True}} if has_cdi(host) else config


def has_cdi(host: description.Section) -> bool:
    return host.get("cdi", "yes" if host.of("gpu") and host.get("driver_version") else "no") == "yes"


def _write_text(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _tmpfiles(host: description.Section) -> str:
    """A host passes for a machine, or for the container that its description says. Of Docker it shall not know."""
    mark, kind = "/run/systemd/container", host.get("container")
    return f"F {mark} 0644 root root - {kind}\n" if kind else f"r! {mark}\n"


def _write_driver(host: description.Section, to: pathlib.Path) -> None:
    installed, loaded = host.get("driver_version"), host.get("module_version", host.get("driver_version"))
    if installed:
        library = to / "lib" / f"libnvidia-ml.so.{installed}"
        library.parent.mkdir(parents=True)
        shutil.copy(build_library(), library)
    if loaded and loaded != "none":
        banner = f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {loaded}  Release Build\nGCC version:\n"
        _write_text(to / "proc-driver" / "nvidia" / "version", banner)
        _write_text(to / "sys-module" / "nvidia" / "version", f"{loaded}\n")


def write(name: str, of: str, registry: str) -> pathlib.Path:
    """Write the hardware of a host anew and return its directory."""
    try:
        host = description.read(of)
    except ValueError as error:
        raise LabError(str(error)) from error
    remove(name)
    to = work_directory("hosts", name)
    shutil.copy(description.HOSTS / f"{of}.ini", to / "gpu.ini")
    for device in pci.devices(host):
        pci.write(device, to / "pci")
    _write_driver(host, to)
    (to / "cdi").mkdir()
    if has_cdi(host):
        _write_text(to / "cdi" / "nvidia.yaml", cdi.render(host))
    _write_text(to / "container.conf", _tmpfiles(host))
    _write_text(to / "daemon.json", json.dumps(_daemon(host, registry), indent=4) + "\n")
    return to


def remove(name: str) -> None:
    shutil.rmtree(WORK / "hosts" / name, ignore_errors=True)
