# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container may do is what its release's own schema says, whoever makes it, and when."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker import hardening
from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.container import create_body, version_probe_body
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout import belongings
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.parser import probe_body
from ansible_collections.gpufleet.vllm.plugins.module_utils._state import deadlines
from ansible_collections.gpufleet.vllm.plugins.module_utils._state import state as states
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import Entry
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import (
    IMAGE,
    IMAGE_ID,
    NAME,
    Json,
    digest_of,
    plan,
    release,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

# Written by the program before container settings had a schema.
STATE = pathlib.Path(__file__).resolve().parents[4] / "data" / "releases" / "state-2.json"
OLD, NEW = 1024, 2048
CPU: Json = {"mode": "none", "uuids": []}
GPU: Json = {"mode": "cdi", "uuids": ["GPU-1"]}


def hardened(
    folder: str = "/srv/by-instance/assistant", length: int = OLD, gpus: Json | None = None, **more: t.Any
) -> t.Any:
    """A release as the planner makes it now."""
    volumes = [f"{folder}:/var/cache/gpufleet/vllm:rw", "/srv/hub:/var/cache/gpufleet/hub:rw"]
    container = {**release()["container"], "schema": 2, "volumes": volumes, **more}
    return release(length, container=container, gpus=gpus or CPU)


def options(document: t.Any, selinux: bool = False) -> Json:
    return t.cast(Json, create_body(document, "d", IMAGE_ID, selinux=selinux)["HostConfig"])


def roll_out(scene: Scene, document: t.Any, **changes: t.Any) -> str:
    wanted = {**plan(), "release": document, "digest": digest_of(document)}
    return scene.request({"kind": "rollout", "plan": wanted, **changes})


@pytest.fixture
def chowned(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What was given to somebody, by whom the tests run as."""
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "fchown", lambda _place, uid, gid: found.append((uid, gid)))
    return found


def test_schema_1_asks_for_what_it_always_did() -> None:
    for selinux in (False, True):
        asked = options(release(), selinux)
        assert asked["SecurityOpt"] == ["no-new-privileges"]
        assert asked["Binds"] == release()["container"]["volumes"]
        assert not {"CapDrop", "CapAdd", "PidsLimit", "Memory"} & set(asked)
    assert "User" not in create_body(release(), "d", IMAGE_ID)


def test_schema_2_drops_what_vllm_does_not_need() -> None:
    asked = options(hardened())
    assert (asked["CapDrop"], asked["CapAdd"]) == (["ALL"], ["DAC_OVERRIDE"])
    assert (asked["PidsLimit"], asked["SecurityOpt"]) == (hardening.PIDS, ["no-new-privileges"])
    assert "Memory" not in asked


def test_options_of_the_instance() -> None:
    document = hardened(user="1000:1000", memory_limit_mib=4096)
    asked = options(document)
    assert asked["Memory"] == asked["MemorySwap"] == 4096 * 1024 * 1024
    assert asked["CapAdd"] == [], "who is not root could not use it"
    assert create_body(document, "d", IMAGE_ID)["User"] == "1000:1000"
    assert options(hardened(user="0:0"))["CapAdd"] == ["DAC_OVERRIDE"]


def test_probes_may_do_nothing() -> None:
    entry = Entry("d", release(), {}, {}, image_id=IMAGE_ID)
    for body in (version_probe_body(IMAGE_ID), probe_body(entry)):
        asked = body["HostConfig"]
        assert (asked["CapDrop"], asked["SecurityOpt"]) == (["ALL"], ["no-new-privileges"])
        assert asked["PidsLimit"] == hardening.PIDS and "CapAdd" not in asked


@pytest.mark.parametrize(
    ("gpus", "selinux", "labels", "security"),
    [
        (CPU, False, ("rw", "rw"), ["no-new-privileges"]),
        (CPU, True, ("rw,Z", "rw,z"), ["no-new-privileges"]),
        (GPU, False, ("rw", "rw"), ["no-new-privileges"]),
        # Its policy lets no container that it confines open NVIDIA's device nodes.
        (GPU, True, ("rw", "rw"), ["no-new-privileges", "label=disable"]),
    ],
)
def test_selinux(gpus: Json, selinux: bool, labels: tuple[str, str], security: list[str]) -> None:
    document = hardened(gpus=gpus)
    asked = options(document, selinux)
    assert tuple(volume.rsplit(":", 1)[1] for volume in asked["Binds"]) == labels
    assert asked["SecurityOpt"] == security
    probe = probe_body(Entry("d", document, {}, {}, image_id=IMAGE_ID), selinux)
    assert probe["HostConfig"]["SecurityOpt"] == security


@pytest.mark.parametrize(
    ("info", "labels"),
    [
        ({}, False),
        ({"SecurityOptions": None}, False),
        ({"SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"]}, False),
        ({"SecurityOptions": ["name=seccomp,profile=builtin", "name=selinux"]}, True),
        ({"SecurityOptions": ["name=selinux,mode=x"]}, True),
        ({"SecurityOptions": ["name=selinuxish"]}, False),
    ],
)
def test_what_docker_says_of_selinux(info: Json, labels: bool) -> None:
    assert hardening.has_selinux(info) is labels


def test_what_docker_is_asked_of_selinux_reaches_the_container(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene.docker, "get", lambda _path: {"SecurityOptions": ["name=selinux"]})
    assert roll_out(scene, hardened(str(scene.folder / "cache"))) == "verified"
    made = scene.docker.named(f"vllm-{NAME}")
    assert made is not None and made["HostConfig"]["Binds"][0].endswith(":rw,Z")


def test_the_cache_is_there_and_belongs_to_the_user(scene: Scene, chowned: list[tuple[int, int]]) -> None:
    folder = scene.folder / "by-instance" / "assistant.4321"
    assert roll_out(scene, hardened(str(folder), user="4321:99")) == "verified"
    assert (folder.stat().st_mode & 0o777, chowned) == (0o700, [(4321, 99)])


def test_a_cache_for_the_user_of_the_image(scene: Scene, chowned: list[tuple[int, int]]) -> None:
    scene.docker.images[IMAGE] = {"Id": IMAGE_ID, "Config": {"Entrypoint": ["vllm", "serve"], "User": "2000:0"}}
    assert roll_out(scene, hardened(str(scene.folder / "cache"))) == "verified"
    assert chowned == [(2000, 0)]


def test_a_link_in_the_place_of_the_cache_is_not_followed(scene: Scene, chowned: list[tuple[int, int]]) -> None:
    elsewhere = scene.folder / "etc"
    elsewhere.mkdir()
    (scene.folder / "cache").symlink_to(elsewhere)
    scene.roll_out(OLD)
    assert roll_out(scene, hardened(str(scene.folder / "cache"), NEW, user="4321:4321")) == "rolled_back"
    assert scene.last()["facts"]["failure"]["failure_class"] == "cache.folder"
    assert chowned == [] and scene.serves() == OLD
    assert scene.store.load().rejected == (), "the disk is to blame, not the release"


def test_a_rollback_starts_the_older_container_unchanged(scene: Scene) -> None:
    assert scene.roll_out(OLD) == "verified"
    before = scene.docker.named(f"vllm-{NAME}")
    assert before is not None
    assert roll_out(scene, hardened(str(scene.folder / "cache"), NEW)) == "verified"
    assert scene.ask("rollback") == "verified"
    after = scene.docker.named(f"vllm-{NAME}")
    assert after is not None and (after["Id"], after["HostConfig"]) == (before["Id"], before["HostConfig"])


def test_a_container_that_is_gone_is_made_again_in_its_own_schema(scene: Scene) -> None:
    assert scene.roll_out(OLD) == "verified"
    assert roll_out(scene, hardened(str(scene.folder / "cache"), NEW)) == "verified"
    kept = scene.docker.named(f"vllm-{NAME}-previous")
    assert kept is not None
    del scene.docker.containers[kept["Id"]]
    assert scene.ask("rollback") == "verified"
    again = scene.docker.named(f"vllm-{NAME}")
    assert again is not None and "CapDrop" not in again["HostConfig"]


def test_a_newer_schema_is_nothing_to_start(scene: Scene) -> None:
    scene.roll_out(OLD)
    assert roll_out(scene, hardened(str(scene.folder / "cache"), NEW, schema=3)) == "refused"
    assert "a newer gpufleet.vllm made it" in scene.last()["detail"].lower()
    assert scene.serves() == OLD


def test_the_state_of_the_program_before_is_read(scene: Scene) -> None:
    """Its containers serve on, and what it rejected stays rejected."""
    scene.roll_out(512)
    scene.roll_out(OLD)
    shutil.copy(STATE, scene.store.path("state.json"))
    state = scene.store.load()
    assert state.current is not None and hardening.schema_of(state.current.release) == hardening.FIRST
    assert state.current.digest == plan(OLD)["digest"]
    assert (scene.recover(), scene.serves()) == ("", OLD)
    written = json.loads(states.dump(state))["state"]
    since: dict[str, t.Any] = {"resting": None, "turn": None, "others": [], "instead_of": []}
    assert {**written, "current": {**written["current"], "settings": {}}} == {
        **since,
        **(before := json.loads(STATE.read_text())["state"]),
        "current": {**before["current"], "settings": {}},
    }
    assert roll_out(scene, hardened(str(scene.folder / "cache"), 4096)) == "verified"
    assert scene.ask("rollback") == "verified" and scene.serves() == OLD


def test_a_start_that_compiles_again_has_the_time_of_a_first_one() -> None:
    known = Entry("a", release(), {}, {}, image_id=IMAGE_ID, verified_at="2026", start_seconds=10.0)
    same, other = (Entry("b", one, {}, {}, image_id=IMAGE_ID) for one in (release(NEW), hardened()))
    assert deadlines.ready_limit(same, [known]).seconds == deadlines.LEAST_READY
    assert deadlines.ready_limit(other, [known]).seconds == deadlines.FIRST_READY


@pytest.mark.parametrize(
    ("stated", "image", "owner"),
    [
        ("", None, (0, 0)),
        ("", "root", (0, 0)),
        ("", "2000", (2000, 0)),
        ("", "2000:0", (2000, 0)),
        ("", "2000:users", (2000, 0)),
        ("", "vllm", None),
        ("", "²", None),
        ("", "4294967295", None),
        ("", "9" * 5000, None),
        ("", "7:4294967295", (7, 0)),
        ("1000:7", "vllm", (1000, 7)),
    ],
)
def test_whose_a_container_is(stated: str, image: str | None, owner: tuple[int, int] | None) -> None:
    document = hardened(user=stated)
    assert belongings.user_of(document, {"Config": {"User": image}}) == owner


def test_a_key_is_handed_over_before_each_start(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The candidate runs as somebody else: the one that is put back has to be able to read its key again."""
    owners: list[int] = []
    monkeypatch.setattr(os, "chown", lambda _path, uid, _gid: owners.append(uid))
    monkeypatch.setattr(os, "fchown", lambda _place, _uid, _gid: None)
    mark = {"api_key": {"fingerprint": "f" * 64, "path": "/run/key.yaml"}}
    old: t.Any = {**release(OLD), **mark}
    new: t.Any = {**hardened(str(scene.folder / "cache"), NEW, user="4321:4321"), **mark}
    scene.keys.keep(old, ["k" * 16])
    scene.docker.engines[digest_of(old)] = Engine(api_key="k" * 16)
    scene.docker.engines[digest_of(new)] = Engine(api_key="k" * 16, exits_after=1.0)
    assert roll_out(scene, old) == "verified"
    assert roll_out(scene, new) == "rolled_back"
    assert owners[-2:] == [4321, 0]
