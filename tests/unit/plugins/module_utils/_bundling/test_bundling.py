# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle comes whole, goes on where it stood, is made once, and holds no secret."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle import manifest
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle.manifest import BadBundle
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle.verified import verified
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundling import folder as folders
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundling import parts, whole
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundling.folder import BundleFolder
from ansible_collections.gpufleet.vllm.plugins.module_utils._images import archive_content, archive_image, sources
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.transfer import Failed
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.waits import Patience
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._bundle import bundles
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._images import archives
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._images.test_registry import Reply, Server
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store import models

Json = dict[str, t.Any]
MANIFEST = json.dumps(
    {
        "config": {"digest": archives.ID, "size": len(archives.CONFIG)},
        "layers": [{"digest": archives.digest(one), "size": len(one)} for one in archives.PACKED],
    }
).encode()
INDEX = json.dumps(
    {
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {"digest": archives.digest(b"other"), "platform": {"architecture": "s390x", "os": "linux"}},
            {"digest": archives.digest(MANIFEST), "platform": {"architecture": archives.HERE, "os": "linux"}},
        ],
    }
).encode()
LOGINS: Json = {"username": "me", "password": "hidden-word"}


def test_a_model_is_fetched_once(tmp_path: pathlib.Path) -> None:
    hub = bundles.hub()
    looked = bundles.part(tmp_path / "b", hub, check=True)
    assert looked.changed and looked.missing_bytes == sum(map(len, bundles.CONTENTS.values()))
    assert "2 files of Org/Model at cccccccccccc would be fetched" in looked.msg and not (tmp_path / "b").exists()
    came = bundles.part(tmp_path / "b", hub)
    assert came.changed and [one["path"].rpartition("/")[2] for one in came.part["files"]] == sorted(bundles.CONTENTS)
    asked = len(hub.asked)
    again = bundles.part(tmp_path / "b", hub)
    assert not again.changed and again.part == came.part and len(hub.asked) == asked
    assert not any(path.is_symlink() for path in (tmp_path / "b").rglob("*"))


def test_one_that_was_cut_off_goes_on_where_it_stood(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = bundles.hub()
    url = bundles.FILES[1]["url"]
    hub.faults[url] = [lambda raw: raw[:5000], Failed("the power went")]
    monkeypatch.setattr(Patience, "next", lambda *_self: 0.0)
    with pytest.raises(Failed, match="the power went"):
        bundles.part(tmp_path / "b", hub)
    assert not (tmp_path / "b" / manifest.MODELS / "Org--Model" / models.COMMIT / "model.safetensors").exists()
    bundles.part(tmp_path / "b", hub)
    assert hub.asked[-1] == (url, 5000)


def test_what_was_damaged_is_fetched_again(tmp_path: pathlib.Path) -> None:
    hub = bundles.hub()
    came = bundles.part(tmp_path / "b", hub)
    path = tmp_path / "b" / came.part["files"][0]["path"]
    path.write_bytes(b"[]" * 9)
    again = bundles.part(tmp_path / "b", hub)
    assert again.changed and again.missing_files == 1 and again.part == came.part


def test_two_do_not_make_one_at_a_time_and_a_full_disk_is_told_first(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BundleFolder(str(tmp_path), keep=True), pytest.raises(Failed, match="another run makes the bundle"):
        BundleFolder(str(tmp_path), keep=True)
    hub = bundles.hub()
    monkeypatch.setattr(folders, "room_at", lambda _path: (70 * 2**20 - 1, 9))
    monkeypatch.setattr(folders, "RESERVE", 70 * 2**20)
    with pytest.raises(Failed, match=r"are missing, and .* has room for 0 bytes: free some there"):
        bundles.part(tmp_path, hub)
    assert hub.asked == []


def test_a_look_says_that_all_of_it_together_has_no_room(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = t.cast(Json, bundles.part(tmp_path, bundles.hub(), check=True).part)
    monkeypatch.setattr(folders, "RESERVE", 0)
    monkeypatch.setattr(folders, "room_at", lambda _path: (one["missing"], 9))
    assert whole.write(str(tmp_path), [one, one], ["a"], keep=False)["changed"]
    other = json.loads(json.dumps(one).replace(models.COMMIT, "d" * 40))
    with pytest.raises(Failed, match=r"18.0 kB of the bundle are missing, and .* has room for 9.0 kB: free some"):
        whole.write(str(tmp_path), [one, other], ["a"], keep=False)


@pytest.mark.parametrize("place", ["models", ".gpufleet/parts"])
def test_a_link_in_the_place_of_a_folder_is_named(tmp_path: pathlib.Path, place: str) -> None:
    elsewhere, root = tmp_path / "elsewhere", tmp_path / "b"
    elsewhere.mkdir()
    (root / place).parent.mkdir(parents=True)
    (root / place).symlink_to(elsewhere)
    with pytest.raises(Failed, match=f"as {root / place} is a link or a file, where a folder has to be: move that"):
        bundles.part(root, bundles.hub())
    assert not list(elsewhere.iterdir())


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: pathlib.Path) -> None:
    path = tmp_path / bundles.part(tmp_path, bundles.hub()).part["files"][0]["path"]
    path.unlink()
    path.mkdir()
    with pytest.raises(Failed, match=f"{path} cannot be put there, as a folder has its name: move that away"):
        bundles.part(tmp_path, bundles.hub())


@pytest.mark.parametrize("check", [True, False])
def test_what_is_no_folder_is_named(tmp_path: pathlib.Path, check: bool) -> None:
    (tmp_path / "b").write_text("of somebody else")
    with pytest.raises(Failed, match=f"vllm_bundle_dir is {tmp_path / 'b'}, which is no folder: name another one"):
        bundles.part(tmp_path / "b", bundles.hub(), check)
    assert (tmp_path / "b").read_text() == "of somebody else"


def test_a_revision_or_a_tag_that_moved_between_two_hosts_is_refused(tmp_path: pathlib.Path) -> None:
    one = t.cast(Json, bundles.part(tmp_path, bundles.hub()).part)
    moved = json.loads(json.dumps({**one, "files": []}).replace(models.COMMIT, "d" * 40))
    with pytest.raises(BadBundle, match=r"'Org/Model at main' was c{40} for one host and d{40} for another"):
        whole.write(str(tmp_path), [one, moved], ["a", "b"], keep=True)
    images = [
        manifest.Image(image="o/v:1", digest=f"sha256:{it * 64}", id=f"sha256:{it * 64}", folder=f"images/{it * 64}")
        for it in "12"
    ]
    with pytest.raises(BadBundle, match=r"'o/v:1' was sha256:1{64} for one host and sha256:2{64} for another"):
        manifest.made(["a", "b"], images, [], [])
    assert not (tmp_path / manifest.FILE).exists()


def test_a_manifest_that_no_host_would_read_is_not_written(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = t.cast(Json, bundles.part(tmp_path, bundles.hub()).part)
    monkeypatch.setattr(manifest, "TEXT_LIMIT", 100)
    with pytest.raises(BadBundle, match="bytes, and 100 are read: make several"):
        whole.write(str(tmp_path), [part], ["a"], keep=True)
    assert not (tmp_path / manifest.FILE).exists()


def test_the_manifest_comes_last_and_once(tmp_path: pathlib.Path) -> None:
    part = t.cast(Json, bundles.part(tmp_path, bundles.hub()).part)
    looked = whole.write(str(tmp_path / "none"), [{**part, "missing": 9}, {**part, "missing": 9}], ["a"], keep=False)
    assert looked["msg"].startswith("Images: 0, models: 1, for 1 hosts: 9 bytes would be fetched to")
    assert looked["changed"] and not (tmp_path / "none").exists()
    told = whole.write(str(tmp_path), [part, part], ["b", "a"], keep=True)
    assert told["changed"] and f"Its digest is {told['digest']}" in told["msg"] and "for 2 hosts" in told["msg"]
    assert not whole.write(str(tmp_path), [part], ["a", "b"], keep=True)["changed"]
    (tmp_path / "models" / "old").write_text("")
    assert "1 files there are none of it, such as models/old" in whole.write(str(tmp_path), [part], ["a"], True)["msg"]
    (tmp_path / "bundle.json").unlink()
    (tmp_path / "bundle.json").mkdir()
    with pytest.raises(BadBundle, match=r"bundle\.json is a folder, and the manifest has to be there: remove it"):
        whole.write(str(tmp_path), [part], ["a"], keep=True)
    os.truncate(tmp_path / part["files"][0]["path"], 3)
    with pytest.raises(Exception, match="has 3 bytes"):
        whole.write(str(tmp_path), [part], ["a"], keep=True)
    with pytest.raises(BadBundle, match="there is nothing to bundle"):
        whole.write(str(tmp_path), [], ["a"], keep=True)


class Registry(Server):
    """Gives an image to who comes with a token. The first one, which manifests were had with, is too old for blobs."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.rule = 0, self.guarded

    def guarded(self, _method: str, path: str, headers: dict[str, str]) -> Reply:
        if path.startswith("/token"):
            assert headers.get("Authorization") == "Basic bWU6aGlkZGVuLXdvcmQ="
            self.token += 1
            return 200, {}, json.dumps({"token": f"token-{self.token}"}).encode()
        given = headers.get("Authorization", "").removeprefix("Bearer token-")
        if not given.isdecimal() or ("/blobs/" in path and int(given) < 2):
            return 401, {"WWW-Authenticate": f'Bearer realm="http://{self.address}/token",service="s"'}, b""
        blobs = {archives.ID: archives.CONFIG, **{archives.digest(one): one for one in archives.PACKED}}
        known = {"manifests/1": INDEX, f"manifests/{archives.digest(INDEX)}": INDEX}
        known[f"manifests/{archives.digest(MANIFEST)}"] = MANIFEST
        known.update({f"blobs/{digest}": raw for digest, raw in blobs.items()})
        asked = path.removeprefix("/v2/o/v/")
        return (200, {}, known[asked]) if asked in known else (404, {}, b"{}")


@pytest.fixture
def registry() -> t.Iterator[Registry]:
    made = Registry()
    yield made
    made.close()


def brought(root: pathlib.Path, image: str, stated: sources.Sources, check: bool = False) -> parts.Came:
    with BundleFolder(str(root), keep=not check) as folder:
        return parts.image(folder, image, stated, (), archives.HERE, str(root.parent / "none"), check)


@pytest.mark.parametrize("version", [":1", f"@{archives.digest(INDEX)}"])
def test_an_image_keeps_its_digest_and_is_read_as_an_archive(
    registry: Registry, tmp_path: pathlib.Path, version: str
) -> None:
    image = f"{registry.address}/o/v{version}"
    stated = sources.Sources(registries={registry.address: LOGINS})
    root = tmp_path / "b"
    assert "3 files of" in brought(root, image, stated, check=True).msg and not root.exists()
    came = brought(root, image, stated)
    again = brought(root, image, stated)
    assert came.changed and not again.changed and came.part == again.part
    whole.write(str(root), [t.cast(Json, came.part)], ["a"], keep=True)
    listed = verified(str(root), str(tmp_path / "state"))["images"][0]
    assert (listed["digest"], listed["id"]) == (archives.digest(INDEX), archives.ID)
    content = archive_content.read(str(root / listed["folder"]))
    found = archive_image.find(content, image, listed["id"])
    assert found.manifest == archives.digest(MANIFEST) and found.ids[0] == archives.ID
    texts = b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())
    assert b"hidden-word" not in texts and b"token-" not in texts


def test_what_a_registry_refuses_is_told_with_the_variables(registry: Registry, tmp_path: pathlib.Path) -> None:
    with pytest.raises(Failed, match=r"without a login: .*Correct the name, vllm_server_registries"):
        registry.rule = lambda *_asked: (401, {"WWW-Authenticate": "Basic"}, b"")
        brought(tmp_path / "b", f"{registry.address}/o/v:1", sources.Sources())
    registry.rule = lambda *_asked: (200, {}, b'{"config": {}}')
    with pytest.raises(Failed, match="its manifest is not understood"):
        brought(tmp_path / "b", f"{registry.address}/o/v:1", sources.Sources())
    with pytest.raises(Failed, match=r"where sha256:1+ was asked for"):
        brought(tmp_path / "b", f"{registry.address}/o/v@sha256:{'1' * 64}", sources.Sources())
    registry.rule = lambda *_asked: (200, {}, INDEX)
    with BundleFolder(str(tmp_path / "b"), keep=True) as folder, pytest.raises(Failed, match="linux/riscv64"):
        parts.image(folder, f"{registry.address}/o/v:1", sources.Sources(), (), "riscv64", "/none", check=True)


def test_a_layer_that_is_another_one_never_takes_its_place(
    registry: Registry, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(method: str, path: str, headers: dict[str, str]) -> Reply:
        status, told, body = registry.guarded(method, path, headers)
        return status, told, bytes(len(body)) if "/blobs/" in path and status == 200 else body

    registry.rule = wrong
    monkeypatch.setattr(Patience, "next", lambda *_self: 0.0)
    stated = sources.Sources(registries={registry.address: LOGINS})
    with pytest.raises(Failed, match="was fetched 3 times, and each time its content was another one"):
        brought(tmp_path / "b", f"{registry.address}/o/v:1", stated)
    assert not list((tmp_path / "b").glob("images/**/blobs/sha256/*"))
