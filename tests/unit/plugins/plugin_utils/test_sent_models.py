# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models of the control node on their way to a host: what is sent, where it goes on, and that it is compared there."""

from __future__ import annotations

import io
import os
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.manifest import dump
from ansible_collections.gpufleet.vllm.plugins.module_utils._store import hashes, sent
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.asking import opening, resolver
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.brought import Brought, Local
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.folder import Folder
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.looking import Found, look
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.mover import Ended, Mover
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.progress import Progress, Told
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.transfer import Again, Failed
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import sent_models
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.sent_models import NotSentError, Sender
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store.hubs import request
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store.test_brought import (
    FILES,
    SERVED,
    folder,
    tar,
)

PIECE = 100_000
COST = sum(len(FILES[name]) for name in SERVED)


class Host:
    """The control node and a host, without what lies between them."""

    def __init__(self, place: pathlib.Path, source: pathlib.Path) -> None:
        self.hub, self.state, self.cache = place / "hub", str(place / "state"), place / "cache"
        self.asked = request(str(self.hub), model="org/m", source=f"control_node:{source}")
        self.came: list[int] = []
        self.shown: list[Told] = []

    def read(self) -> Brought:
        made, source = sent_models.held(self.asked, self.cache)
        self.asked["listed"] = dump(made)
        self.manifest = made
        return source

    def look(self) -> Found:
        return look(self.asked, resolver(self.asked, "", self.state), self.state, "b1")

    def receive(self, words: t.Sequence[str], raw: bytes) -> int:
        given = dict(zip(words[1::2], words[2::2], strict=True))
        self.came.append(len(raw))
        return sent.received(
            given["--hub-dir"],
            given["--model"],
            given["--blob"],
            int(given["--at"]),
            int(given["--size"]),
            io.BytesIO(raw),
            "b1",
        )["size"]

    def send(self, receive: sent_models.Receive | None = None) -> int:
        source = self.read()
        needs = sent_models.lacking(t.cast("dict[str, t.Any]", self.look()), self.manifest)
        return Sender(self.asked, source, receive or self.receive, self.shown.append, PIECE).send(needs)

    def place(self) -> Ended:
        asked = (self.asked, resolver(self.asked, "", self.state), opening(self.asked, ""))
        return Mover(*asked, Progress(), lambda: None, self.state, "b1").run()

    @property
    def snapshot(self) -> pathlib.Path:
        return self.hub / "models--org--m" / "snapshots" / self.manifest["commit"]

    def part(self, name: str) -> pathlib.Path:
        blob = next(one["sha256"] for one in self.manifest["files"] if one["path"] == name)
        return self.hub / "models--org--m" / ".gpufleet" / str(blob)


@pytest.fixture(params=["folder", "tar"])
def host(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Host:
    return Host(tmp_path, folder(tmp_path / "m") if request.param == "folder" else tar(tmp_path / "m.tar"))


def test_it_is_sent_in_pieces_compared_and_placed_as_the_hubs_own_is(host: Host) -> None:
    assert host.send() == COST and max(host.came) == PIECE
    assert host.shown[-1]["done"] == COST and host.shown[-1]["stage"] == "fetching"
    assert not host.snapshot.exists()
    ended = host.place()
    assert (ended.outcome, ended.changed) == ("whole", True)
    assert ended.detail.endswith("Placed 3 files, which had come.")
    assert {name: (host.snapshot / name).read_bytes() for name in SERVED} == {name: FILES[name] for name in SERVED}


def test_a_second_run_sends_nothing_hashes_nothing_and_changes_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.send()
    host.place()
    monkeypatch.setattr(hashes, "_hashed", lambda *_args: pytest.fail("it was hashed again"))
    host.came.clear()
    assert (host.send(), host.came) == (0, [])
    ended = host.place()
    assert (ended.outcome, ended.changed) == ("whole", False)


def test_a_look_says_what_would_be_sent_and_writes_nothing_on_the_host(host: Host) -> None:
    host.read()
    found = host.look()
    assert found["outcome"] == "missing" and not host.hub.exists()
    assert "3 files of org/m at " in found["detail"] and "would be sent from the control node" in found["detail"]
    assert {one["there"] for one in found["needs"]} == {0}


def test_what_was_cut_off_goes_on_where_it_stood(host: Host) -> None:
    def until_the_third(words: t.Sequence[str], raw: bytes) -> int:
        if len(host.came) == 3:
            raise NotSentError("gone")
        return host.receive(words, raw)

    with pytest.raises(NotSentError, match="gone"):
        host.send(until_the_third)
    before = sum(host.came)
    assert 0 < before < COST
    assert host.send() == COST - before
    assert host.place().outcome == "whole"


def test_a_piece_that_arrived_though_nobody_heard_of_it_is_not_written_twice(host: Host) -> None:
    heard: list[int] = []

    def twice(words: t.Sequence[str], raw: bytes) -> int:
        host.receive(words, raw)
        heard.append(host.receive(words, raw))
        return heard[-1]

    host.send(twice)
    assert host.place().outcome == "whole"


def test_a_flipped_bit_is_found_and_that_file_alone_sent_again(host: Host) -> None:
    host.send()
    part = host.part("model.safetensors")
    raw = bytearray(part.read_bytes())
    raw[1000] ^= 1
    part.write_bytes(raw)
    ended = host.place()
    assert ended.outcome == "failed" and "What the host has of model.safetensors is not what" in ended.detail
    assert not host.snapshot.exists()
    host.came.clear()
    assert host.send() == len(FILES["model.safetensors"])
    assert host.place().outcome == "whole"


def test_a_file_that_the_host_has_already_is_not_sent(host: Host, tmp_path: pathlib.Path) -> None:
    host.send()
    host.place()
    other = Host(tmp_path, folder(tmp_path / "other", {**FILES, "config.json": b'{"a": 1}'}))
    assert other.send() == len(b'{"a": 1}')
    assert other.place().outcome == "whole"


def test_a_commit_that_is_on_the_host_needs_no_source_any_more(host: Host) -> None:
    host.send()
    host.place()
    host.asked["revision"] = host.manifest["commit"]
    del host.asked["listed"]
    assert host.place().outcome == "whole"
    host.asked["revision"] = "a" * 40
    ended = host.place()
    assert ended.outcome == "failed" and "cannot be read" in ended.detail


def test_a_revision_that_the_control_node_has_not_is_not_sent(host: Host) -> None:
    host.asked["revision"] = "a" * 40
    host.read()
    found = host.look()
    assert found["outcome"] == "failed" and "bring that one there, or state this one" in found["detail"]


def test_a_list_of_another_model_is_refused(host: Host) -> None:
    host.read()
    host.asked["model"] = "org/other"
    assert "is not that of org/other" in host.place().detail


def test_links_count_inside_and_never_lead_out(tmp_path: pathlib.Path) -> None:
    source = folder(tmp_path / "m")
    (source / "model.safetensors").rename(source / "weights")
    (source / "model.safetensors").symlink_to("weights")
    host = Host(tmp_path, source)
    assert host.send() == COST
    host.place()
    blob = (host.snapshot / "model.safetensors").resolve()
    assert blob.parent.name == "blobs" and blob.read_bytes() == FILES["model.safetensors"]
    (tmp_path / "secret").write_bytes(b"x")
    (source / "tokenizer.json").symlink_to(tmp_path / "secret")
    with pytest.raises(Failed, match=r"tokenizer\.json"):
        host.read()


def test_what_is_not_there_is_said_with_the_place(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Failed, match=r"there is no .*/m on the control node: vllm_server_model_sources names it"):
        Host(tmp_path, tmp_path / "m").read()


def test_several_hosts_have_it_hashed_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.read()
    monkeypatch.setattr(hashes, "_hashed", lambda *_args: pytest.fail("it was hashed again"))
    host.read()


def test_hashes_that_cannot_be_remembered_are_made_again(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, folder(tmp_path / "m"))
    host.cache.write_text("no folder")
    assert host.send() == COST


def test_a_host_that_does_not_get_on_is_not_sent_for_ever(host: Host) -> None:
    sizes = []

    def stands(_words: t.Sequence[str], raw: bytes) -> int:
        sizes.append(len(raw))
        return 0

    with pytest.raises(NotSentError, match=r"the host has 0 of the \d+ bytes of .*, whatever it is sent"):
        host.send(stands)
    assert len(sizes) == sent_models.STANDS_STILL


def test_a_file_that_shrinks_while_it_is_sent_ends_it(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, folder(tmp_path / "m"))
    source = host.read()
    needs = sent_models.lacking(t.cast("dict[str, t.Any]", host.look()), host.manifest)
    os.truncate(tmp_path / "m" / "model.safetensors", 10)
    with pytest.raises(Failed, match="became shorter"):
        Sender(host.asked, source, host.receive, host.shown.append, PIECE).send(needs)


def test_a_part_that_is_longer_than_the_file_begins_anew(host: Host) -> None:
    host.send()
    with host.part("model.safetensors").open("ab") as part:
        part.write(b"more")
    host.came.clear()
    assert host.send() >= len(FILES["model.safetensors"])
    assert host.place().outcome == "whole"


def test_a_disk_of_the_control_node_that_cannot_be_read_is_told(
    host: Host, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_self: Local, _most: int) -> bytes:
        raise Again("it cannot be read (Input/output error)")

    source = host.read()
    needs = sent_models.lacking(t.cast("dict[str, t.Any]", host.look()), host.manifest)
    monkeypatch.setattr(Local, "read", broken)
    with pytest.raises(Failed, match=r"of .*: it cannot be read \(Input/output error\)"):
        Sender(host.asked, source, host.receive, host.shown.append, PIECE).send(needs)
    host.cache = tmp_path / "nothing known"
    with pytest.raises(Failed, match=r"of .*: it cannot be read \(Input/output error\)"):
        host.read()


def test_files_of_no_byte_take_their_place(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, folder(tmp_path / "m", {**FILES, "tokenizer.json": b""}))
    assert host.send() > 0
    assert host.place().outcome == "whole" and host.send() == 0


@pytest.mark.parametrize("said", [{}, {"commit": 1, "needs": []}, {"commit": "c", "needs": [{"blob": "b"}]}])
def test_what_a_host_says_that_it_lacks_is_of_one_shape(host: Host, said: dict[str, t.Any]) -> None:
    host.read()
    with pytest.raises(NotSentError, match="is not understood"):
        sent_models.lacking(said, host.manifest)


@pytest.mark.parametrize(
    ("model", "blob", "hub_dir", "at"),
    [
        ("../x", "a" * 64, "/h", 0),
        ("org/m", "../../x", "/h", 0),
        ("org/m", "a" * 64, "h", 0),
        ("org/m", "a" * 64, "/h", -1),
    ],
)
def test_a_piece_goes_nowhere_else(model: str, blob: str, hub_dir: str, at: int, tmp_path: pathlib.Path) -> None:
    body = io.BytesIO(b"x")
    with pytest.raises(sent.NotReceived, match="this is no model"):
        sent.received(hub_dir.replace("/h", str(tmp_path)), model, blob, at, 1, body, "b1")
    assert body.read() == b"" and not list(tmp_path.iterdir())


def test_a_piece_is_not_taken_while_a_mover_writes(host: Host) -> None:
    host.send()
    parts = Folder.at(str(host.part("config.json").parent))
    body = io.BytesIO(b"x")
    with (
        parts,
        sent._locked(parts, "org/m"),
        pytest.raises(sent.NotReceived, match="another download of org/m is under"),
    ):
        sent.received(str(host.hub), "org/m", "a" * 64, 0, 1, body, "b1")
    assert body.read() == b""


def test_a_piece_has_a_bound(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sent, "PIECE", 10)
    assert sent.received(str(tmp_path), "org/m", "a" * 64, 0, 100, io.BytesIO(b"x" * 100), "b1") == {"size": 10}
