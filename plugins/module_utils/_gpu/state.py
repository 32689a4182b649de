# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a host's GPUs, judged from what the bus, the kernel and NVML say, with advice.

The judgement is a table: the first row that applies names the state and says what to do.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import nvml
from .fact import Gpu
from .pci import PciGpu
from .report import Report
from .surroundings import WSL

NOUVEAU = "nouveau"


@dataclass(frozen=True)
class Observed:
    """What is known about a host's GPUs."""

    pci: tuple[PciGpu, ...]
    module: str | None
    library: str | None
    report: Report
    container: str | None = None

    @property
    def ours(self) -> list[PciGpu]:
        """NVIDIA GPUs that are this host's to use."""
        return [gpu for gpu in self.pci if gpu.supported and not gpu.passed_through]

    @property
    def foreign(self) -> list[PciGpu]:
        return [gpu for gpu in self.pci if not gpu.supported and not gpu.integrated and not gpu.passed_through]

    @property
    def passed_through(self) -> list[PciGpu]:
        return [gpu for gpu in self.pci if gpu.passed_through]

    @property
    def under_nouveau(self) -> list[PciGpu]:
        return [gpu for gpu in self.ours if gpu.driver == NOUVEAU]

    @property
    def without_driver(self) -> list[PciGpu]:
        return [gpu for gpu in self.ours if gpu.driver is None]

    @property
    def unlisted(self) -> list[PciGpu]:
        """On the bus, and not among the GPUs that NVML lists. A container sees the whole bus of its host."""
        if self.container:
            return []
        listed = {gpu["pci_id"] for gpu in self.report.gpus}
        return [gpu for gpu in self.ours if gpu.slot not in listed]

    @property
    def library_absent(self) -> bool:
        return self.report.error == nvml.LIBRARY_NOT_FOUND

    @property
    def mismatch(self) -> bool:
        if self.report.error == nvml.LIB_RM_VERSION_MISMATCH:
            return True
        known = self.module is not None and self.library is not None
        return self.report.error is not None and known and self.module != self.library


Condition = t.Callable[[Observed], t.Any]


@dataclass(frozen=True)
class Row:
    when: Condition
    state: str
    advice: str


ROWS = (
    Row(
        lambda seen: seen.mismatch and seen.container,
        "driver_library_mismatch",
        "The kernel runs driver {module} of the machine that this container is on, and the library here is {library}: "
        "bring the library to exactly {module}. A reboot does not help.",
    ),
    Row(
        lambda seen: seen.mismatch,
        "driver_library_mismatch",
        "The kernel runs driver {module} and the library on disk is {library}: the driver was upgraded under the "
        "running kernel. Reboot the host, and keep automatic upgrades away from the driver's packages.",
    ),
    Row(
        lambda seen: seen.report.answering and (seen.report.lost or seen.unlisted),
        "gpu_lost",
        "{answering} of {all} GPUs answer, silent: {silent}. Look for 'NVRM: Xid' in the kernel log, check power and "
        "seat of the card, and power the host off and on.",
    ),
    Row(lambda seen: seen.report.answering, "healthy", ""),
    Row(
        lambda seen: seen.report.lost or seen.report.error == nvml.GPU_IS_LOST,
        "gpu_lost",
        "No GPU answers, silent: {silent}. Look for 'NVRM: Xid' in the kernel log, check power and seat of the cards, "
        "and power the host off and on.",
    ),
    Row(
        lambda seen: seen.container == WSL and seen.library_absent,
        "no_gpu",
        "WSL2 shows no NVIDIA GPU: install NVIDIA's driver in Windows (none here) and run `wsl --shutdown` there, or "
        "give the host the class cpu.",
    ),
    Row(
        lambda seen: seen.container == WSL,
        "driver_not_loaded",
        "NVML does not start: {words}. The driver of WSL2 is that of Windows: update it there, run `wsl --shutdown`, "
        "and remove Linux packages of a driver, which hide it.",
    ),
    Row(
        lambda seen: seen.container and seen.ours and seen.module is None,
        "driver_not_loaded",
        "The host is a container ({container}), and no NVIDIA module is loaded: install the driver on the machine that "
        "it runs on.",
    ),
    Row(
        lambda seen: not seen.ours and seen.foreign,
        "unsupported_vendor",
        "Found {foreign}; only NVIDIA GPUs are supported: give the host the class cpu, or an NVIDIA GPU.",
    ),
    Row(
        lambda seen: not seen.ours and (seen.module or not seen.library_absent),
        "driver_without_gpu",
        "An NVIDIA driver is installed and no NVIDIA GPU is on the PCI bus: check power and seat of the card and look "
        "for 'NVRM' in the kernel log, or remove the driver and give the host the class cpu.",
    ),
    Row(
        lambda seen: not seen.ours and seen.passed_through,
        "no_gpu",
        "Every NVIDIA GPU is held for a virtual machine: take its id away from vfio-pci (in /etc/modprobe.d or on the "
        "kernel's command line) and reboot the host, or give the host the class cpu.",
    ),
    Row(
        lambda seen: not seen.ours,
        "no_gpu",
        "No NVIDIA GPU is on the PCI bus: give the host the class cpu, or check power and seat of the card.",
    ),
    Row(
        lambda seen: seen.under_nouveau and seen.library_absent,
        "no_driver",
        "nouveau drives {nouveau} and keeps the NVIDIA driver away: install the NVIDIA driver, whose packages "
        "blacklist nouveau, and reboot the host.",
    ),
    Row(
        lambda seen: seen.under_nouveau,
        "driver_not_loaded",
        "nouveau drives {nouveau} and keeps the installed NVIDIA driver away: blacklist nouveau, rebuild the initramfs "
        "and reboot the host.",
    ),
    Row(
        lambda seen: seen.library_absent and seen.module,
        "no_driver",
        "The kernel module of driver {module} is loaded and its library libnvidia-ml.so.1 is not installed: install "
        "the driver's compute packages of the same version.",
    ),
    Row(
        lambda seen: seen.library_absent,
        "no_driver",
        "No NVIDIA driver is installed for {ours}: install it with the open kernel modules and reboot the host.",
    ),
    Row(
        lambda seen: seen.report.error == nvml.DRIVER_NOT_LOADED and seen.module is None,
        "driver_not_loaded",
        "The NVIDIA driver is installed and its kernel module is not loaded: reboot the host; if that does not "
        "help, see `dkms status` and `modprobe nvidia`, and enrol the module's key where Secure Boot is on.",
    ),
    Row(
        lambda seen: seen.report.error is not None,
        "driver_not_loaded",
        "NVML does not start: {words}. See whether /dev/nvidiactl exists and look for 'NVRM' in the kernel log.",
    ),
    Row(
        lambda seen: seen.without_driver,
        "driver_without_gpu",
        "Driver {driver} is loaded and does not drive {ours}: install a newer driver branch that knows the card, with "
        "the open kernel modules.",
    ),
    Row(
        lambda seen: True,
        "gpu_lost",
        "The driver lists no GPU, and on the bus there is {ours}. Look for 'NVRM' in the kernel log and power the host "
        "off and on.",
    ),
)

PASSED_THROUGH = "Bound to vfio-pci for a virtual machine, and skipped: {passed}."


def judge(seen: Observed) -> tuple[str, str]:
    """The state of the contract, and what to do; no advice for a healthy host."""
    row = next(row for row in ROWS if row.when(seen))
    words = _words(seen)
    sentences = [row.advice.format(**words)]
    if seen.passed_through:
        sentences.append(PASSED_THROUGH.format(**words))
    return row.state, " ".join(sentence for sentence in sentences if sentence)


def _words(seen: Observed) -> dict[str, t.Any]:
    report = seen.report
    silent = [_silent(gpu) for gpu in report.gpus if gpu["index"] in report.lost]
    return {
        "module": seen.module or "unknown",
        "library": seen.library or "unknown",
        "container": seen.container,
        "driver": report.driver_version or seen.module or "unknown",
        "words": report.words,
        "answering": len(report.answering),
        "all": len(report.gpus) + len(seen.unlisted),
        "silent": ", ".join(silent + [_unlisted(gpu) for gpu in seen.unlisted]) or "all",
        "ours": _labels(seen.ours),
        "foreign": _labels(seen.foreign),
        "nouveau": _labels(seen.under_nouveau),
        "passed": _labels(seen.passed_through),
    }


def _silent(gpu: Gpu) -> str:
    return f"GPU {gpu['index']} ({gpu['pci_id'] or 'unknown slot'})"


def _unlisted(gpu: PciGpu) -> str:
    return f"{gpu.label}, bound to {gpu.driver or 'no driver'}"


def _labels(gpus: t.Iterable[PciGpu]) -> str:
    return ", ".join(gpu.label for gpu in gpus)
