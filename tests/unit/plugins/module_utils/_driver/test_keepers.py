# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drivers that somebody else keeps: left alone, or refused with what to type; never packages over them."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._driver.plan import Plan, plan
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._driver.machines import facts

Json = dict[str, t.Any]

CUDA_13: t.Final = {"image": "docker.io/vllm/vllm-openai:v0.32.0", "version": "0.32.0"}
OPEN_590 = ("libnvidia-compute", "nvidia-dkms-open", "nvidia-open")
DESKTOP_580 = ("libnvidia-compute-580", "nvidia-driver-580-open", "xserver-xorg-video-nvidia-580")


def lxc(state: str, module: str | None = "575.57.08", library: str | None = None, kind: str = "lxc") -> t.Any:
    return facts(
        "ubuntu24.04",
        "L40S",
        state=state,
        version=library,
        os={"container": kind},
        driver={"brought_by": "container_host", "module_version": module, "library_version": library},
    )


def wsl(version: str | None, **changed: t.Any) -> t.Any:
    """No GPU is on the PCI bus of WSL2."""
    return facts(
        "ubuntu24.04",
        **{"state": "healthy", "version": version, "pci": [], **changed},
        os={"container": "wsl"},
        driver={"brought_by": "windows", "module_version": None},
    )


def keeps(by: str, version: str | None = "550.54.14", state: str = "healthy", **changed: t.Any) -> t.Any:
    """A driver that came this way, on a machine."""
    about = {"brought_by": by, **changed.pop("driver", {})}
    return facts("ubuntu24.04", "L40S", state=state, version=version, driver=about, **changed)


def packaged(origins: Json, version: str, state: str = "healthy", held: bool = False, **changed: t.Any) -> t.Any:
    names = {name: held for parts in origins.values() for name in parts}
    return keeps("packages", version, state, packages=names, driver={"origins": origins}, **changed)


def planned(seen: t.Any, options: Json | None = None) -> Plan:
    return plan(seen, CUDA_13 if options is None else options)


@pytest.mark.parametrize("options", [CUDA_13, {}])
def test_no_other_driver_is_advised_for_a_card_that_vllm_has_dropped(options: Json) -> None:
    about = {"brought_by": "runfile"}
    old = facts("ubuntu24.04", "GTX 1080", state="driver_not_loaded", version="470.256.02", driver=about)
    (error,) = planned(old, options).errors
    assert "has compute capability 6.0" in error and "fit a newer card, or give the host the class cpu" in error
    assert "nvidia-uninstall" not in error


def test_a_card_has_a_last_branch() -> None:
    about = {"brought_by": "unknown"}
    seen = facts("ubuntu24.04", "V100", state="driver_not_loaded", version="470.256.02", driver=about)
    errors = " ".join(planned(seen, {"cuda": "12.9"}).errors)
    assert "driver 525 or newer, up to branch 580" in errors


@pytest.mark.parametrize(
    ("system", "command"),
    [
        ({"id": "fedora", "version": "42"}, "`dnf remove libnvidia-compute"),
        ({"id": "rocky", "version": "9.4"}, "`dnf remove libnvidia-compute"),
        ({"id": "amzn", "version": "2023"}, "`dnf remove libnvidia-compute"),
        ({"id": "opensuse-leap", "version": "15.6"}, "`zypper remove libnvidia-compute"),
        ({"id": "arch", "version": ""}, "`pacman -Rns libnvidia-compute"),
        ({"id": "debian", "version": "12"}, "`apt-get purge libnvidia-compute"),
        ({"id": "nixos", "version": "25.05"}, "`remove with its package manager libnvidia-compute"),
    ],
)
def test_packages_are_removed_as_the_system_does_it(system: Json, command: str) -> None:
    seen = packaged({"somebody": ["libnvidia-compute"]}, "470.256.02", "driver_not_loaded", os=system)
    assert command in " ".join(planned(seen).errors)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        pytest.param(
            keeps("runfile"),
            [
                "Driver 550.54.14 will not do: the image docker.io/vllm/vllm-openai:v0.32.0 brings CUDA 13.0",
                "which takes 580 or newer. It was installed",
                "from a .run file",
                "run `nvidia-uninstall` on the host, and run this again",
                "install driver 580 or newer from NVIDIA's .run file yourself",
            ],
            id="H23: a .run file, too old for the image",
        ),
        pytest.param(
            keeps("runfile", "580.95.05", "driver_not_loaded"),
            ["Driver 580.95.05 is not loaded.", "`nvidia-uninstall`"],
            id="a .run file, with no module for the kernel that boots next",
        ),
        pytest.param(
            keeps("runfile", "580.95.05", "driver_without_gpu"),
            ["Driver 580.95.05 does not drive the GPU.", "`nvidia-uninstall`"],
            id="a .run file that does not know the card",
        ),
        pytest.param(
            lxc("no_driver"),
            [
                "No NVIDIA library answers on the host.",
                "upgrade that machine to driver 580 or newer",
                "`incus config set NAME nvidia.runtime=true`",
                "NVIDIA-Linux-x86_64-VERSION.run --no-kernel-modules",
            ],
            id="H25: a container of LXC, and its machine is too old for the image",
        ),
        pytest.param(
            lxc("no_driver", "580.95.05"),
            ["the libraries of exactly 580.95.05", "NVIDIA-Linux-x86_64-580.95.05.run --no-kernel-modules"],
            id="H25: a container of LXC without the libraries",
        ),
        pytest.param(
            lxc("driver_library_mismatch", "580.95.05", "580.105.08"),
            ["The kernel runs driver 580.95.05 and the library is of 580.105.08.", "exactly 580.95.05"],
            id="a container of LXC with libraries of another version",
        ),
        pytest.param(
            lxc("healthy", "575.57.08", "575.57.08"),
            ["Driver 575.57.08 will not do", "upgrade that machine to driver 580 or newer, and then"],
            id="a container of LXC that works, and is too old for the image",
        ),
        pytest.param(
            lxc("driver_not_loaded", None),
            ["No driver is loaded.", "install driver 580 or newer on that machine, give the container its GPUs"],
            id="a container, and its machine has no driver",
        ),
        pytest.param(
            lxc("no_driver", "580.95.05", kind="docker"), ["container with `--gpus all`"], id="a container of Docker"
        ),
        pytest.param(
            lxc("no_driver", "580.95.05", kind="podman"), ["`--device nvidia.com/gpu=all`"], id="a container of Podman"
        ),
        pytest.param(
            lxc("no_driver", "580.95.05", kind="systemd-nspawn"),
            ["a container (systemd-nspawn)", "libraries of exactly 580.95.05: here run `sh NVIDIA-Linux"],
            id="a container of somebody else",
        ),
        pytest.param(
            wsl("560.94"),
            ["update NVIDIA's driver in Windows to driver 580 or newer, run `wsl --shutdown` there"],
            id="WSL2, too old for the image",
        ),
        pytest.param(
            wsl("580.1", state="driver_not_loaded", packages={"libnvidia-compute-580": False}),
            ["remove the Linux packages that hide it (`apt-get purge libnvidia-compute-580`)"],
            id="WSL2 with Linux packages over it",
        ),
        pytest.param(
            keeps("runfile", driver={"vgpu": {"host_driver": "550.90.05"}}),
            [
                "The GPU is a vGPU",
                "the hypervisor runs 550.90.05",
                "have the hypervisor's driver upgraded first",
                "ui.licensing.nvidia.com",
            ],
            id="a vGPU, too old for the image",
        ),
        pytest.param(
            keeps("", None, "no_driver", driver={"brought_by": None, "vgpu": {"host_driver": None}}),
            ["No NVIDIA library answers", "takes the guest driver (GRID)"],
            id="a vGPU without a driver",
        ),
        pytest.param(
            keeps("operator", None, "no_driver", driver={"module_version": "570.1"}),
            ["`kubectl edit clusterpolicies.nvidia.com`"],
            id="a driver in a container of NVIDIA's GPU Operator",
        ),
        pytest.param(
            keeps("unknown"),
            ["belong to no package", "a newer image of your provider"],
            id="a cloud's image with a driver of no package",
        ),
        pytest.param(
            packaged({"LP-PPA-graphics-drivers": ["nvidia-driver-550"]}, "550.54.14"),
            ["come from LP-PPA-graphics-drivers (nvidia-driver-550)", "`apt-get purge nvidia-driver-550`"],
            id="packages of a PPA",
        ),
        pytest.param(
            packaged({"NVIDIA": list(OPEN_590), "Ubuntu": ["nvidia-utils-580"]}, "590.48.01", "driver_not_loaded"),
            ["NVIDIA (libnvidia-compute, nvidia-dkms-open, nvidia-open) and Ubuntu (nvidia-utils-580), which do not"],
            id="packages of two origins",
        ),
    ],
)
def test_refused_with_the_way_out(seen: Json, words: list[str]) -> None:
    made = planned(seen)
    (error,) = made.errors
    for part in words:
        assert part in error
    assert (made.due, made.details) == ([], {})
    looked_at = planned(seen, {**CUDA_13, "manage": False})
    assert (looked_at.errors, looked_at.missing) == ([], [error])


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(keeps("runfile", "580.95.05"), id="a .run file"),
        pytest.param(lxc("healthy", "580.95.05", "580.95.05"), id="a container of LXC"),
        pytest.param(wsl("581.29"), id="H29: WSL2"),
        pytest.param(wsl(None, state="no_gpu"), id="WSL2 without a GPU"),
        pytest.param(keeps("runfile", "580.95.05", driver={"vgpu": {"host_driver": "580.95.02"}}), id="a vGPU"),
        pytest.param(keeps("operator", "580.95.05"), id="NVIDIA's GPU Operator"),
        pytest.param(keeps("unknown", "580.95.05"), id="a cloud's image"),
        pytest.param(packaged({"Lambda": ["nvidia-driver-580"]}, "580.95.05", held=True), id="packages of somebody"),
        pytest.param(
            facts(
                "ubuntu24.04",
                "of tomorrow",
                state="healthy",
                version="580.95.05",
                os={"architecture": "aarch64"},
                packages={"nvidia-driver-580-open": True},
                driver={"brought_by": "packages"},
            ),
            id="H28: GB10",
        ),
    ],
)
def test_a_driver_that_will_do_is_left_alone(seen: Json) -> None:
    made = planned(seen)
    assert (made.due, made.errors, made.warnings, made.missing) == ([], [], [], [])


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(packaged({"NVIDIA": ["libnvidia-compute-580", "nvidia-open-580"]}, "580.95.05"), id="H27: NVIDIA"),
        pytest.param(packaged({"Ubuntu": list(DESKTOP_580)}, "580.95.05"), id="H30: a desktop of Ubuntu's"),
        pytest.param(packaged({"": list(DESKTOP_580)}, "580.95.05"), id="of an origin that nothing tells"),
        pytest.param(packaged({"Lambda": ["nvidia-driver-580"]}, "580.95.05"), id="of somebody else"),
    ],
)
def test_packages_of_a_driver_that_will_do_are_held(seen: Json) -> None:
    made = planned(seen)
    assert (made.due, made.errors) == (["hold", "start"], [])
    assert made.details["apply"]["packages"] == []


def test_a_module_older_than_its_library_waits_for_a_reboot_whoever_brought_them() -> None:
    """H31: a cloud's image that upgraded itself."""
    versions = {"module_version": "580.82.07", "library_version": "580.95.05"}
    for seen in (
        packaged({"NVIDIA": ["nvidia-open"]}, "580.95.05", "driver_library_mismatch"),
        keeps("runfile", "580.95.05", "driver_library_mismatch", driver=versions),
        keeps("unknown", "580.95.05", "driver_library_mismatch", driver={**versions, "vgpu": {"host_driver": None}}),
    ):
        made = planned(seen)
        assert (made.due, made.errors) == (["start"], [])


@pytest.mark.parametrize(
    ("seen", "origin", "branch", "package"),
    [
        pytest.param(
            packaged({"NVIDIA": list(OPEN_590)}, "590.48.01", "driver_not_loaded"),
            "nvidia",
            590,
            "nvidia-dkms-open",
            id="H26: nvidia-open of NVIDIA's repository on Ubuntu",
        ),
        pytest.param(
            packaged({"NVIDIA": ["nvidia-open-570"]}, "570.1"),
            "nvidia",
            580,
            "nvidia-dkms-580-open",
            id="NVIDIA's on Ubuntu, too old for the image",
        ),
        pytest.param(
            packaged({"Ubuntu": ["nvidia-driver-570-open"]}, "570.1"),
            "distribution",
            580,
            "nvidia-utils-580-server",
            id="Ubuntu's, too old for the image",
        ),
    ],
)
def test_packages_stay_with_their_origin(seen: Json, origin: str, branch: int, package: str) -> None:
    made = planned(seen)
    assert (made.errors, made.due[0]) == ([], "install")
    assert (made.details["origin"], made.details["branch"]) == (origin, branch)
    assert package in made.details["apply"]["packages"]
    assert bool(made.details["repositories"]) is (origin == "nvidia")


@pytest.mark.parametrize("origin", ["auto", "nvidia", "distribution"])
def test_an_archive_that_is_too_old_is_left_with_one_answer(origin: str) -> None:
    about = {"brought_by": "packages", "origins": {"Debian": ["nvidia-driver", "libcuda1"]}}
    packages = {"nvidia-driver": False, "libcuda1": False}
    seen = facts("debian12", "L40S", state="healthy", version="535.261.03", packages=packages, driver=about)
    (error,) = planned(seen, {**CUDA_13, "origin": origin}).errors
    assert "`apt-get purge libcuda1 nvidia-driver`) and run this again, which installs driver 580 or newer" in error
    assert planned(seen, {"origin": origin}).errors == []


def test_the_vendor_of_an_rpm_is_an_origin_too() -> None:
    about = {"brought_by": "packages", "origins": {"NVIDIA Corporation": ["nvidia-driver-cuda"]}}
    seen = facts("el9", "L40S", state="healthy", version="570.1", packages={"nvidia-driver-cuda": False}, driver=about)
    made = planned(seen)
    assert (made.errors, made.due[0], made.details["origin"]) == ([], "install", "nvidia")
    seen["driver"]["origins"] = {"The ELRepo Project": ["nvidia-driver-cuda"]}
    assert "`dnf remove nvidia-driver-cuda`" in planned(seen).errors[0]


def test_another_origin_is_not_put_over_somebodys_packages() -> None:
    seen = packaged({"NVIDIA": list(OPEN_590)}, "590.48.01", "driver_not_loaded")
    (error,) = planned(seen, {**CUDA_13, "origin": "distribution"}).errors
    assert (
        "nvidia_driver_origin is distribution, and the two do not fit together: set nvidia_driver_origin: nvidia"
        in error
    )
    assert planned(seen, {**CUDA_13, "origin": "nvidia"}).errors == []
    # What the role put there itself is the role's to replace.
    ours = {**seen["driver"], "prepared": {"digest": "0", "intact": True}}
    assert planned({**seen, "driver": ours}, {**CUDA_13, "origin": "distribution"}).errors == []


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (keeps("runfile", "580.95.05"), "nvidia_driver_branch is 595, and driver 580.95.05 runs."),
        (lxc("healthy", "580.95.05", "580.95.05"), "upgrade that machine to driver 595"),
        (wsl("581.29"), "in Windows to driver 595"),
    ],
)
def test_a_branch_that_is_asked_for(seen: Json, words: str) -> None:
    (error,) = planned(seen, {"branch": 595}).errors
    assert words in error


def test_a_card_that_takes_a_newer_driver_or_other_modules() -> None:
    old = facts("ubuntu24.04", "RTX 5060 Ti", state="healthy", version="570.1", driver={"brought_by": "runfile"})
    (error,) = planned(old).errors
    assert "(10de:2d04, Blackwell) takes driver 575.51.02 or newer" in error
    assert "install driver 580 or newer from" in error
    assert "install driver 575.51.02 or newer from" in planned(old, {}).errors[0]
    about = {"brought_by": "unknown", "open_modules": False}
    closed = facts("ubuntu24.04", "B200", state="healthy", version="580.1", driver=about)
    assert "the open kernel modules, and the proprietary ones are loaded" in planned(closed).errors[0]


@pytest.mark.parametrize("options", [{"power_limit_w": 300}, {"module_options": {"NVreg_A": 1}}])
def test_what_cannot_be_set_from_a_container(options: Json) -> None:
    (error,) = planned(lxc("healthy", "580.95.05", "580.95.05"), options).errors
    assert f"so nvidia_driver_{next(iter(options))} cannot be set from here" in error
    assert planned(keeps("runfile", "580.95.05"), options).due == ["configure", "start"]


def test_upgrades_would_part_a_container_from_its_machine() -> None:
    seen = {**lxc("healthy", "580.95.05", "580.95.05"), "packages": {"libnvidia-compute-580": {"held": False}}}
    made = planned(seen)
    assert (made.due, made.errors) == ([], [])
    assert "`apt-mark hold libnvidia-compute-580`" in made.warnings[0]
    assert planned(seen, {**CUDA_13, "hold": False}).warnings == []


def test_a_run_file_over_what_the_role_had_installed() -> None:
    about = {"prepared": {"digest": "0", "intact": True}}
    made = planned(keeps("runfile", "580.95.05", driver=about))
    assert "nvidia-uninstall" in made.errors[0]


def test_a_host_of_class_cpu_is_nobodys_business() -> None:
    assert plan(wsl("560.94"), CUDA_13, "cpu").errors == []


def test_facts_of_an_older_release_know_nothing_of_this() -> None:
    seen = facts("ubuntu24.04", state="healthy", version="550.54.14")
    assert planned(seen).due == ["install", "configure", "hold", "start"]
