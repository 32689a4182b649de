# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What boots next, and whether a driver's modules will run there: kernel, module, headers, Secure Boot. From files.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import re

from .fact import Boot

GLOBAL_VARIABLE = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
SHIM = "605dab50-e046-4300-abb6-3dd810dd8b23"
EFI = "sys/firmware/efi/efivars"
# The certificates that DKMS signs with: its own, and the one of Debian and Ubuntu's shim-signed.
DKMS_CERTIFICATES = ("var/lib/dkms/mok.pub", "var/lib/shim-signed/mok/MOK.der")
MODULE_FOLDERS = ("updates", "extra", "weak-updates", "kernel")

_SAVED = re.compile(r"^saved_entry=(?:[0-9a-f]{32}-)?(\S+)$", re.MULTILINE)
_MODULE = re.compile(r"^nvidia(?:-current(?:-open)?)?\.ko(?:\.\w+)?$")


def observe(root: str = "/", running: str = "") -> Boot:
    """The kernel of the next boot, and what is there for it; `running` is the one that runs now."""
    kernel = next_kernel(root, running)
    return {
        "kernel": kernel or None,
        "driver_module": bool(kernel) and has_module(root, kernel),
        "headers": bool(kernel) and os.path.exists(os.path.join(root, f"lib/modules/{kernel}/build/Makefile")),
        "secure_boot": secure_boot(root),
        "module_key_enrolled": module_key_enrolled(root),
    }


def has_module(root: str, kernel: str) -> bool:
    """Whether the NVIDIA driver's module is on disk for this kernel, by DKMS or ready made."""
    folder = os.path.join(root, "lib/modules", kernel)
    return any(
        _MODULE.match(name)
        for part in MODULE_FOLDERS
        for _path, _folders, names in os.walk(os.path.join(folder, part))
        for name in names
    )


def next_kernel(root: str = "/", running: str = "") -> str:
    """The kernel that the next boot takes: GRUB's saved entry, else the newest one, else the running one."""
    folder = os.path.join(root, "lib/modules")
    installed = [name for name in _names(folder) if _is_bootable(root, name)]
    saved = _SAVED.search(_text(root, "boot/grub2/grubenv"))
    if saved and saved.group(1) in installed:
        return saved.group(1)
    return max(installed, key=_age, default=running)


def secure_boot(root: str = "/") -> bool | None:
    """Whether the firmware has Secure Boot on; None without UEFI."""
    # The first four bytes of a variable are its attributes.
    value = _bytes(root, f"{EFI}/SecureBoot-{GLOBAL_VARIABLE}")
    return value[4:5] == b"\x01" if len(value) > 4 else None


def module_key_enrolled(root: str = "/") -> bool:
    """Whether a certificate that DKMS signs with is among those that the firmware's shim trusts."""
    trusted = _bytes(root, f"{EFI}/MokListRT-{SHIM}")
    return any(own and own in trusted for own in (_bytes(root, path) for path in DKMS_CERTIFICATES))


def _is_bootable(root: str, kernel: str) -> bool:
    images = (f"boot/vmlinuz-{kernel}", f"boot/vmlinux-{kernel}", f"lib/modules/{kernel}/vmlinuz")
    return any(os.path.exists(os.path.join(root, image)) for image in images)


def _age(kernel: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", kernel)]


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _text(root: str, path: str) -> str:
    return _bytes(root, path).decode("utf-8", "replace")


def _bytes(root: str, path: str) -> bytes:
    try:
        with open(os.path.join(root, path), "rb") as file:
            return file.read()
    except OSError:
        return b""
