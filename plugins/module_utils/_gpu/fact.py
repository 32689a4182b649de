# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a host as types: what `facts.gather` brings and everything above reads.

They are registered by one task and read by another, perhaps by one of an inventory's facts cache: whoever reads what
was not always there asks for it with `get`. None is what nobody knows. Sizes are MiB.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._docker.container_engine import EngineFact, ImageFact
from .._docker.sockets import Listening
from .._outside.documents import Json
from .._prepare.installed import Package


class Os(t.TypedDict, total=False):
    """`container` is what the host is a container of, None for a machine."""

    id: str | None
    version: str | None
    codename: str | None
    name: str | None
    architecture: str
    kernel: str
    container: str | None


class Boot(t.TypedDict, total=False):
    """The kernel of the next boot, and what is there for it."""

    kernel: str | None
    driver_module: bool
    headers: bool
    secure_boot: bool | None
    module_key_enrolled: bool


class Prepared(t.TypedDict):
    """What the role nvidia_driver left: the digest of its plan, and whether its files are as it left them."""

    digest: str
    intact: bool


class Daemons(t.TypedDict, total=False):
    """The driver's daemons."""

    persistence_unit: bool
    fabric_manager_unit: bool
    prepared: Prepared | None


class Slice(t.TypedDict):
    """A GPU that is a slice of a hypervisor's, and the driver of its host where it says."""

    host_driver: str | None


class Driver(Daemons, total=False):
    """The NVIDIA driver: as NVML says, as it is loaded, and as it lies on disk."""

    version: str | None
    cuda_version: str | None
    module_version: str | None
    library_version: str | None
    open_modules: bool | None
    brought_by: str | None
    origins: dict[str, list[str]]
    vgpu: Slice | None


class Memory(t.TypedDict, total=False):
    """The memory of a host."""

    total: int | None
    available: int | None
    free: int | None


class GpuMemory(t.TypedDict, total=False):
    """`source` is nvml, or meminfo where GPU and host share one memory."""

    total: int | None
    free: int | None
    used: int | None
    reserved: int | None
    source: str


class MigDevice(t.TypedDict, total=False):
    """A part of a GPU."""

    uuid: str | None
    index: int
    memory_mib: int | None


class Mig(t.TypedDict, total=False):
    """`mode` and `pending` are enabled, disabled or unsupported."""

    mode: str
    pending: str
    devices: list[MigDevice]


class Process(t.TypedDict, total=False):
    """A process that holds memory of a GPU."""

    pid: int
    name: str | None
    memory_mib: int | None


class Xid(t.TypedDict, total=False):
    """The driver's errors of a GPU since boot: how many, the last one and its time, and which there were."""

    count: int
    last: int | None
    at: str | None
    codes: list[int]


class Gpu(t.TypedDict, total=False):
    """A GPU as NVML describes it; `uuid` is None for one that does not answer. `problems` are sentences."""

    index: int
    uuid: str | None
    name: str | None
    pci_id: str | None
    memory_mib: GpuMemory
    compute_capability: str | None
    mig: Mig
    ecc: bool | None
    power_limit_w: int | None
    persistence: bool | None
    processes: list[Process]
    recovery_action: str | None
    xid: Xid | None
    problems: list[str]


# `class` is no name of a class's attribute.
_Class = t.TypedDict("_Class", {"class": str}, total=False)


class Pci(_Class, total=False):
    """A graphics processor on the PCI bus. Ids are hexadecimal texts as sysfs shows them."""

    slot: str
    vendor: str
    vendor_name: str
    device: str
    subsystem: str
    driver: str | None
    numa_node: int | None
    supported: bool


class Pair(t.TypedDict):
    """Two GPUs by their index, their common ancestor, and how many NVLinks there are between them."""

    a: int
    b: int
    ancestor: str | None
    nvlinks: int


class Disk(t.TypedDict):
    """Size and free space where a path is."""

    path: str
    total_mib: int | None
    free_mib: int | None


class Facts(t.TypedDict, total=False):
    """The facts of a host. `instances` are `_state.observed.Observed`, of a room above, as `_plan` reads them."""

    state: str
    advice: str
    os: Os
    machine: str | None
    boot: Boot
    packages: dict[str, Package]
    unfinished_packages: dict[str, str]
    pci: list[Pci]
    driver: Driver
    nvswitches: list[str]
    gpus: list[Gpu]
    topology: list[Pair]
    engine: EngineFact
    disk: list[Disk]
    memory_mib: Memory
    systemd: bool
    listening: list[Listening]
    images: dict[str, ImageFact | None]
    instances: t.Sequence[t.Mapping[str, t.Any]]
    measurements: list[Json]
