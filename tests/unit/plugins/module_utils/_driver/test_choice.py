# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which driver a host gets: distribution x card x branch x Secure Boot x origin."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._driver.choice import SIGNED, Choice, choose
from ansible_collections.gpufleet.vllm.plugins.module_utils._driver.driver_options import DriverOptions
from ansible_collections.gpufleet.vllm.plugins.module_utils._driver.host import SUPPORTED, read
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.ownership import is_driver
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._driver.machines import SYSTEMS, facts

OPEN_ONLY = ("RTX 5060 Ti", "RTX PRO 6000", "B200")
EITHER = ("T4", "RTX 3060", "A100", "L40S", "H100 NVL")


def chosen(seen: t.Any, **options: t.Any) -> tuple[Choice | None, list[str], list[str]]:
    errors: list[str] = []
    warnings: list[str] = []
    return choose(read(seen), DriverOptions(**options), errors, warnings), errors, warnings


@pytest.mark.parametrize("system", SUPPORTED)
@pytest.mark.parametrize("card", [*EITHER, *OPEN_ONLY, "of tomorrow"])
@pytest.mark.parametrize("cuda", [None, "12.9", "13.0"])
def test_the_long_term_branch_with_open_modules_is_what_everybody_gets(
    system: str, card: str, cuda: str | None
) -> None:
    choice, errors, warnings = chosen(facts(system, card), cuda=cuda)
    assert (errors, warnings) == ([], [])
    assert choice is not None
    assert (choice.branch, choice.open_modules) == (580, True)
    assert choice.origin == ("distribution" if system in SIGNED else "nvidia")
    assert choice.dkms is (system not in SIGNED)


@pytest.mark.parametrize("system", sorted(SYSTEMS))
@pytest.mark.parametrize("origin", ["auto", "nvidia", "distribution"])
@pytest.mark.parametrize("enrolled", [False, True])
@pytest.mark.parametrize("secure_boot", [None, False, True])
def test_secure_boot_takes_signed_modules(system: str, origin: str, enrolled: bool, secure_boot: bool | None) -> None:
    seen = facts(system, "RTX 3060", secure_boot=secure_boot, enrolled=enrolled)
    choice, errors, _warnings = chosen(seen, origin=origin)
    if system.startswith("el") and origin == "distribution":
        assert "Enterprise Linux has no driver" in errors[0]
        return
    signed = system in SIGNED and origin != "nvidia"
    if secure_boot and not (enrolled or signed):
        assert choice is None
        (error,) = errors
        assert "Secure Boot is on" in error
        assert "mokutil --import" in error
        assert ("origin: distribution" in error) is (system in SIGNED)
    else:
        assert errors == []
        assert choice is not None


@pytest.mark.parametrize(
    ("cuda", "branch", "given"),
    [
        ("13.0", None, 580),
        ("13.1", None, 595),
        ("13.2", None, 595),
        ("13.3", None, 615),
        ("13.4", None, 615),
        ("13.1", 580, 580),
        ("12.4", None, 580),
        ("12.9", 570, 570),
        ("14.0", None, 580),
    ],
)
def test_the_cuda_of_the_image(cuda: str, branch: int | None, given: int) -> None:
    choice, errors, warnings = chosen(facts("debian12", "L40S"), cuda=cuda, branch=branch)
    assert errors == []
    assert choice is not None
    assert choice.branch == given
    assert bool(warnings) is ((cuda, branch) in {("13.1", 580), ("12.9", 570)})


@pytest.mark.parametrize(
    ("system", "card", "options", "found"),
    [
        # Debian's own archive: offered where cards and images allow.
        ("debian12", "RTX 3060", {"cuda": "12.9"}, 535),
        ("debian12", "L40S", {}, 535),
        ("debian12", "H100 NVL", {"cuda": "12.8"}, 535),
        ("debian13", "L40S", {"cuda": "12.8"}, 550),
        ("debian12", "RTX 3060", {"cuda": "13.0"}, "CUDA 13.0, which takes branch 580 or newer, found 535"),
        ("debian13", "RTX 3060", {"cuda": "13.0"}, "CUDA 13.0, which takes branch 580 or newer, found 550"),
        ("debian12", "RTX 5060 Ti", {}, "(10de:2d04, Blackwell) takes driver 575.51.02 or newer, found 535.261.03"),
        ("debian13", "RTX 5060 Ti", {}, "(10de:2d04, Blackwell) takes driver 575.51.02 or newer, found 550.163.01"),
        ("debian13", "RTX PRO 6000", {}, "takes driver 575.57.08 or newer"),
        ("debian13", "B200", {}, "takes driver 570 or newer"),
        ("debian12", "RTX 3060", {"branch": 580}, "debian 12 has 535 only: set nvidia_driver_origin: nvidia"),
        # Ubuntu's.
        ("ubuntu24.04", "RTX 5060 Ti", {"cuda": "13.0"}, 580),
        ("ubuntu24.04", "L40S", {"cuda": "13.2"}, 595),
        ("ubuntu22.04", "L40S", {"branch": 595}, 595),
        ("ubuntu26.04", "L40S", {"branch": 570}, "ubuntu 26.04 has 580 and 595 only"),
        ("el9", "L40S", {}, "Enterprise Linux has no driver in its own repositories: set it to nvidia"),
        ("el10", "L40S", {}, "Enterprise Linux has no driver in its own repositories: set it to nvidia"),
    ],
)
def test_the_origin_distribution(system: str, card: str, options: dict[str, t.Any], found: int | str) -> None:
    choice, errors, _warnings = chosen(facts(system, card), origin="distribution", **options)
    if isinstance(found, int):
        assert errors == []
        assert choice is not None
        assert (choice.branch, choice.origin) == (found, "distribution")
    else:
        assert choice is None
        (error,) = errors
        assert found in error
        assert "set" in error


@pytest.mark.parametrize(
    ("cards", "options", "words"),
    [
        (["GTX 1080"], {}, "compute capability 6.0 and no image from vLLM 0.8.5 on is compiled for less than 7.0"),
        (
            ["V100"],
            {"capability": (7, 5), "image": "v"},
            "7.0 and the image v is compiled for less than 7.5: plan an older",
        ),
        (["V100", "B200"], {}, "take the proprietary kernel modules and GPU 0000:21:00.0 (10de:2901"),
        (
            ["V100"],
            {"modules": "open"},
            "nvidia_driver_modules is open, and GPU 0000:11:00.0 (10de:1db6, Volta) work with",
        ),
        (["B200"], {"modules": "proprietary"}, "nvidia_driver_modules is proprietary, and GPU"),
        (["V100"], {"branch": 595}, "is driven up to branch 580, and not by 595"),
        (["V100"], {"branch": 620}, "has no proprietary modules any more"),
        (["RTX 5060 Ti"], {"branch": 570}, "takes driver 575.51.02 or newer, found 570"),
        (["RTX 3060"], {"branch": 570, "cuda": "13.0"}, "CUDA 13.0, which takes branch 580 or newer, found 570"),
    ],
)
def test_what_is_refused(cards: list[str], options: dict[str, t.Any], words: str) -> None:
    choice, errors, _warnings = chosen(facts("debian12", *cards), **options)
    assert choice is None
    (error,) = errors
    # A card of branch 580 is refused for images with code for 7.5 and newer only.
    assert words in error


@pytest.mark.parametrize("system", ["debian12", "el9", "ubuntu24.04"])
def test_proprietary_modules_only_where_the_card_needs_them(system: str) -> None:
    choice, errors, _warnings = chosen(facts(system, "V100"), capability=(7, 0), cuda="12.9")
    assert errors == []
    assert choice is not None
    assert (choice.branch, choice.open_modules) == (580, False)


def test_proprietary_modules_on_request() -> None:
    choice, _errors, _warnings = chosen(facts("debian12", "RTX 3060"), modules="proprietary")
    assert choice is not None
    assert not choice.open_modules


@pytest.mark.parametrize(
    ("system", "words"),
    [
        ({"id": "fedora", "version": "43"}, "runs fedora 43, and the driver can be installed on Debian 12"),
        ({"id": "debian", "version": "11"}, "runs debian 11"),
        ({"id": "ubuntu", "version": "25.10"}, "runs ubuntu 25.10"),
        ({"id": None, "version": None}, "runs unknown"),
        ({"architecture": "ppc64le"}, "architecture is ppc64le, and drivers exist for x86_64 and aarch64"),
    ],
)
def test_where_nothing_is_known(system: dict[str, t.Any], words: str) -> None:
    choice, errors, _warnings = chosen(facts("debian12", os=system))
    assert choice is None
    assert words in errors[0]


def test_fabric_manager_is_not_in_debian() -> None:
    _choice, errors, _warnings = chosen(facts("debian12", "A100", nvswitches=["a"] * 6), origin="distribution")
    assert "6 NVSwitches, which take Fabric Manager" in errors[0]


def test_a_mirror_is_taken_for_nvidias_repository() -> None:
    choice, _errors, _warnings = chosen(facts("ubuntu24.04"), repository_url="https://mirror.example.com/cuda")
    assert choice is not None
    assert choice.origin == "nvidia"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nvidia-kernel-open-dkms", True),
        ("libnvidia-ml1", True),
        ("libcuda1", True),
        ("linux-modules-nvidia-580-server-open-generic", True),
        ("firmware-nvidia-gsp", True),
        ("kmod-nvidia-open-dkms", True),
        ("cuda-drivers-580", True),
        ("cuda-toolkit-13-0", False),
        ("libcudart12", False),
        ("nvidia-container-toolkit-base", False),
        ("libnvidia-container1", False),
        ("linux-modules-6.8.0-88-generic", False),
    ],
)
def test_packages_of_the_driver(name: str, expected: bool) -> None:
    assert is_driver(name) is expected
