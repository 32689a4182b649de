# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who brought the NVIDIA driver that is on a host: packages, a .run file, or somebody outside of it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import re
import typing as t

from .surroundings import WSL

# What NVIDIA's installer leaves behind; no package has them.
UNINSTALLERS = ("usr/bin/nvidia-uninstall", "usr/bin/nvidia-installer")
LOG = "var/log/nvidia-installer.log"
# Where NVIDIA's GPU Operator mounts the driver that it keeps in a container. A link leads to a driver of the host's.
OPERATOR = "run/nvidia/driver"

Owns = t.Callable[[str], t.Optional[bool]]

# Parts of the driver; the container toolkit is somebody else's subject.
_DRIVERS = re.compile(
    r"^(?:(?:lib)?nvidia-|libcuda1$|libcudadebugger|libnvsdm|cuda-drivers|firmware-nvidia"
    r"|linux-(?:modules|objects)-nvidia|(?:a?kmod|dkms)-nvidia|xorg-x11-drv-nvidia)"
)
_TOOLKITS = re.compile(r"^(?:lib)?nvidia-(?:container|docker)")


def is_driver(package: str) -> bool:
    """Whether a package is a part of the driver."""
    return bool(_DRIVERS.match(package)) and not _TOOLKITS.match(package)


def nobody_says(path: str) -> bool | None:
    """An `owns` for hosts whose packages are not asked."""
    return None


def brought_by(
    root: str, container: str | None, packages: t.Collection[str], library: str | None, module: bool, owns: Owns
) -> str | None:
    """windows, container_host, operator, runfile, packages, or unknown; None where there is no driver.

    `packages` are those of the driver, `library` is the path of its NVML, `module` whether its module is on disk,
    and `owns` tells whether a package owns a path (None: cannot be told).
    """
    if container:
        return "windows" if container == WSL else "container_host"
    operator = os.path.join(root, OPERATOR)
    if os.path.isdir(os.path.join(operator, "usr")) and not os.path.islink(operator):
        return "operator"
    if any(os.path.exists(os.path.join(root, path)) for path in UNINSTALLERS):
        return "runfile"
    if library:
        owned = owns(library)
        if owned is False and os.path.exists(os.path.join(root, LOG)):
            return "runfile"
        return "packages" if owned or (owned is None and packages) else "unknown"
    if packages:
        return "packages"
    return "unknown" if module else None
