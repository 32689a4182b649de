# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kernels a processor takes, what is refused, and how a lesser one is made of it."""

from __future__ import annotations

import types

import pytest

from lab import processor, proof, vllm_image
from lab.tools import LabError

# Flags of /proc/cpuinfo, as far as they matter.
HASWELL = "fpu sse4_2 avx f16c fma avx2"
SKYLAKE = f"{HASWELL} avx512f avx512dq avx512cd avx512bw avx512vl"
ZEN_4 = f"{SKYLAKE} avx512_vnni avx512_bf16"
SAPPHIRE_RAPIDS = f"{ZEN_4} amx_bf16 avx512_fp16 amx_tile amx_int8"


def cpuinfo(flags: str) -> str:
    return f"processor\t: 0\nflags\t\t: {flags}\nvmx flags\t: x\nprocessor\t: 1\nflags\t\t: {flags}\n"


@pytest.mark.parametrize(
    ("flags", "name", "kernels"),
    [
        (HASWELL, "avx2", "_C_AVX2.abi3.so"),
        (SKYLAKE, "avx512", "_C_AVX512.abi3.so"),
        (ZEN_4, "avx512_bf16", "_C.abi3.so"),
        (SAPPHIRE_RAPIDS, "amx", "_C.abi3.so"),
    ],
)
def test_a_processor_has_the_highest_level_that_it_has_all_flags_of(flags: str, name: str, kernels: str) -> None:
    level = processor.highest("x86_64", cpuinfo(flags))
    assert (level.name, level.kernels) == (name, kernels)


@pytest.mark.parametrize("flags", ["fpu sse4_2 avx f16c fma", "fpu sse sse2", ""])
def test_a_processor_without_avx2_is_refused_with_what_helps(flags: str) -> None:
    with pytest.raises(LabError, match=r"shows no avx2.*-cpu host"):
        processor.highest("x86_64", cpuinfo(flags))


def test_another_machine_is_refused_by_its_name() -> None:
    with pytest.raises(LabError, match="this machine is aarch64: the lab's vLLM is built for x86-64 only"):
        processor.highest("aarch64", "processor\t: 0\nFeatures\t: fp asimd\n")


def test_a_lesser_level_can_be_asked_for() -> None:
    amx = processor.LEVELS[-1]
    assert processor.chosen("", amx) is amx
    assert [processor.chosen(name, amx).name for name in processor.NAMES] == list(processor.NAMES)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("sse", "GPUFLEET_LAB_CPU is 'sse'; set it to one of avx2, avx512, avx512_bf16, amx"),
        ("amx", "GPUFLEET_LAB_CPU is amx, and this machine's processor has no more than avx2: unset it"),
    ],
)
def test_what_the_processor_has_not_is_refused(wanted: str, words: str) -> None:
    with pytest.raises(LabError, match=words):
        processor.chosen(wanted, processor.LEVELS[0])


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        ("avx2", {"avx2"}),
        ("avx512", {"avx2", "avx512_f"}),
        ("avx512_bf16", {"avx2", "avx512_f", "avx512_bf16"}),
        ("amx", {"avx2", "avx512_f", "avx512_bf16", "amx_tile"}),
    ],
)
def test_what_is_above_a_level_is_denied(level: str, seen: set[str]) -> None:
    _path, found, instead = processor.denial(processor.LEVELS[processor.NAMES.index(level)])
    real = {"avx2": True, "avx512_f": True, "avx512_bf16": True, "amx_tile": True, "architecture": "x86_64"}
    torch = types.SimpleNamespace(
        _C=types.SimpleNamespace(_cpu=types.SimpleNamespace(_get_cpu_capability=lambda: real))
    )
    assert found in "    return MappingProxyType(torch._C._cpu._get_cpu_capability())\n"
    told = eval(instead, {"MappingProxyType": dict, "torch": torch})
    assert {name for name, value in told.items() if value is True} == seen


@pytest.mark.parametrize(
    ("libraries", "attention"),
    [({"_C.abi3.so"}, "vec"), ({"_C_AVX2.abi3.so"}, "amx"), ({"_C_AVX2.abi3.so", "_C.abi3.so"}, "vec"), (set(), "vec")],
)
def test_a_lesser_processor_that_was_not_taken_for_one_is_an_error(libraries: set[str], attention: str) -> None:
    ran = proof.Ran(frozenset(libraries), attention)
    with pytest.raises(LabError, match=r"GPUFLEET_LAB_CPU is avx2, and vLLM .* all the same"):
        vllm_image._kernels(ran, processor.LEVELS[0], True)


def test_what_ran_is_told() -> None:
    ran = proof.Ran(frozenset({"_C_AVX2.abi3.so"}), "vec")
    assert vllm_image._kernels(ran, processor.LEVELS[0], True) == "_C_AVX2.abi3.so and its attention vec"
    assert vllm_image._kernels(ran, processor.LEVELS[-1], False) == "_C_AVX2.abi3.so and its attention vec"
