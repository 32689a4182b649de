# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role nvidia_driver left on a host when it had finished, and the driver's daemons.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import os

from .._outside import documents
from .fact import Daemons, Prepared

STAMP = "etc/gpufleet/nvidia_driver.json"
UNITS = ("usr/lib/systemd/system", "lib/systemd/system", "etc/systemd/system")
PERSISTENCE = "nvidia-persistenced.service"
FABRIC_MANAGER = "nvidia-fabricmanager.service"


def observe(root: str = "/") -> Daemons:
    """Whether the units are there, and `prepared`."""
    return {
        "persistence_unit": _has_unit(root, PERSISTENCE),
        "fabric_manager_unit": _has_unit(root, FABRIC_MANAGER),
        "prepared": prepared(root),
    }


def prepared(root: str = "/") -> Prepared | None:
    """What the role wrote when it had finished: the digest of its plan, and whether its files are as it left them."""
    try:
        with open(os.path.join(root, STAMP), encoding="utf-8") as file:
            stamp = documents.parse(file.read())
        intact = all(_digest(root, path) == digest for path, digest in stamp["files"].items())
        return {"digest": stamp["digest"], "intact": intact}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _digest(root: str, path: str) -> str | None:
    try:
        with open(os.path.join(root, path.lstrip("/")), "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return None


def _has_unit(root: str, unit: str) -> bool:
    return any(os.path.exists(os.path.join(root, folder, unit)) for folder in UNITS)
