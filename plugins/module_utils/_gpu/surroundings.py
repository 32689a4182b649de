# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is to its driver: a machine of its own, somebody's container, WSL2, or a guest with a slice of a GPU.

A container and WSL2 have the kernel module of somebody else, and a slice takes NVIDIA's guest driver. From files.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import re
import typing as t

from .fact import Slice

WSL = "wsl"
# systemd writes there what it was told to be in, as lxc, podman, systemd-nspawn and others tell it.
SYSTEMD, CONTAINER = "run/systemd/system", "run/systemd/container"
MARKS = ((".dockerenv", "docker"), ("run/.containerenv", "podman"))

_NAME = re.compile(r"^[a-z0-9][a-z0-9-]{0,31}$")
_VERSION = re.compile(rb"^\d{3}\.\d+(?:\.\d+)?$")

# Of the PCI configuration space: where a function says that it has capabilities, and where the first one is.
_STATUS, _HAS_CAPABILITIES, _FIRST = 0x06, 0x10, 0x34
_VENDOR_SPECIFIC = 0x09
# What NVIDIA's host puts there for a guest: a signature, and records, each with its kind and length.
_SIGNATURE, _RECORDS, _HOST_DRIVER, _HOST_DRIVER_LENGTH = b"VF", 5, 0, 10


def container(root: str = "/") -> str | None:
    """What the host is a container of, as systemd calls it; `wsl` for WSL2; None for a machine."""
    if os.path.exists(os.path.join(root, "dev/dxg")) or os.path.isdir(os.path.join(root, "usr/lib/wsl/lib")):
        return WSL
    if os.path.isdir(os.path.join(root, SYSTEMD)):
        named = _bytes(os.path.join(root, CONTAINER)).decode("ascii", "replace").strip()
        return (named if _NAME.match(named) else "unknown") if named else None
    return next((name for mark, name in MARKS if os.path.exists(os.path.join(root, mark))), None)


def vgpu(root: str, slots: t.Iterable[str]) -> Slice | None:
    """Whether any of these GPUs is a slice that a virtual machine was given, and the driver of its host, if it says."""
    for slot in slots:
        capability = _vendor_specific(_bytes(os.path.join(root, "sys/bus/pci/devices", slot, "config")))
        if capability[3:5] == _SIGNATURE:
            return {"host_driver": _host_driver(capability)}
    return None


def _vendor_specific(config: bytes) -> bytes:
    """The first capability of the vendor's own; empty where there is none, or the space is not whole."""
    if len(config) < 256 or not config[_STATUS] & _HAS_CAPABILITIES:
        return b""
    place, seen = config[_FIRST], set()
    while place and place not in seen and place + 2 < 256:
        seen.add(place)
        if config[place] == _VENDOR_SPECIFIC:
            return config[place : min(place + config[place + 2], 256)]
        place = config[place + 1]
    return b""


def _host_driver(capability: bytes) -> str | None:
    place = _RECORDS
    while place + 2 <= len(capability):
        kind, length = capability[place], capability[place + 1]
        if kind == _HOST_DRIVER:
            text = capability[place + 2 : place + 2 + _HOST_DRIVER_LENGTH].strip(b"\0 ")
            return text.decode("ascii") if _VERSION.match(text) else None
        if not length:
            break
        place += length
    return None


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(4096)
    except OSError:
        return b""
