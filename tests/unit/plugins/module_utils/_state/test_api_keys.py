# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Key files on a host: written, read by the engine's user alone, asked with, and gone with their release."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import Http
from ansible_collections.gpufleet.vllm.plugins.module_utils._host.proof import prove_instance
from ansible_collections.gpufleet.vllm.plugins.module_utils._host.status import observe_one
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.api_keys import (
    ApiKeyMissing,
    fingerprint,
    host_secret,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import (
    IMAGE,
    IMAGE_ID,
    NAME,
    digest_of,
    release,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

OLD, NEW = "old-key-of-assistant", "new-key-of-assistant"
INSIDE = "/run/gpufleet/api-key.yaml"


@pytest.fixture(autouse=True)
def owners(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Users that files were given to; only root may do that."""
    given: list[int] = []
    monkeypatch.setattr(os, "chown", lambda _path, uid, _gid: given.append(uid))
    return given


def marked(key: str) -> t.Any:
    """The part of a release that says which key it asks for."""
    return {"api_key": {"fingerprint": fingerprint("secret", NAME, [key]), "path": INSIDE}}


def key_files(scene: Scene) -> list[str]:
    folder = pathlib.Path(scene.keys.state_dir, NAME, "api-keys")
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def roll_out(scene: Scene, key: str, length: int = 1024, *, asks: str | None = None) -> str:
    """Bring a key and roll a release out whose engine asks for it, or for another one."""
    document = release(length, **marked(key))
    scene.keys.keep(document, [key])
    scene.docker.engines.setdefault(digest_of(document), Engine(api_key=key if asks is None else asks))
    outcome = scene.roll_out(length, **marked(key))
    scene.keys.prune(scene.store.load())
    return outcome


def test_a_fingerprint_needs_the_secret_of_the_host() -> None:
    mark = fingerprint("secret", NAME, [OLD])
    assert mark == fingerprint("secret", NAME, [OLD])
    others = [
        ("other", NAME, [OLD]),
        ("secret", "second", [OLD]),
        ("secret", NAME, [NEW]),
        ("secret", NAME, [OLD, NEW]),
    ]
    assert mark not in [fingerprint(*other) for other in others]
    assert OLD not in mark


def test_the_secret_of_the_host_is_made_once_and_for_root(tmp_path: pathlib.Path) -> None:
    folder = str(tmp_path / "state")
    assert host_secret(folder, remember=False) != host_secret(folder, remember=False)
    assert not os.path.exists(folder)
    kept = host_secret(folder)
    assert [host_secret(folder), host_secret(folder, remember=False)] == [kept, kept]
    assert os.stat(os.path.join(folder, "fingerprint.secret")).st_mode & 0o777 == 0o400


def test_the_file_is_what_the_engine_reads_and_nobody_else(scene: Scene) -> None:
    document = release(**marked(OLD))
    scene.keys.keep(document, [OLD, NEW])
    path = scene.keys.path(document)
    assert pathlib.Path(path).read_text() == f'{{"api-key": ["{OLD}", "{NEW}"]}}'
    assert os.stat(path).st_mode & 0o777 == 0o400
    assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    assert scene.keys.http(Http(), document).token == OLD


def test_a_file_that_is_right_is_left_to_the_user_it_belongs_to(scene: Scene) -> None:
    document = release(**marked(OLD))
    scene.keys.keep(document, [OLD])
    before = os.stat(scene.keys.path(document))
    scene.keys.keep(document, [OLD])
    assert os.stat(scene.keys.path(document)).st_ino == before.st_ino


def test_a_release_without_a_key_has_no_file_and_is_asked_without_one(scene: Scene) -> None:
    assert scene.keys.path(release()) == ""
    assert scene.keys.http(scene.host.http, release()).token == ""
    assert scene.roll_out(1024) == "verified"
    assert "Mounts" not in scene.docker.of_instance()[0]["HostConfig"]


@pytest.mark.parametrize("text", [None, "", "{}", '{"api-key": []}', f"api-key: {OLD}"])
def test_a_file_without_a_key_is_missing_and_is_not_quoted(scene: Scene, text: str | None) -> None:
    document = release(**marked(OLD))
    path = pathlib.Path(scene.keys.path(document))
    if text is not None:
        path.parent.mkdir(parents=True)
        path.write_text(text)
    with pytest.raises(ApiKeyMissing) as missing:
        scene.keys.token(document)
    assert OLD not in str(missing.value) and str(path) in str(missing.value)
    assert missing.value.__cause__ is None and missing.value.__suppress_context__


def test_a_rollout_mounts_the_file_and_proves_with_the_key(scene: Scene) -> None:
    assert roll_out(scene, OLD) == "verified"
    serving = scene.docker.serving()
    assert serving is not None
    path = scene.keys.path(release(**marked(OLD)))
    mount = {"Type": "bind", "Source": path, "Target": INSIDE, "ReadOnly": True}
    assert serving["HostConfig"]["Mounts"] == [mount]
    assert prove_instance(scene.store, scene.docker, scene.host.http)["proved"] is True
    scene.assert_settled()


def test_a_rotation_keeps_the_old_key_for_the_rollback_and_no_longer(scene: Scene) -> None:
    assert roll_out(scene, OLD) == "verified"
    assert roll_out(scene, NEW) == "verified"
    assert len(key_files(scene)) == 2
    assert scene.request({"kind": "rollback"}) == "verified"
    assert roll_out(scene, "third-key-of-assistant") == "verified"
    assert roll_out(scene, "fourth-key-of-assistant") == "verified"
    assert len(key_files(scene)) == 2


@pytest.mark.parametrize(
    ("asks", "failure"),
    [("", "smoke.open"), ("another-key-than-that", "smoke.models")],
    ids=["an engine that asks for none", "one that asks for another"],
)
def test_an_engine_that_does_not_take_the_key_is_rolled_back(scene: Scene, asks: str, failure: str) -> None:
    assert roll_out(scene, OLD) == "verified"
    assert roll_out(scene, NEW, asks=asks) == "rolled_back"
    assert scene.last()["facts"]["failure"]["failure_class"] == failure
    assert key_files(scene) == [os.path.basename(scene.keys.path(release(**marked(OLD))))]
    assert prove_instance(scene.store, scene.docker, scene.host.http)["proved"] is True
    assert NEW not in repr(scene.store.load()) + repr(scene.said) + repr(scene.docker.containers)


def test_a_key_that_was_not_brought_is_refused_before_anything_stops(scene: Scene) -> None:
    assert roll_out(scene, OLD) == "verified"
    assert scene.roll_out(1024, **marked(NEW)) == "refused"
    assert scene.last()["facts"]["failure"]["failure_class"] == "api_key.missing"
    assert scene.serves() == 1024


@pytest.mark.parametrize(
    ("user", "owner"), [(None, 0), ("", 0), ("root", 0), ("0:0", 0), ("2000", 2000), ("2000:0", 2000)]
)
def test_the_file_belongs_to_the_user_of_the_image(
    scene: Scene, owners: list[int], user: str | None, owner: int
) -> None:
    scene.docker.images[IMAGE] = {"Id": IMAGE_ID, "Config": {"Entrypoint": ["vllm", "serve"], "User": user}}
    assert roll_out(scene, OLD) == "verified"
    assert set(owners) == {owner}


def test_a_user_that_is_a_name_is_refused(scene: Scene) -> None:
    scene.docker.images[IMAGE] = {"Id": IMAGE_ID, "Config": {"Entrypoint": ["vllm", "serve"], "User": "vllm"}}
    assert roll_out(scene, OLD) == "refused"
    assert scene.last()["facts"]["failure"]["failure_class"] == "api_key.user"
    assert key_files(scene) == []


@pytest.fixture
def lost(scene: Scene) -> t.Callable[[], None]:
    def lose() -> None:
        os.remove(scene.keys.path(release(**marked(OLD))))

    return lose


def test_a_lost_file_is_said_and_repaired_by_the_next_run(scene: Scene, lost: t.Callable[[], None]) -> None:
    assert roll_out(scene, OLD) == "verified"
    lost()
    assert "is missing or holds no API key" in prove_instance(scene.store, scene.docker, scene.host.http)["because"]
    assert (
        "is missing or holds no API key" in observe_one(scene.store, scene.docker, scene.host.http)["unhealthy_because"]
    )
    assert scene.ask("repair", **marked(OLD)) == "refused"
    started = [write for write in scene.docker.writes if write.startswith("start vllm")]
    scene.keys.keep(release(**marked(OLD)), [OLD])
    assert scene.ask("repair", **marked(OLD)) == "repaired"
    assert [write for write in scene.docker.writes if write.startswith("start vllm")] == started


def test_a_removed_instance_leaves_no_key(scene: Scene) -> None:
    assert roll_out(scene, OLD) == "verified"
    assert scene.ask("remove") == "removed"
    scene.keys.prune(scene.store.load())
    assert key_files(scene) == []
