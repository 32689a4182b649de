# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drivers that are somebody else's: who keeps them, and what has to be typed where to have another one.

Packages over a driver that came another way leave a host with parts of two, and the module of a container, of WSL2 or
of a slice of a GPU is not the host's to choose. Such a driver is left alone where it will do, and refused with the way
out where it will not.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._gpu.surroundings import WSL
from . import choice as choosing
from .branches import numbers, oldest_for
from .driver_options import PREFIX, DriverOptions
from .host import NO_VERSION, Host

# What a distribution's repository calls itself. Ubuntu Pro is UbuntuESM.
DISTRIBUTIONS: t.Final = ("Ubuntu", "UbuntuESM", "UbuntuESMApps", "Debian")
SHOWN = 3
# How a system removes packages, by what it calls itself.
REMOVAL: t.Final = (
    *((name, "apt-get purge") for name in ("debian", "ubuntu", "linuxmint", "pop", "raspbian")),
    *((name, "dnf remove") for name in ("el", "fedora", "amzn", "centos", "mageia", "azurelinux")),
    *((name, "zypper remove") for name in ("opensuse", "sles", "sle")),
    ("arch", "pacman -Rns"),
)
PORTAL = "NVIDIA's licensing portal (ui.licensing.nvidia.com)"
# How a container is given the driver of the machine it runs on, by what that calls itself.
GIVEN: t.Final = {
    "lxc": "on that machine run `incus config set NAME nvidia.runtime=true` (with LXD: `lxc config set NAME "
    "nvidia.runtime=true`) and restart the container, or here ",
    "docker": "start the container with `--gpus all`, or here ",
    "podman": "start the container with `--device nvidia.com/gpu=all`, or here ",
}


@dataclass(frozen=True)
class Keeper:
    """Whose the driver is, and how another one comes, as parts of a sentence.

    `outside`: not even a power limit or an option of its module can be set from here.
    """

    who: str
    way: str
    outside: bool = False


def keeper(host: Host, options: DriverOptions) -> Keeper | None:
    """Who keeps the driver of a host; None where it is the role's to install."""
    if host.container == WSL:
        return _windows(host, options)
    if host.container:
        return _container(host, options)
    if host.vgpu is not None:
        return _vgpu(host, options)
    return {"operator": _operator, "runfile": _runfile, "unknown": _unknown}.get(host.brought_by or "", _packages)(
        host, options
    )


def origin(host: Host) -> str | None:
    """Where somebody else's packages come from, as nvidia_driver_origin calls it; None where that is not one place."""
    known = {_called(name) for name in host.origins if name}
    return known.pop() if host.theirs and len(known) == 1 else None


def lacking(host: Host, options: DriverOptions, fits: bool) -> str:
    """Why the driver that is there will not do, in a sentence; empty where it will."""
    version = host.driver_text
    if host.state == "healthy":
        return "" if fits else _unfit(host, options, version)
    return {
        "no_driver": "No NVIDIA library answers on the host.",
        "no_gpu": "No NVIDIA library answers on the host.",
        "driver_not_loaded": "No driver is loaded." if version == NO_VERSION else f"Driver {version} is not loaded.",
        "driver_without_gpu": f"Driver {version} does not drive the GPU.",
        "driver_library_mismatch": f"The kernel runs driver {host.module_version} and the library is of "
        f"{host.library_version}.",
    }.get(host.state, "")


def _unfit(host: Host, options: DriverOptions, version: str) -> str:
    if options.branch is not None:
        return f"{PREFIX}branch is {options.branch}, and driver {version} runs."
    wrong = choosing.unfit(host, options, host.driver_version)
    if not wrong and host.open_modules is False:
        wrong = ["a GPU takes the open kernel modules, and the proprietary ones are loaded"]
    return f"Driver {version} will not do: {'; '.join(wrong)}."


def needed(host: Host, options: DriverOptions) -> str:
    """The driver that would do, as somebody would look for it."""
    if options.branch is not None:
        return f"driver {options.branch}"
    first = choosing.first(host)
    oldest = (oldest_for(options.cuda) if options.cuda else None) or 0
    last = choosing.last_branch(host)
    newer = f"or newer, up to branch {last}" if last else "or newer"
    if first and first >= (oldest,):
        return f"driver {choosing.dotted(first)} {newer}"
    return f"driver {oldest} {newer}" if oldest else "a driver that knows the card"


def _windows(host: Host, options: DriverOptions) -> Keeper:
    hiding = f"remove the Linux packages that hide it (`{_removal(host)}`), " if host.packages else ""
    way = (
        f"update NVIDIA's driver in Windows to {needed(host, options)}, run `wsl --shutdown` there, and run this again"
    )
    return Keeper(
        "The driver of WSL2 is that of Windows, and none is installed in Linux",
        f"{hiding}{way}" if hiding else way,
        outside=True,
    )


def _container(host: Host, options: DriverOptions) -> Keeper:
    kind = host.container or ""
    who = f"The host is a container ({kind}), with the kernel module of the machine that it runs on"
    module = host.module_version
    if module is None:
        return Keeper(
            who,
            f"install {needed(host, options)} on that machine, give the container its GPUs, and run this again",
            outside=True,
        )
    too_old = choosing.too_old(host, options, numbers(module)) or (
        options.branch is not None and numbers(module)[:1] != (options.branch,)
    )
    version = "VERSION" if too_old else module
    architecture = "aarch64" if host.architecture == "aarch64" else "x86_64"
    own = f"remove the container's own packages (`{_removal(host)}`) and " if host.packages else ""
    given = (
        f"{GIVEN.get(kind, 'here ')}{own}run `sh NVIDIA-Linux-{architecture}-{version}.run --no-kernel-modules`"
        f"{', with the version that runs there then' if too_old else ''}"
    )
    first = f"upgrade that machine to {needed(host, options)}, and then " if too_old else ""
    return Keeper(
        who, f"{first}give the container the libraries of exactly {'it' if too_old else module}: {given}", outside=True
    )


def _vgpu(host: Host, options: DriverOptions) -> Keeper:
    manager = host.vgpu.get("host_driver") if host.vgpu else None
    known = f", and the hypervisor runs {manager}" if manager else ""
    older = bool(manager) and choosing.too_old(host, options, numbers(str(manager)))
    first = "have the hypervisor's driver upgraded first, then " if older else ""
    return Keeper(
        f"The GPU is a vGPU, which takes the guest driver (GRID) of the hypervisor's release and no other{known}",
        f"{first}get {needed(host, options)} as guest driver from {PORTAL} or your cloud provider, install it by hand, "
        "and run this again",
        outside=True,
    )


def _operator(host: Host, options: DriverOptions) -> Keeper:
    return Keeper(
        "The driver is kept in a container by NVIDIA's GPU Operator (/run/nvidia/driver)",
        f"have it run {needed(host, options)} (driver.version in `kubectl edit clusterpolicies.nvidia.com`), or switch "
        "driver.enabled off there, reboot the host, and run this again",
        outside=True,
    )


def _runfile(host: Host, options: DriverOptions) -> Keeper:
    return Keeper(
        "It was installed from a .run file, and packages over it would leave parts of both",
        "stop what uses the GPUs, run `nvidia-uninstall` on the host, and run this again, which installs packages; or "
        f"install {needed(host, options)} from NVIDIA's .run file yourself",
    )


def _unknown(host: Host, options: DriverOptions) -> Keeper:
    return Keeper(
        "Its files belong to no package: they came with the machine's image, or were put there by hand",
        f"bring {needed(host, options)} the way it came (such as a newer image of your provider), or remove it that "
        "way and run this again, which installs packages",
    )


def _packages(host: Host, options: DriverOptions) -> Keeper | None:
    """Packages of another origin than the one that is asked for, or of none that is known here."""
    if not host.theirs:
        return None
    sources = {name: parts for name, parts in host.origins.items() if name}
    told = " and ".join(f"{name} ({_some(parts)})" for name, parts in sources.items())
    kinds = {_called(name) for name in sources}
    if len(kinds) > 1:
        return Keeper(
            f"Its packages come from {told}, which do not fit together",
            f"remove them (`{_removal(host)}`), and run this again, which installs those of one origin",
        )
    if None in kinds:
        return Keeper(
            f"Its packages come from {told}",
            f"upgrade them from there to {needed(host, options)}, or remove them (`{_removal(host)}`) and run this "
            "again",
        )
    own = origin(host)
    if own == "distribution" and not choosing.archive_has(host, options):
        return Keeper(
            f"Its packages come from {told}, which has no other that will do",
            f"remove them (`{_removal(host)}`) and run this again, which installs {needed(host, options)} from "
            "NVIDIA's repository",
        )
    if own and options.origin not in ("auto", own):
        return Keeper(
            f"Its packages come from {told}, {PREFIX}origin is {options.origin}, and the two do not fit together",
            f"set {PREFIX}origin: {own}, or remove the packages (`{_removal(host)}`) and run this again",
        )
    return None


def _called(repository: str) -> str | None:
    """What nvidia_driver_origin calls a repository, or a vendor of rpm's; None for one of somebody else."""
    if repository.lower().startswith("nvidia"):
        return "nvidia"
    return "distribution" if repository in DISTRIBUTIONS else None


def _some(names: t.Sequence[str]) -> str:
    more = len(names) - SHOWN
    return f"{', '.join(names[:SHOWN])} and {more} more" if more > 1 else ", ".join(names)


def _removal(host: Host) -> str:
    command = next(
        (said for begin, said in REMOVAL if host.system.startswith(begin)), "remove with its package manager"
    )
    return f"{command} {' '.join(sorted(host.packages))}"
