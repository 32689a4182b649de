# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything planning needs to know about a host, in one JSON-shaped value.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .._docker import container_engine, gpu_access, sockets
from .._outside.documents import Json
from .._prepare.installed import Package
from . import driver, host, next_boot, ownership, pci, prepared, report, state, surroundings, xid
from .fact import Driver, Facts, Gpu


@dataclass(frozen=True)
class Ports:
    """The host, as far as it is asked.

    `root` is where /proc, /sys, /run and the disks are; `nvml` is pynvml, or None where the host has no NVML library;
    `instances` observes our own containers, `measurements` is what their starts have measured, `packages` what is
    installed, `unfinished_packages` what dpkg has not finished, `docker_settings` what daemon.json says, `gpu_probe`
    asks whether a container may open its GPU device nodes, `owns` whether a package owns a file, and `origins` where
    packages come from. `image_ids` are those of an image that Docker has no such name for. `kernel_log`
    holds the kernel's lines about errors of GPUs.
    """

    root: str
    nvml: t.Any
    engine: container_engine.Engine
    instances: t.Callable[[], t.Sequence[t.Mapping[str, t.Any]]]
    packages: t.Callable[[], dict[str, Package]] = dict
    unfinished_packages: t.Callable[[], dict[str, str]] = dict
    docker_settings: t.Callable[[], Json] = dict
    gpu_probe: gpu_access.Probe = container_engine.not_probed
    owns: ownership.Owns = ownership.nobody_says
    origins: t.Callable[[t.Collection[str]], dict[str, list[str]]] = lambda names: {}
    kernel_log: t.Callable[[], xid.Lines] = lambda: None
    measurements: t.Callable[[], list[Json]] = list
    image_ids: t.Callable[[str], t.Sequence[str]] = lambda image: ()


def gather(ports: Ports, disk_paths: t.Sequence[str], images: t.Sequence[str]) -> Facts:
    """The facts of a host. Every key is always there: None or an empty list where nothing is known."""
    root = ports.root
    memory = host.memory(root)
    answered = report.read(ports.nvml, memory, host.comm_of(root))
    gpus = pci.find_gpus(root)
    seen = state.Observed(
        pci=tuple(gpus),
        module=driver.module_version(root),
        library=driver.library_version(root) or answered.library_version,
        report=with_slots(answered, gpus),
        container=surroundings.container(root),
    )
    name, advice = state.judge(seen)
    engine = container_engine.observe(ports.engine, root, ports.gpu_probe)
    system = host.operating_system(root)
    boots, packages = next_boot.observe(root, system["kernel"]), ports.packages()
    return {
        "state": name,
        "advice": advice,
        "os": {**system, "container": seen.container},
        "machine": host.machine(root),
        "boot": boots,
        "packages": packages,
        "unfinished_packages": ports.unfinished_packages(),
        "pci": [gpu.as_fact() for gpu in gpus],
        "driver": _driver(ports, seen, packages, boots["driver_module"]),
        "nvswitches": pci.nvswitches(root),
        # The log that a container sees is not that of the kernel it runs on.
        "gpus": xid.told(seen.report.gpus, None if seen.container or not seen.report.gpus else ports.kernel_log()),
        "topology": list(answered.topology),
        "engine": {**engine, "settings": ports.docker_settings()},
        "disk": host.disks(disk_paths, root),
        "memory_mib": memory,
        "systemd": host.runs_systemd(root),
        "listening": sockets.listening(root),
        "images": (
            container_engine.images(ports.engine, images, ports.image_ids)
            if engine["running"]
            else dict.fromkeys(images)
        ),
        "instances": ports.instances(),
        "measurements": ports.measurements(),
    }


def _driver(ports: Ports, seen: state.Observed, packages: t.Iterable[str], module: bool) -> Driver:
    """MODULE: the kernel of the next boot has the module."""
    root, parts = ports.root, [name for name in packages if ownership.is_driver(name)]
    return {
        "version": seen.report.driver_version,
        "cuda_version": seen.report.cuda_version,
        "module_version": seen.module,
        "library_version": seen.library,
        "open_modules": driver.open_modules(root),
        "brought_by": ownership.brought_by(root, seen.container, parts, driver.library_path(root), module, ports.owns),
        "origins": ports.origins(parts),
        "vgpu": surroundings.vgpu(root, [gpu.slot for gpu in seen.ours]),
        **prepared.observe(root),
    }


def with_slots(answered: report.Report, gpus: t.Sequence[pci.PciGpu]) -> report.Report:
    """The report, with the slot of each GPU that could not tell it: NVML counts GPUs in the order of their slots."""
    known = {gpu["pci_id"] for gpu in answered.gpus}
    left = sorted(gpu.slot for gpu in gpus if gpu.supported and not gpu.passed_through and gpu.slot not in known)
    nameless = [gpu for gpu in answered.gpus if gpu["pci_id"] is None]
    if not nameless or len(left) != len(nameless):
        return answered
    slots = dict(zip((gpu["index"] for gpu in nameless), left))
    completed: list[Gpu] = [{**gpu, "pci_id": gpu["pci_id"] or slots[gpu["index"]]} for gpu in answered.gpus]
    return replace(answered, gpus=tuple(completed))
