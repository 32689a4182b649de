# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a driver on the host: nouveau out of the way, module options, pins, and
what automatic upgrades leave alone.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .choice import Choice
from .driver_options import DriverOptions
from .host import Host

HEADER = "# Written by gpufleet.vllm, which overwrites it."
MODPROBE = "/etc/modprobe.d/gpufleet-nvidia.conf"
PREFERENCES = "/etc/apt/preferences.d/gpufleet-nvidia-driver-branch.pref"
UNATTENDED = "/etc/apt/apt.conf.d/52gpufleet-nvidia-driver"
PERSISTENCE = "/etc/systemd/system/nvidia-persistenced.service.d/gpufleet.conf"
POWER_UNIT = "gpufleet-nvidia-power.service"
POWER = f"/etc/systemd/system/{POWER_UNIT}"

# Names and beginnings of names, as regular expressions of unattended-upgrades take them.
FAMILY = (
    "nvidia-",
    "libnvidia-",
    "libcuda1",
    "cuda-drivers",
    "firmware-nvidia",
    "linux-modules-nvidia-",
    "linux-objects-nvidia-",
)
GLOBS = "nvidia-* libnvidia-* libcuda1 cuda-drivers* firmware-nvidia-gsp"


def render(host: Host, choice: Choice, options: DriverOptions, hold_too: t.Sequence[str] = ()) -> dict[str, str]:
    """Content by path."""
    wanted = {MODPROBE: _modprobe(options)}
    if host.family == "apt":
        wanted[PREFERENCES] = _preferences(host, choice)
        if options.hold:
            wanted[UNATTENDED] = unattended(hold_too)
    if options.persistence:
        wanted[PERSISTENCE] = _persistence()
    if options.power_limit_w is not None:
        wanted[POWER] = _power(options.power_limit_w)
    return wanted


def unattended(hold_too: t.Sequence[str] = ()) -> str:
    """What unattended-upgrades shall not touch: a driver that changes under running containers takes their GPUs."""
    names = "".join(f'    "{name}";\n' for name in (*FAMILY, *(f"{name}$" for name in hold_too)))
    return f"{HEADER.replace('#', '//', 1)}\nUnattended-Upgrade::Package-Blacklist {{\n{names}}};\n"


def _modprobe(options: DriverOptions) -> str:
    lines = [HEADER, "blacklist nouveau", "options nouveau modeset=0"]
    lines += [f"options nvidia {name}={value}" for name, value in options.module_options]
    return "\n".join([*lines, ""])


def _preferences(host: Host, choice: Choice) -> str:
    """Packages of the driver come from one origin: the two name theirs alike and do not fit together."""
    if choice.origin == "nvidia":
        pin = f"release o={'Debian' if host.distribution == 'debian' else 'Ubuntu'}"
        return f"{HEADER}\nPackage: {GLOBS}\nPin: {pin}\nPin-Priority: -1\n"
    other = f"{HEADER}\nPackage: {GLOBS}\nPin: release o=NVIDIA\nPin-Priority: -1\n"
    if host.distribution == "debian":
        names = "nvidia-*kernel-* libcuda1 libnvidia-ml1"
        return f"{other}\nPackage: {names}\nPin: version {choice.branch}.*\nPin-Priority: 990\n"
    return other


def _persistence() -> str:
    """The GPUs stay initialised with nobody using them. Ubuntu's unit asks for the opposite."""
    program = "/usr/bin/nvidia-persistenced"
    return (
        f"{HEADER}\n[Unit]\nStartLimitIntervalSec=0\n\n[Service]\nExecStart=\n"
        f"ExecStart={program} --user root --persistence-mode --verbose\n"
    )


def _power(watts: int) -> str:
    return (
        f"{HEADER}\n[Unit]\nDescription=Power limit of the GPUs\nAfter=nvidia-persistenced.service\n"
        "ConditionPathExists=/dev/nvidiactl\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
        f"ExecStart=/usr/bin/nvidia-smi --power-limit={watts}\n\n[Install]\nWantedBy=multi-user.target\n"
    )
