# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A driver is installed, or the host is as it was."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._driver.installing import ROOM, Ports, Refused, carry_out
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import prepared
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.files import Files

Json = dict[str, t.Any]

KERNEL = "6.1.0-50-amd64"
BEFORE = {"bash": "5.2", "libc6": "2.36"}
DRIVER = ["nvidia-open-kernel-dkms", "libcuda1"]
PIN = "/etc/apt/preferences.d/gpufleet.pref"


class Host:
    """A host with a package manager that keeps count. `fails`: a word of a command, and what the manager says then."""

    def __init__(self, root: pathlib.Path, **fails: str) -> None:
        self.files = Files(str(root))
        self.installed = dict(BEFORE)
        self.held: set[str] = set()
        self.fails = fails
        self.free = dict.fromkeys(ROOM, 100_000)
        self.builds = True
        self.modules: set[str] = set()
        self.removes = ""
        self.ran: list[str] = []

    def run(self, command: t.Sequence[str]) -> tuple[int, str]:
        words = list(command)
        said = " ".join(words)
        if words[0] in ("dpkg-query", "rpm"):
            return 0, "".join(f"ii \t{name}\t{version}\n" for name, version in self.installed.items())
        self.ran.append(said)
        for word, reason in self.fails.items():
            if f"--{word.replace('_', '-')}" in words or word in words:
                return 100, f"Reading package lists...\n{reason}\n"
        if "--simulate" in words:
            return 0, self.removes
        names = [word for word in words[1:] if not word.startswith("-")]
        return self._do(words, names)

    def _do(self, words: list[str], names: list[str]) -> tuple[int, str]:
        if "purge" in words or "remove" in words:
            verb = "purge" if "purge" in words else "remove"
            for name in names[names.index(verb) + 1 :]:
                self.installed.pop(name)
        elif "install" in words and "--download-only" not in words and "--downloadonly" not in words:
            for name in names[names.index("install") + 1 :]:
                bare, _sign, version = name.partition("=")
                self.installed[bare] = version or "580"
            if self.builds and set(DRIVER) & set(self.installed):
                self.modules.add(KERNEL)
        elif words[:2] == ["apt-mark", "hold"]:
            self.held |= set(words[2:])
        elif words[:2] == ["apt-mark", "showhold"]:
            return 0, "\n".join(sorted(self.held))
        elif words[0] == "dkms" and self.fails.get("late"):
            self.modules.add(KERNEL)
        return 0, ""

    @property
    def ports(self) -> Ports:
        return Ports(self.run, self.files, self.free.__getitem__, self.modules.__contains__, lambda: "gcc: error: no")


def params(**changed: t.Any) -> Json:
    return {
        "manager": "apt",
        "preparations": [],
        "first": ["nvidia-driver-pinning-580"],
        "locks": [],
        "headers": [f"linux-headers-{KERNEL}"],
        "packages": DRIVER,
        "changes": False,
        "files": {PIN: "Package: *\n"},
        "digest": "d1",
        "dkms": True,
        "kernel": KERNEL,
        "hold": True,
        "hold_too": ["linux-image-amd64"],
        "lock_timeout": 60,
        **changed,
    }


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    return Host(tmp_path)


def test_it_is_installed_and_held(host: Host, tmp_path: pathlib.Path) -> None:
    result = carry_out(params(), host.ports, False)
    assert result["changed"] is True
    assert set(result["packages"]) == {*DRIVER, "nvidia-driver-pinning-580", f"linux-headers-{KERNEL}"}
    assert host.held == {*DRIVER, "nvidia-driver-pinning-580"}
    assert prepared.prepared(str(tmp_path)) == {"digest": "d1", "intact": True}
    order = [" ".join(word for word in command.split() if not word.startswith("-")).split()[-1] for command in host.ran]
    assert order.index("nvidia-driver-pinning-580") == 0


def test_a_second_time_nothing_happens(host: Host) -> None:
    carry_out(params(), host.ports, False)
    host.ran.clear()
    assert carry_out(params(), host.ports, False) == {"changed": False, "packages": [], "paths": []}
    assert host.ran == ["apt-mark showhold"]


def test_check_mode_tells_and_does_nothing(host: Host, tmp_path: pathlib.Path) -> None:
    result = carry_out(params(), host.ports, True)
    assert (result["changed"], result["paths"]) == (True, [PIN])
    assert (host.ran, list(tmp_path.iterdir())) == ([], [])
    carry_out(params(), host.ports, False)
    assert carry_out(params(), host.ports, True)["changed"] is False


def test_files_of_an_earlier_plan_go(host: Host, tmp_path: pathlib.Path) -> None:
    carry_out(params(files={PIN: "a", "/etc/old": "b"}), host.ports, False)
    carry_out(params(digest="d2"), host.ports, False)
    assert not (tmp_path / "etc/old").exists()
    assert json.loads((tmp_path / prepared.STAMP).read_text())["digest"] == "d2"


def test_a_driver_of_somebody_elses_is_held_and_nothing_besides(host: Host, tmp_path: pathlib.Path) -> None:
    host.installed |= {"nvidia-driver": "580", "linux-image-amd64": "6", "nvidia-container-toolkit": "1"}
    nothing: Json = {"first": [], "headers": [], "packages": [], "digest": "", "dkms": False}
    assert carry_out(params(**nothing), host.ports, False)["changed"] is True
    assert host.held == {"nvidia-driver", "linux-image-amd64"}
    assert prepared.prepared(str(tmp_path)) is None


def test_without_holds(host: Host) -> None:
    carry_out(params(hold=False), host.ports, False)
    assert host.held == set()


@pytest.mark.parametrize(
    ("fails", "words"),
    [
        pytest.param(
            {"simulate": "E: Unable to locate package libcuda1"}, "Unable to locate package libcuda1.", id="name"
        ),
        pytest.param(
            {"simulate": f"E: Unable to locate package linux-headers-{KERNEL}"},
            f"Kernel {KERNEL} boots next, and its headers cannot be had",
            id="headers",
        ),
        pytest.param(
            {"download_only": "E: Failed to fetch http://x  Could not connect"}, "Could not connect", id="network"
        ),
        pytest.param(
            {"install": "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt)"},
            "held by process 7 (apt)",
            id="lock",
        ),
        pytest.param({"download_only": "W: x\nE: No space left on device"}, "No space left on device", id="full"),
        pytest.param({"download_only": "something new"}, "something new", id="words that nobody knows"),
    ],
)
def test_what_fails_before_anything_is_installed(
    host: Host, tmp_path: pathlib.Path, fails: dict[str, str], words: str
) -> None:
    host.fails = fails
    with pytest.raises(Refused, match="The driver cannot be installed") as refused:
        carry_out(params(), host.ports, False)
    assert words in str(refused.value)
    assert str(refused.value).endswith("The host is as it was.")
    assert host.installed == BEFORE
    assert not (tmp_path / PIN.lstrip("/")).exists()
    assert not (tmp_path / prepared.STAMP).exists()


def test_no_room(host: Host, tmp_path: pathlib.Path) -> None:
    host.free["/usr"] = 100
    with pytest.raises(Refused, match="/usr has 100 MiB free, and a driver takes up to 1500: nothing was changed"):
        carry_out(params(), host.ports, False)
    assert host.ran == []
    assert not (tmp_path / PIN.lstrip("/")).exists()


def test_what_would_have_to_go(host: Host) -> None:
    host.removes = "Remv xserver-xorg [1]\nRemv libnvidia-old [1]\nInst libcuda1\n"
    with pytest.raises(Refused, match="xserver-xorg would have to be removed for it") as refused:
        carry_out(params(), host.ports, False)
    assert "libnvidia-old" not in str(refused.value)
    assert host.installed == BEFORE


def test_a_build_that_fails_is_rolled_back(host: Host) -> None:
    host.builds = False
    with pytest.raises(Refused) as refused:
        carry_out(params(), host.ports, False)
    message = str(refused.value)
    assert f"There is no module for kernel {KERNEL}, which boots next. The build says: gcc: error: no" in message
    assert message.endswith("The host is as it was.")
    assert host.installed == BEFORE
    assert f"dkms autoinstall -k {KERNEL}" in host.ran


def test_a_kernel_that_the_package_did_not_build_for_is_built_for(host: Host) -> None:
    host.builds, host.fails = False, {"late": "yes"}
    assert carry_out(params(), host.ports, False)["changed"] is True


def test_signed_modules_are_not_built(host: Host) -> None:
    host.builds = False
    assert carry_out(params(dkms=False), host.ports, False)["changed"] is True


def test_an_upgrade_that_fails_brings_the_versions_back(host: Host) -> None:
    old = {**BEFORE, "libcuda1": "570", "nvidia-open-kernel-dkms": "570"}
    host.installed, host.builds = dict(old), False
    with pytest.raises(Refused, match="The host is as it was"):
        carry_out(params(changes=True), host.ports, False)
    assert host.installed == old


def test_what_cannot_be_rolled_back_is_said(host: Host) -> None:
    host.builds, host.fails = False, {"purge": "E: dpkg was interrupted"}
    with pytest.raises(Refused, match=r"could not be rolled back altogether \(E: dpkg was interrupted\)"):
        carry_out(params(), host.ports, False)


def test_holds_that_fail(host: Host) -> None:
    host.fails = {"hold": "E: no"}
    with pytest.raises(Refused, match="not all of it is in place: E: no"):
        carry_out(params(), host.ports, False)


def test_a_package_manager_that_says_nothing_is_not_believed(host: Host) -> None:
    host.installed = {}
    with pytest.raises(Refused, match="does not say what is installed"):
        carry_out(params(), host.ports, False)
    assert host.ran == []


def test_enterprise_linux(host: Host) -> None:
    wanted = params(
        manager="dnf",
        preparations=[["dnf", "config-manager", "--set-enabled", "crb"]],
        first=["python3-dnf-plugin-versionlock"],
        locks=["*nvidia*580*"],
    )
    assert carry_out(wanted, host.ports, False)["changed"] is True
    assert host.ran[0] == "dnf config-manager --set-enabled crb"
    assert "dnf versionlock add --raw *nvidia*580*" in host.ran
    assert not any("apt" in command for command in host.ran)


def test_enterprise_linux_takes_back(host: Host) -> None:
    host.builds = False
    with pytest.raises(Refused, match="The host is as it was"):
        carry_out(params(manager="dnf", first=[]), host.ports, False)
    assert host.installed == BEFORE
