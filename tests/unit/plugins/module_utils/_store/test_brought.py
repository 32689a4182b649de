# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models that somebody has brought, as folders and tars: listed, read, hashed once, and what is hostile in them."""

from __future__ import annotations

import hashlib
import io
import os
import pathlib
import tarfile
import types
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._hub import manifest
from ansible_collections.gpufleet.vllm.plugins.module_utils._store import hashes
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.asking import opening, resolver
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.brought import Brought, brought
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.desk import Request
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.looking import Found, look
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.mover import Ended, Mover
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.progress import Progress
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.transfer import Failed
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store.hubs import request

WEIGHTS = os.urandom(300_000)
FILES: t.Final[t.Mapping[str, bytes]] = types.MappingProxyType(
    {"config.json": b"{}", "model.safetensors": WEIGHTS, "README.md": b"#", "1_Pooling/config.json": b"[]"}
)
SERVED = sorted(set(FILES) - {"README.md"})


def folder(place: pathlib.Path, files: t.Mapping[str, bytes] = FILES) -> pathlib.Path:
    for name, raw in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(raw)
    return place


def tar(place: pathlib.Path, files: t.Mapping[str, bytes] = FILES, *others: tarfile.TarInfo) -> pathlib.Path:
    with tarfile.open(place, "w") as made:
        for name, raw in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(raw)
            made.addfile(member, io.BytesIO(raw))
        for other in others:
            made.addfile(other, io.BytesIO(b"x" * other.size))
    return place


class Host:
    def __init__(self, place: pathlib.Path, source: pathlib.Path) -> None:
        self.hub, self.state = place / "hub", place / "state"
        self.asked: Request = request(str(self.hub), model="org/m", source=str(source))

    def fetch(self) -> Ended:
        asked = (self.asked, resolver(self.asked, "", str(self.state)), opening(self.asked, ""))
        return Mover(*asked, Progress(), lambda: None, str(self.state), "b1").run()

    def look(self) -> Found:
        return look(self.asked, resolver(self.asked, "", str(self.state), keep=False), str(self.state), "b1")

    @property
    def snapshot(self) -> pathlib.Path:
        commit = (self.hub / "models--org--m" / "refs" / "main").read_text()
        return self.hub / "models--org--m" / "snapshots" / commit


@pytest.fixture(params=["folder", "tar", "tar of a folder"])
def source(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> pathlib.Path:
    if request.param == "folder":
        return folder(tmp_path / "m")
    prefix = "./tuned/" if request.param == "tar of a folder" else ""
    return tar(tmp_path / "m.tar", {prefix + name: raw for name, raw in FILES.items()})


@pytest.fixture
def host(tmp_path: pathlib.Path, source: pathlib.Path) -> Host:
    return Host(tmp_path, source)


def test_what_is_brought_is_placed_as_the_hubs_own_is(host: Host) -> None:
    ended = host.fetch()
    assert (ended.outcome, ended.changed) == ("whole", True)
    found = {str(one.relative_to(host.snapshot)) for one in host.snapshot.rglob("*") if one.is_file()}
    assert sorted(found) == SERVED
    assert all((host.snapshot / name).read_bytes() == FILES[name] for name in SERVED)
    rows = [
        manifest.File(
            path=name, size=len(FILES[name]), sha256=hashlib.sha256(FILES[name]).hexdigest(), git_sha1=None, url=""
        )
        for name in SERVED
    ]
    assert host.snapshot.name == manifest.digest(rows)


def test_a_second_run_reads_no_weight_and_changes_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.fetch()
    before = {one: one.lstat().st_mtime_ns for one in host.hub.rglob("*")}
    monkeypatch.setattr(hashes, "_hashed", lambda *_args: pytest.fail("it was hashed again"))
    ended = host.fetch()
    assert (ended.outcome, ended.changed) == ("whole", False) and "Fetched" not in ended.detail
    assert {one: one.lstat().st_mtime_ns for one in host.hub.rglob("*")} == before
    assert host.look()["outcome"] == "whole"


def test_a_look_writes_nothing(host: Host) -> None:
    found = host.look()
    assert (found["outcome"], found["missing_files"]) == ("missing", 3)
    assert not host.hub.exists() and not host.state.exists()


def test_full_verification_hashes_the_source_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.fetch()
    seen: list[str] = []
    real = hashes._hashed

    def counted(found: Brought, path: str) -> str:
        seen.append(path)
        return real(found, path)

    monkeypatch.setattr(hashes, "_hashed", counted)
    host.asked["verify"] = "full"
    assert host.fetch().outcome == "whole" and sorted(seen) == SERVED


def test_another_content_is_another_revision_and_the_old_one_stays(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, folder(tmp_path / "m"))
    host.fetch()
    old = host.snapshot
    (tmp_path / "m" / "config.json").write_bytes(b"[]")
    assert host.fetch().changed and host.snapshot != old
    assert ((old / "config.json").read_bytes(), (host.snapshot / "config.json").read_bytes()) == (b"{}", b"[]")


def test_a_revision_that_is_stated_is_that_content_or_nothing(host: Host) -> None:
    host.asked["revision"] = "a" * 40
    ended = host.fetch()
    assert ended.outcome == "failed" and f"and the revision {'a' * 40} is asked for" in ended.detail
    host.asked["revision"] = ""
    host.fetch()
    host.asked["revision"] = host.snapshot.name
    assert (host.fetch().outcome, host.look()["outcome"]) == ("whole", "whole")


def test_a_source_that_is_gone_costs_nothing_where_its_content_is_stated(
    host: Host, source: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    host.fetch()
    source.rename(tmp_path / "gone")
    assert "there is no" in host.fetch().detail.lower()
    host.asked["revision"] = host.snapshot.name
    assert host.fetch().outcome == "whole"


def test_links_of_a_folder_lead_nowhere_else(tmp_path: pathlib.Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    source = folder(tmp_path / "m")
    (source / "tokenizer.json").symlink_to(secret)
    host = Host(tmp_path, source)
    ended = host.fetch()
    assert ended.outcome == "failed" and f"okenizer.json of {source} is a link to a place outside" in ended.detail
    assert not any(b"s3cret" in one.read_bytes() for one in host.hub.rglob("*") if one.is_file())


def test_a_snapshot_of_a_hubs_cache_is_read_through_its_links(tmp_path: pathlib.Path) -> None:
    repository = tmp_path / "cache" / "models--a--b"
    blobs, snapshot = folder(repository / "blobs"), repository / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (snapshot / name).symlink_to(f"../../blobs/{name}")
    host = Host(tmp_path, snapshot)
    assert host.fetch().outcome == "whole" and blobs.exists()
    assert (host.snapshot / "model.safetensors").read_bytes() == WEIGHTS


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 1) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, size if kind == tarfile.REGTYPE else 0
    return made


@pytest.mark.parametrize(
    ("hostile", "told"),
    [
        (member("../x.json"), "'../x.json', which leads out of it"),
        (member("a/../../x.json"), "which leads out of it"),
        (member("/etc/x.json"), "'/etc/x.json', which leads out of it"),
        (member("x.json", tarfile.SYMTYPE, "/etc/shadow"), "no plain file but a link, a device or a sparse one"),
        (member("x.json", tarfile.LNKTYPE, "config.json"), "tar --dereference --hard-dereference"),
        (member("x.json", tarfile.CHRTYPE), "no plain file but a link, a device"),
        (member("x.json", tarfile.FIFOTYPE), "no plain file but a link, a device"),
        (member("config.json"), "'config.json' twice"),
        (member("./config.json"), "'./config.json' twice"),
    ],
    ids=[
        "up",
        "up from below",
        "from the root",
        "symbolic link",
        "hard link",
        "device",
        "pipe",
        "twice",
        "twice in other words",
    ],
)
def test_a_hostile_tar_is_refused(tmp_path: pathlib.Path, hostile: tarfile.TarInfo, told: str) -> None:
    host = Host(tmp_path, tar(tmp_path / "m.tar", FILES, hostile))
    ended = host.fetch()
    assert ended.outcome == "failed" and told in ended.detail
    assert not (host.hub / "models--org--m" / "snapshots").exists()


def test_a_tar_that_says_more_than_it_has(tmp_path: pathlib.Path) -> None:
    place = tar(tmp_path / "m.tar")
    raw = place.read_bytes()
    liar = tarfile.TarInfo("big.safetensors")
    liar.size = 2**40
    members = raw.rstrip(b"\0")
    place.write_bytes(members + bytes(-len(members) % 512) + liar.tobuf())
    (tmp_path / "cut.tar").write_bytes(raw[:200_000])
    for cut in (place, tmp_path / "cut.tar"):
        with pytest.raises(Failed, match=r"is cut off|is no whole tar"):
            brought(str(cut))


@pytest.mark.parametrize("packed", ["w:gz", "w:xz"])
def test_a_packed_tar_is_to_be_unpacked(tmp_path: pathlib.Path, packed: t.Literal["w:gz", "w:xz"]) -> None:
    with tarfile.open(tmp_path / "m.tgz", packed) as made:
        made.add(folder(tmp_path / "m"), "m")
    with pytest.raises(Failed, match="unpacked where it is packed with gzip"):
        brought(str(tmp_path / "m.tgz"))


def test_what_is_no_model(tmp_path: pathlib.Path) -> None:
    for files, told in (
        ({"README.md": b"#"}, "holds no model"),
        ({"a/config.json": b"{}", "b/config.json": b"{}"}, r"holds several models \(a, b\)"),
    ):
        place = folder(tmp_path / told[:8], files)
        with pytest.raises(Failed, match=told):
            brought(str(place))
    host = Host(tmp_path, folder(tmp_path / "bare", {"config.json": b"{}"}))
    assert "has no weights that vLLM reads" in host.fetch().detail
    (tmp_path / "pipe").parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Failed, match="is neither a folder nor a tar"):
        brought(str(tmp_path / "pipe"))


def test_pickles_are_taken_where_they_are_allowed_only(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, folder(tmp_path / "m", {"config.json": b"{}", "pytorch_model.bin": b"x"}))
    assert "model_store_allow_pickles: [org/m]" in host.fetch().detail
    host.asked["pickles"] = True
    assert host.fetch().outcome == "whole"


def test_a_copy_that_was_cut_off_goes_on_where_it_stood(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, folder(tmp_path / "m"))
    blob = hashlib.sha256(WEIGHTS).hexdigest()
    parts = tmp_path / "hub" / "models--org--m" / ".gpufleet"
    parts.mkdir(parents=True)
    (parts / blob).write_bytes(WEIGHTS[:100_000])
    (parts / f"{blob}.synced").write_text("b1 100000\n")
    found = host.look()
    assert found["missing_bytes"] == 200_000 + 4
    assert host.fetch().outcome == "whole" and (host.snapshot / "model.safetensors").read_bytes() == WEIGHTS


def test_a_file_that_changes_under_the_copy_is_never_placed(tmp_path: pathlib.Path) -> None:
    source = folder(tmp_path / "m")
    host = Host(tmp_path, source)
    resolve = resolver(host.asked, "", str(host.state))

    def changed() -> manifest.Manifest:
        found = resolve()
        (source / "model.safetensors").write_bytes(bytes(len(WEIGHTS)))
        return found

    ended = Mover(host.asked, changed, opening(host.asked, ""), Progress(), lambda: None, str(host.state), "b1").run()
    assert ended.outcome == "failed" and "another one than its source lists" in ended.detail
