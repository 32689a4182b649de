# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is due on a host, and everything that it takes."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._driver import plan as planning
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._driver import cases
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._driver.machines import facts, on_bus

Json = dict[str, t.Any]

INSTALL = ["install", "configure", "hold", "start"]
PACKAGES = {"nvidia-driver-cuda": True, "nvidia-kernel-open-dkms": True, "nvidia-persistenced": True}
UNHELD = dict.fromkeys(PACKAGES, False)


@pytest.mark.parametrize("name", sorted(cases.CASES))
def test_the_whole_plan(name: str) -> None:
    assert cases.rendered(name) == json.loads((cases.FOLDER / f"{name}.json").read_text())


def test_every_golden_file_has_a_case() -> None:
    assert {path.stem for path in cases.FOLDER.glob("*.json")} == set(cases.CASES)


def plan(seen: t.Any, options: Json | None = None, **about: t.Any) -> planning.Plan:
    return planning.plan(seen, options or {}, **about)


def done(**changed: t.Any) -> t.Any:
    """A host on which the role has finished."""
    digest = plan(facts("debian12")).details["apply"]["digest"]
    driver = {
        "open_modules": True,
        "prepared": {"digest": digest, "intact": True},
        **changed.pop("driver", {}),
    }
    boot = {"driver_module": True, **changed.pop("boot", {})}
    return facts(
        "debian12",
        **{"state": "healthy", "version": "580.95.05", "packages": PACKAGES, **changed},
        driver=driver,
        boot=boot,
    )


def test_a_host_that_is_done_has_no_steps() -> None:
    assert plan(done()).due == []


def test_a_new_kernel_is_no_new_plan() -> None:
    assert plan(done(boot={"kernel": "6.1.0-41-amd64"})).due == []


@pytest.mark.parametrize(
    ("seen", "due"),
    [
        pytest.param(facts("debian12"), INSTALL, id="no driver"),
        pytest.param(facts("debian12", state="driver_without_gpu", version="535.261.03"), INSTALL, id="card too new"),
        pytest.param(done(driver={"prepared": {"digest": "0", "intact": True}}), INSTALL, id="another plan"),
        pytest.param(
            done(driver={"prepared": {**done()["driver"]["prepared"], "intact": False}}),
            INSTALL,
            id="a file of ours changed",
        ),
        pytest.param(
            done(boot={"driver_module": False}), ["install", "hold", "start"], id="a new kernel without module"
        ),
        pytest.param(done(packages=UNHELD), ["hold", "start"], id="no longer held"),
        pytest.param(done(state="driver_library_mismatch"), ["start"], id="upgraded under the running kernel"),
        pytest.param(done(state="driver_not_loaded"), ["start"], id="installed, not loaded"),
        pytest.param(
            facts("debian12", state="driver_not_loaded", version="580.95.05"),
            INSTALL,
            id="somebody's, without a module",
        ),
        pytest.param(
            facts("debian12", state="driver_not_loaded", version="580.95.05", boot={"driver_module": True}),
            ["configure", "start"],
            id="somebody's, asleep",
        ),
        pytest.param(done(state="gpu_lost"), [], id="a GPU that is lost is no matter of drivers"),
        pytest.param(facts("debian12", state="no_gpu", pci=[]), [], id="no GPU"),
        pytest.param(facts("debian12", state="no_gpu", pci=[on_bus("0x2503", driver="vfio-pci")]), [], id="passed on"),
        pytest.param(
            facts("debian12", state="unsupported_vendor", pci=[on_bus("0x744c", vendor="0x1002")]), [], id="AMD"
        ),
        # Drivers that others installed: held where they are packages, else left alone.
        pytest.param(facts("debian12", state="healthy", version="580.95.05"), [], id="by a .run file"),
        pytest.param(
            facts("debian12", state="healthy", version="580.95.05", packages=UNHELD),
            ["hold", "start"],
            id="packages that nothing holds",
        ),
        pytest.param(
            facts("ubuntu24.04", "T4", state="healthy", version="570.1"), [], id="another branch that will do"
        ),
        pytest.param(
            facts("debian12", state="healthy", version="580.95.05", os={"id": "fedora"}),
            [],
            id="Fedora",
        ),
        pytest.param(facts("debian12", "GTX 1080", state="healthy", version="580.95.05"), [], id="a card of old"),
        pytest.param(
            facts("debian12", "B200", state="healthy", version="580.95.05", driver={"open_modules": False}),
            INSTALL,
            id="closed modules on a card that takes open ones",
        ),
    ],
)
def test_due(seen: Json, due: list[str]) -> None:
    made = plan(seen)
    assert (made.errors, made.due) == ([], due)


@pytest.mark.parametrize(
    ("options", "due"),
    [
        ({"branch": 580}, []),
        ({"branch": 595}, INSTALL),
        ({"cuda": "13.0"}, []),
        ({"power_limit_w": 200}, ["configure", "start"]),
    ],
)
def test_wishes_for_a_driver_that_others_installed(options: Json, due: list[str]) -> None:
    assert plan(facts("debian12", state="healthy", version="580.95.05"), options).due == due


def test_a_driver_too_old_for_the_image_is_replaced() -> None:
    made = plan(facts("debian12", state="healthy", version="570.1"), {"cuda": "13.0"})
    assert (made.due, made.details["branch"]) == (INSTALL, 580)


def test_a_host_of_class_cpu_gets_no_driver() -> None:
    assert plan(facts("debian12"), host_class="cpu").due == []


@pytest.mark.parametrize(
    ("settings", "arguments", "seconds"),
    [
        ({}, {}, 60),
        ({"timeouts": {"drain": 300}}, {}, 330),
        ({"timeouts": {"drain": 0, "stop": 10}}, {}, 10),
        ({"timeouts": {"stop": 10}}, {"shutdown_timeout": 200}, 210),
        ({}, {"shutdown_timeout": "long"}, 60),
    ],
)
def test_servers_have_their_own_time_to_end(settings: Json, arguments: Json, seconds: int) -> None:
    current = {"settings": settings, "release": {"arguments": arguments}}
    serving = [{"name": "assistant", "container": {"running": True}, "current": current}]
    assert plan(done(instances=serving), {"branch": 595}).details["stop_seconds"] == seconds


def test_servers_are_stopped_only_where_the_driver_changes_under_them() -> None:
    serving = [{"name": "assistant", "container": {"running": True}}, {"name": "idle", "container": None}]
    for seen in (done(instances=serving), facts("ubuntu24.04", state="healthy", version="580.1", instances=serving)):
        assert plan(seen, {"branch": 595}).details["drain"] == ["assistant"]
    assert plan(done(instances=serving, boot={"driver_module": False})).details["drain"] == []
    assert plan(done(instances=serving, boot={"driver_module": False})).details["stop_seconds"] == 0
    assert plan(done(instances=serving), {"power_limit_w": 200}).details["drain"] == []


def test_a_rollout_that_is_under_way_is_waited_for() -> None:
    made = plan(facts("debian12", instances=[{"name": "assistant", "transaction": "rollout"}]))
    assert "A rollout of assistant is under way" in made.errors[0]


@pytest.mark.parametrize(("container", "refused"), [("vllm-assistant", False), ("theirs", True)])
def test_a_reload_of_systemd_takes_gpus_from_containers_of_the_legacy_hook(container: str, refused: bool) -> None:
    engine = {"legacy_gpu_containers": [container]}
    serving = [{"name": "assistant", "container": {"running": True}}]
    made = plan(done(engine=engine, instances=serving), {"branch": 595})
    assert bool(made.errors) is refused
    assert all(container in error for error in made.errors)
    assert plan(done(engine=engine, packages=UNHELD)).errors == []


def test_a_host_without_systemd() -> None:
    assert "does not run systemd" in plan(facts("debian12", systemd=False)).errors[0]


@pytest.mark.parametrize(
    ("options", "control", "allowed", "because"),
    [
        ({}, {}, False, "nvidia_driver_reboot is false"),
        ({"reboot": True}, {"machine": "bb"}, True, ""),
        ({"reboot": True}, {"machine": "aa"}, False, "it is the control node"),
        ({"reboot": True}, {"local": True}, False, "it is the control node"),
    ],
)
def test_reboot(options: Json, control: Json, allowed: bool, because: str) -> None:
    reboot = plan(facts("debian12"), options, control=control).details["reboot"]
    assert reboot["allowed"] is allowed
    assert because in reboot["because"]


@pytest.mark.parametrize(
    ("seen", "options", "words"),
    [
        (
            facts("debian12"),
            {},
            ["The state is no_driver. Found driver none, right would be branch 580 with open modules"],
        ),
        (
            facts("debian12", state="healthy", version="570.1"),
            {"branch": 580},
            ["Found driver 570.1, right would be branch 580"],
        ),
        (done(state="driver_library_mismatch"), {}, ["The state is driver_library_mismatch."]),
        (done(packages=UNHELD), {}, ["packages are not held"]),
        (facts("debian12", "GTX 1080"), {}, ["The state is no_driver.", "compute capability 6.0"]),
        (facts("debian12", secure_boot=True), {}, ["The state is no_driver.", "Secure Boot is on"]),
        (done(), {}, []),
    ],
)
def test_a_host_that_is_not_ours_to_change(seen: Json, options: Json, words: list[str]) -> None:
    made = plan(seen, {**options, "manage": False})
    assert (made.due, made.errors) == ([], [])
    assert len(made.missing) == len(words)
    for sentence, part in zip(made.missing, words, strict=True):
        assert part in sentence


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"branch": "581"}, "nvidia_driver_branch is '581', which is no branch"),
        ({"branch": "new"}, "nvidia_driver_branch is 'new'"),
        ({"origin": "ppa"}, "nvidia_driver_origin is 'ppa', expected one of auto, nvidia, distribution"),
        ({"modules": "closed"}, "nvidia_driver_modules is 'closed', expected one of auto, open, proprietary"),
        ({"cuda": "13"}, "nvidia_driver_cuda is '13', expected a release such as 13.0"),
        ({"power_limit_w": "much"}, "nvidia_driver_power_limit_w is 'much', expected a whole number of watts"),
        ({"module_options": {"a b": 1}}, "nvidia_driver_module_options is {'a b': 1}"),
        ({"module_options": {"a": "1\ninstall x"}}, "nvidia_driver_module_options is"),
        ({"module_options": "a=1"}, "nvidia_driver_module_options is 'a=1'"),
    ],
)
def test_wishes_that_are_wrong(options: Json, words: str) -> None:
    (error,) = plan(facts("debian12"), options).errors
    assert words in error


def test_everything_that_is_wrong_is_said_at_once() -> None:
    made = plan(facts("el10", secure_boot=True), {"branch": "1", "origin": "x"})
    assert len(made.errors) == 3


def test_a_key_that_is_not_known_here_is_asked_for() -> None:
    (error,) = plan(facts("el10")).errors
    assert "CDF6BA43.pub" in error
    assert "set nvidia_driver_key_fingerprint" in error


def test_a_version_of_vllm_that_is_wrong_is_the_planners_to_tell() -> None:
    assert plan(facts("debian12"), {"image": "vllm/vllm-openai:v1", "version": "new"}).errors == []


def test_the_image_decides() -> None:
    made = plan(
        facts("debian12", "RTX 3060"),
        {"image": "docker.io/vllm/vllm-openai:v0.32.0", "version": "0.32.0", "origin": "distribution"},
    )
    assert "CUDA 13.0, which takes branch 580" in made.errors[0]


@pytest.mark.parametrize("word", ["false", "No", "off", "0", " False ", False, 0])
def test_a_switch_in_any_word(word: t.Any) -> None:
    made = plan(facts("debian12"), {"manage": word, "reboot": word, "hold": word, "persistence": word})
    assert (made.due, made.details["apply"]["hold"], made.details["persistence"]) == ([], False, False)
    assert made.details["reboot"]["because"].startswith("nvidia_driver_reboot is false")


@pytest.mark.parametrize("blank", ["", "  ", None])
def test_a_blank_switch_is_unset(blank: t.Any) -> None:
    asked = dict.fromkeys(("manage", "reboot", "hold", "persistence"), blank)
    assert plan(facts("debian12"), asked) == plan(facts("debian12"))


def test_a_switch_that_is_none() -> None:
    assert (
        "nvidia_driver_reboot is 'maybe': write true or false." in plan(facts("debian12"), {"reboot": "maybe"}).errors
    )
