# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories, packages and commands of a chosen driver on a distribution, as NVIDIA and the distributions name them.

Nothing here installs a desktop: only what computing in containers needs.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._outside.documents import Json
from .choice import Choice
from .driver_options import DriverOptions
from .host import ARCHITECTURES, Host

CUDA_REPOSITORIES = "https://developer.download.nvidia.com/compute/cuda/repos"
EPEL = "https://dl.fedoraproject.org/pub/epel"
NVIDIA_NAME, EPEL_NAME = "gpufleet-nvidia-driver", "gpufleet-dkms"
UNSUFFIXED = 590  # from this branch on NVIDIA's packages for Ubuntu have no branch in their names


class Key(t.NamedTuple):
    """A repository's signing key: its file, and its fingerprint where that is known here."""

    file: str
    fingerprint: str


# Folder of the repository and its key.
NVIDIA: t.Final[dict[str, tuple[str, Key]]] = {
    "debian12": ("debian12", Key("3bf863cc.pub", "EB693B3035CD5710E231E123A4B469963BF863CC")),
    "debian13": ("debian13", Key("8793F200.pub", "02182E60104FCDC26EAE1B8597A5D4CB8793F200")),
    "ubuntu22.04": ("ubuntu2204", Key("3bf863cc.pub", "EB693B3035CD5710E231E123A4B469963BF863CC")),
    "ubuntu24.04": ("ubuntu2404", Key("3bf863cc.pub", "EB693B3035CD5710E231E123A4B469963BF863CC")),
    "ubuntu26.04": ("ubuntu2604", Key("60DF8A40.pub", "14BAFBC7562AD710CA04E69905FBB6DA60DF8A40")),
    "el9": ("rhel9", Key("D42D0685.pub", "610C7B14E068A878070DA4E99CD0A493D42D0685")),
    "el10": ("rhel10", Key("CDF6BA43.pub", "")),
}
EPEL_KEYS: t.Final = {
    "9": "FF8AD1344597106ECE813B918A3872BF3228467C",
    "10": "7D8D15CBFC4E62688591FB2633D98517E37ED158",
}
# What the distribution's archive has to offer besides main, and which of its packages make the driver.
COMPONENTS = {"debian": ["contrib", "non-free", "non-free-firmware"], "ubuntu": ["restricted", "multiverse"]}


@dataclass(frozen=True)
class Packages:
    """What to put in place, in this order: repositories, components, preparations, first, headers with packages."""

    repositories: tuple[Json, ...] = ()
    components: tuple[str, ...] = ()
    preparations: tuple[tuple[str, ...], ...] = ()
    first: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    hold_too: tuple[str, ...] = ()
    locks: tuple[str, ...] = field(default=())

    def as_json(self) -> Json:
        return {
            "repositories": list(self.repositories),
            "components": list(self.components),
            "preparations": [list(command) for command in self.preparations],
            "first": list(self.first),
            "headers": list(self.headers),
            "packages": list(self.packages),
            "hold_too": list(self.hold_too),
            "locks": list(self.locks),
        }


def packages(host: Host, choice: Choice, options: DriverOptions, errors: list[str]) -> Packages:
    """What makes the chosen driver; what is missing to say so goes to `errors`."""
    if host.system.startswith("el"):
        return _enterprise(host, choice, options, errors)
    if choice.origin == "nvidia":
        return _nvidia_deb(host, choice, options, errors)
    return _debian(host, choice) if host.system.startswith("debian") else _ubuntu(host, choice)


def _debian(host: Host, choice: Choice) -> Packages:
    module = "nvidia-open-kernel-dkms" if choice.open_modules else "nvidia-kernel-dkms"
    libraries = ("libcuda1", "libnvidia-ml1", "libnvidia-ptxjitcompiler1", "libnvidia-nvvm4", "nvidia-smi")
    return Packages(
        components=tuple(COMPONENTS["debian"]),
        headers=_deb_headers(host),
        packages=(module, "firmware-nvidia-gsp", *libraries, "nvidia-modprobe", "nvidia-persistenced"),
    )


def _ubuntu(host: Host, choice: Choice) -> Packages:
    name = f"{choice.branch}-server" if choice.branch == 580 else str(choice.branch)
    kind = f"{name}-open" if choice.open_modules else name
    # A kernel of somebody else's making has no such package; apt names the one that it lacks.
    kernel = host.flavour or host.boot_kernel
    return Packages(
        components=tuple(COMPONENTS["ubuntu"]),
        packages=(
            f"nvidia-headless-no-dkms-{kind}",
            f"linux-modules-nvidia-{kind}-{kernel}",
            f"linux-modules-nvidia-{kind}-{host.boot_kernel}",
            f"nvidia-utils-{name}",
            f"nvidia-compute-utils-{name}",
            *((f"nvidia-fabricmanager-{choice.branch}",) if host.nvswitches else ()),
        ),
        # Modules belong to one kernel: a newer kernel would boot without them, so both stay together.
        hold_too=(f"linux-{kernel}", f"linux-image-{kernel}", f"linux-headers-{kernel}"),
    )


def _nvidia_deb(host: Host, choice: Choice, options: DriverOptions, errors: list[str]) -> Packages:
    url = _url(host, options)
    branch, ubuntu = choice.branch, host.system.startswith("ubuntu")
    names: tuple[str, ...]
    if ubuntu and branch < UNSUFFIXED:
        module = f"nvidia-dkms-{branch}-open" if choice.open_modules else f"nvidia-dkms-{branch}"
        names = (f"libnvidia-compute-{branch}", module, f"nvidia-utils-{branch}", f"nvidia-compute-utils-{branch}")
        manager = f"nvidia-fabricmanager-{branch}"
    elif ubuntu:
        names = ("libnvidia-compute", "nvidia-dkms-open" if choice.open_modules else "nvidia-dkms")
        manager = "nvidia-fabricmanager"
    else:
        module = "nvidia-kernel-open-dkms" if choice.open_modules else "nvidia-kernel-dkms"
        names = ("nvidia-driver-cuda", module, "nvidia-persistenced")
        manager = "nvidia-fabricmanager"
    apt = {"uris": [f"{url}/"], "suites": ["/"]}
    return Packages(
        repositories=({"name": NVIDIA_NAME, "apt": apt, **_key(host, options, url, errors)},),
        first=(f"nvidia-driver-pinning-{branch}",),
        headers=_deb_headers(host),
        packages=(*names, *((manager,) if host.nvswitches else ())),
    )


def _enterprise(host: Host, choice: Choice, options: DriverOptions, errors: list[str]) -> Packages:
    url, major = _url(host, options), host.system[2:]
    kind = "open" if choice.open_modules else "dkms"
    module = "kmod-nvidia-open-dkms" if choice.open_modules else "kmod-nvidia-latest-dkms"
    if host.distribution == "rhel":
        arch = host.architecture
        crb: tuple[str, ...] = (
            "subscription-manager",
            "repos",
            "--enable",
            f"codeready-builder-for-rhel-{major}-{arch}-rpms",
        )
    else:
        crb = ("dnf", "config-manager", "--set-enabled", "crb")
    # Enterprise Linux 9 follows a branch by its stream; 10 has no streams and locks versions.
    stream = (("dnf", "-y", "module", "enable", f"nvidia-driver:{choice.branch}-{kind}"),) if major == "9" else ()
    return Packages(
        repositories=(
            {"name": NVIDIA_NAME, "yum": {"baseurl": url}, **_key(host, options, url, errors)},
            {
                "name": EPEL_NAME,
                "yum": {
                    "baseurl": options.dkms_url.rstrip("/") or f"{EPEL}/{major}/Everything/{host.architecture}/",
                    "include_packages": ["dkms"],
                },
                "key_url": f"{EPEL}/RPM-GPG-KEY-EPEL-{major}",
                "fingerprints": [EPEL_KEYS[major]],
            },
        ),
        preparations=(crb, *stream),
        first=() if major == "9" else ("python3-dnf-plugin-versionlock",),
        headers=(f"kernel-devel-{host.boot_kernel}", "kernel-devel-matched", "kernel-headers"),
        packages=(
            "nvidia-driver-cuda",
            module,
            "nvidia-persistenced",
            *(("nvidia-fabric-manager", "libnvidia-nscq") if host.nvswitches else ()),
        ),
        locks=() if major == "9" else (f"*nvidia*{choice.branch}*",),
    )


def _deb_headers(host: Host) -> tuple[str, ...]:
    """Those of the kernel that boots, and the package that brings those of its successors."""
    follow = (f"linux-headers-{host.flavour}",) if host.flavour else ()
    return (f"linux-headers-{host.boot_kernel}", *follow)


def _url(host: Host, options: DriverOptions) -> str:
    folder, _key_of = NVIDIA[host.system]
    return options.repository_url.rstrip("/") or f"{CUDA_REPOSITORIES}/{folder}/{ARCHITECTURES[host.architecture]}"


def _key(host: Host, options: DriverOptions, url: str, errors: list[str]) -> Json:
    _folder, key = NVIDIA[host.system]
    fingerprint = options.fingerprint or key.fingerprint
    if not fingerprint:
        errors.append(
            f"The fingerprint of {key.file}, the key of NVIDIA's repository for {host.distribution} {host.version}, is "
            "not known "
            "here: look it up where you trust it, and set nvidia_driver_key_fingerprint."
        )
    return {"key": options.key, "key_url": options.key_url or f"{url}/{key.file}", "fingerprints": [fingerprint]}
