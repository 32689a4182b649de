# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVIDIA's own Python bindings (pynvml), which come along from the control node; the host's own are the second choice.

They travel to gpu_facts as a text in the arguments of its task, as that may be the first that a host sees of us, and to
the host program as a file of its archive, as that has to work at boot, without Ansible. Both are loaded here.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import base64
import binascii
import ctypes
import importlib
import sys
import types
import typing as t
import zlib

from .nvml import Nvml, NvmlError

LIBRARY = "libnvidia-ml.so.1"
FILE = "pynvml.py"


class BindingsError(Exception):
    """The host has the NVML library, and nothing to ask it with."""


def pack(source: bytes) -> str:
    """A module's source as one text that travels in the arguments of a task."""
    return base64.b64encode(zlib.compress(source)).decode("ascii")


def unpack(packed: str) -> str:
    """What pack() packed. Raises BindingsError."""
    try:
        return zlib.decompress(base64.b64decode(packed, validate=True)).decode("utf-8")
    except (binascii.Error, zlib.error, ValueError) as error:
        raise BindingsError(
            f"The pynvml that came along cannot be read ({error}): leave pynvml_source to the action plugin."
        ) from error


def library_present(load_library: t.Callable[[str], t.Any] = ctypes.CDLL) -> bool:
    """Whether the loader finds the NVML library, which comes with the driver."""
    try:
        load_library(LIBRARY)
    except OSError:
        return False
    return True


def load(packed: str) -> types.ModuleType:
    """pynvml: the one that came along, so that all hosts are asked alike, else the host's. Raises BindingsError.

    Inside the host program nothing is `packed`: its archive comes first of all places that Python imports from.
    """
    if packed:
        source = unpack(packed)
        module = types.ModuleType("pynvml")
        sys.modules["pynvml"] = module  # pynvml looks itself up while it is being loaded
        exec(compile(source, FILE, "exec"), module.__dict__)
        return module
    try:
        return importlib.import_module("pynvml")
    except ImportError as error:
        raise BindingsError(
            "The host has an NVIDIA driver, and neither it nor the control node has pynvml to ask it with: "
            "install nvidia-ml-py on the control node."
        ) from error


def opened() -> Nvml | None:
    """NVML, initialised, for whoever asks about single GPUs; None where the host has no working driver library."""
    try:
        nvml = Nvml(load(""))
        nvml.call("nvmlInit")
    except (BindingsError, NvmlError):
        return None
    return nvml
