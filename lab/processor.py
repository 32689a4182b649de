# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of vLLM's CPU kernels this machine's processor takes, and how to try those of a lesser one.

A lesser one is what vLLM, torch and oneDNN are told, no other processor: an instruction that one of them used all the
same would run here. AMX is the exception: without the permission that is left out then, Linux ends who uses it.
"""

from __future__ import annotations

import os
import pathlib
import platform
import typing as t
from dataclasses import dataclass

from lab.tools import LabError

VARIABLE = "GPUFLEET_LAB_CPU"


@dataclass(frozen=True)
class Level:
    """What a processor of this level has more than the one before it, and what vLLM takes there.

    `flags` are those of /proc/cpuinfo, `capabilities` the names that torch has for them. `limits` keeps the libraries
    from more than this.
    """

    name: str
    flags: frozenset[str]
    capabilities: tuple[str, ...]
    kernels: str
    limits: t.Mapping[str, str]


def _limits(aten: str, onednn: str) -> dict[str, str]:
    return {
        "ATEN_CPU_CAPABILITY": aten,
        "MKL_ENABLE_INSTRUCTIONS": aten.upper(),
        "ONEDNN_MAX_CPU_ISA": onednn,
    }


_AVX512 = ("f", "cd", "dq", "bw", "vl", "ifma", "vbmi", "vbmi2", "bitalg", "vpopcntdq", "vnni")
LEVELS = (
    Level("avx2", frozenset({"avx2", "fma", "f16c"}), ("avx2",), "_C_AVX2.abi3.so", _limits("avx2", "AVX2")),
    Level(
        "avx512",
        frozenset({"avx512f", "avx512dq", "avx512bw", "avx512vl"}),
        tuple(f"avx512_{name}" for name in _AVX512),
        "_C_AVX512.abi3.so",
        _limits("avx512", "AVX512_CORE_VNNI"),
    ),
    Level(
        "avx512_bf16",
        frozenset({"avx512_bf16"}),
        ("avx512_bf16", "avx512_fp16"),
        "_C.abi3.so",
        _limits("avx512", "AVX512_CORE_BF16"),
    ),
    Level(
        "amx",
        frozenset({"amx_tile", "amx_bf16"}),
        ("amx_tile", "amx_bf16", "amx_int8", "amx_fp16"),
        "_C.abi3.so",
        {},
    ),
)
NAMES = tuple(level.name for level in LEVELS)


def highest(machine: str, cpuinfo: str) -> Level:
    """The level of a processor, from `uname -m` and /proc/cpuinfo. Raises LabError where vLLM's CPU build has none."""
    flags = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), "").partition(":")[2].split()
    found: Level | None = None
    for level in LEVELS:
        if not level.flags <= set(flags):
            break
        found = level
    if machine != "x86_64":
        raise LabError(f"this machine is {machine}: the lab's vLLM is built for x86-64 only. Use such a machine")
    if found is None:
        missing = " ".join(sorted(LEVELS[0].flags - set(flags)))
        raise LabError(
            f"this machine's processor shows no {missing}, which vLLM's CPU build needs. Use another machine; in a "
            "virtual one, let the hypervisor show the processor as it is (QEMU: -cpu host)"
        )
    return found


def chosen(wanted: str, has: Level) -> Level:
    """The level to work with: the processor's own, or the lesser one that is asked for. Raises LabError."""
    if not wanted:
        return has
    if wanted not in NAMES:
        raise LabError(f"{VARIABLE} is {wanted!r}; set it to one of {', '.join(NAMES)}, or leave it unset")
    if NAMES.index(wanted) > NAMES.index(has.name):
        raise LabError(f"{VARIABLE} is {wanted}, and this machine's processor has no more than {has.name}: unset it")
    return LEVELS[NAMES.index(wanted)]


def here() -> tuple[Level, bool]:
    """The level to work with on this machine, and whether it is less than the processor has. Raises LabError."""
    has = highest(platform.machine(), pathlib.Path("/proc/cpuinfo").read_text())
    level = chosen(os.environ.get(VARIABLE, ""), has)
    return level, level is not has


def environment(level: Level) -> dict[str, str]:
    """What an image that shall see no more than this level has in its environment."""
    return {VARIABLE: level.name, **level.limits}


def denial(level: Level) -> tuple[str, str, str]:
    """The change of torch that hides what is above the level: a file, what it holds once, what is put in its place."""
    above = LEVELS[NAMES.index(level.name) + 1 :]
    names = tuple(name for other in above for name in other.capabilities)
    asked = "torch._C._cpu._get_cpu_capability()"
    return (
        "torch/cpu/__init__.py",
        f"MappingProxyType({asked})",
        f"MappingProxyType({asked} | dict.fromkeys({names}, False))",
    )
