# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model is brought whole, once, and only what is wrong of it again."""

from __future__ import annotations

import errno
import fcntl
import os
import pathlib
import threading
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.manifest import Manifest
from ansible_collections.gpufleet.vllm.plugins.module_utils._store import mover, partial, repository
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.check import Check
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.layout import blob_name, key, link_target
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.mover import Away
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.records import folder_of
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.transfer import Again
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store.hubs import CUT, Hub, Place
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store.models import (
    COMMIT,
    MODEL,
    content,
    file,
    manifest,
)

CONFIG, WEIGHTS, NESTED = content("config", 700), content("weights", 50_000), content("nested", 3_000)
FILES = (
    file("config.json", CONFIG, large=False),
    file("model.safetensors", WEIGHTS),
    file("1_Pooling/config.json", NESTED, large=False),
)
ALL = len(CONFIG) + len(WEIGHTS) + len(NESTED)
URL = FILES[1]["url"]


@pytest.fixture
def hub() -> Hub:
    return Hub(dict(zip((one["url"] for one in FILES), (CONFIG, WEIGHTS, NESTED), strict=True)))


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
    return Place(str(tmp_path))


def model(place: Place) -> pathlib.Path:
    return pathlib.Path(place.hub_dir) / "models--Org--Model"


def serves(place: Place, commit: str = COMMIT) -> bool:
    snapshot = model(place) / "snapshots" / commit
    found = [(snapshot / one["path"]).read_bytes() for one in FILES]
    return found == [CONFIG, WEIGHTS, NESTED]


def blob(place: Place, at: int = 1) -> pathlib.Path:
    return model(place) / "blobs" / blob_name(FILES[at], COMMIT)


def test_a_model_lies_as_the_hubs_own_client_keeps_it(place: Place, hub: Hub) -> None:
    ended = place.fetch(hub, manifest(*FILES))
    assert (ended.outcome, ended.changed) == ("whole", True)
    assert ended.detail == ("Org/Model at cccccccccccc is whole: 3 files, 53.7 kB. Fetched 3 files, 53.7 kB.")
    assert serves(place)
    assert os.readlink(model(place) / "snapshots" / COMMIT / "1_Pooling" / "config.json") == (
        f"../../../blobs/{FILES[2]['git_sha1']}"
    )
    assert (model(place) / "refs" / "main").read_text() == COMMIT
    assert sorted(os.listdir(model(place) / "blobs")) == sorted(blob_name(one, COMMIT) for one in FILES)
    assert [name for name in os.listdir(model(place) / ".gpufleet") if name != "lock"] == []


@pytest.mark.parametrize(
    ("path", "target"),
    [("a", "../../blobs/x"), ("d/a", "../../../blobs/x"), ("d/e/a", "../../../../blobs/x")],
)
def test_a_link_leads_to_its_blob_from_any_depth(path: str, target: str) -> None:
    assert link_target(path, "x") == target


def test_a_second_run_fetches_nothing_and_changes_nothing(place: Place, hub: Hub) -> None:
    place.fetch(hub, manifest(*FILES))
    hub.asked.clear()
    ended = place.fetch(hub, manifest(*FILES))
    assert (ended.outcome, ended.changed, hub.asked) == ("whole", False, [])
    # A branch has to be asked for, a commit that was seen once has not.
    assert hub.resolved == 2
    assert place.fetch(hub, manifest(*FILES), revision=COMMIT).changed is False
    assert hub.resolved == 2


def test_a_second_run_does_not_hash_unless_it_is_told_to(
    place: Place, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []

    def check(one: t.Any) -> Check:
        hashed.append(one["path"])
        return Check(one)

    place.fetch(hub, manifest(*FILES))
    monkeypatch.setattr(repository, "Check", check)
    place.fetch(hub, manifest(*FILES))
    assert hashed == []
    place.fetch(hub, manifest(*FILES), verify="full")
    assert len(hashed) == 3


def test_what_somebody_else_has_brought_is_hashed_and_not_fetched(place: Place, hub: Hub) -> None:
    blob(place).parent.mkdir(parents=True)
    blob(place).write_bytes(WEIGHTS)
    place.fetch(hub, manifest(*FILES))
    assert URL not in [url for url, _begin in hub.asked] and serves(place)


def test_a_link_to_a_store_that_models_share_is_taken_and_one_out_of_the_cache_is_not(place: Place, hub: Hub) -> None:
    for where in (pathlib.Path(place.hub_dir) / "blobs", pathlib.Path(place.hub_dir).parent / "outside"):
        blob(place).parent.mkdir(parents=True, exist_ok=True)
        blob(place).unlink(missing_ok=True)
        where.mkdir()
        (where / "x").write_bytes(WEIGHTS)
        blob(place).symlink_to(where / "x")
        hub.asked.clear()
        assert place.fetch(hub, manifest(*FILES)).outcome == "whole" and serves(place)
        assert (URL in [url for url, _begin in hub.asked]) is (where.name == "outside")
        assert (where / "x").read_bytes() == WEIGHTS


@pytest.mark.parametrize("verify", ["quick", "full"])
def test_a_flipped_bit_is_found_and_mended_by_one_file(place: Place, hub: Hub, verify: str) -> None:
    place.fetch(hub, manifest(*FILES))
    raw = bytearray(WEIGHTS)
    raw[1234] ^= 1
    before = blob(place).stat()
    with open(blob(place), "r+b") as stream:
        stream.write(raw)
    if verify == "quick":  # the clock that somebody set back is not believed
        os.utime(blob(place), ns=(before.st_atime_ns, before.st_mtime_ns))
    hub.asked.clear()
    ended = place.fetch(hub, manifest(*FILES), verify=verify)
    assert (ended.changed, hub.asked, serves(place)) == (True, [(URL, 0)], True)


def test_a_blob_that_is_cut_off_is_fetched_again(place: Place, hub: Hub) -> None:
    place.fetch(hub, manifest(*FILES))
    os.truncate(blob(place), 100)
    hub.asked.clear()
    assert place.fetch(hub, manifest(*FILES)).changed and hub.asked == [(URL, 0)] and serves(place)


def test_a_link_that_is_gone_is_made_again_and_nothing_is_fetched(place: Place, hub: Hub) -> None:
    place.fetch(hub, manifest(*FILES))
    (model(place) / "snapshots" / COMMIT / "config.json").unlink()
    hub.asked.clear()
    assert place.fetch(hub, manifest(*FILES)).changed is True
    assert hub.asked == [] and serves(place)


def test_a_file_is_gone_on_with_after_a_kill(place: Place, hub: Hub) -> None:
    hub.faults[URL] = [lambda body: body[:20_000], *[Again("cut")] * 9]
    ended = place.fetch(hub, manifest(*FILES))
    assert ended.outcome == "failed" and not (model(place) / "refs").exists()
    assert ended.detail == "Model.safetensors cannot be fetched: cut (tried 4 times)."
    hub.faults.clear()
    hub.asked.clear()
    assert place.fetch(hub, manifest(*FILES)).outcome == "whole"
    assert (URL, 20_000) in hub.asked and serves(place)
    assert hub.sent[URL] == len(WEIGHTS)


def test_after_a_power_cut_only_what_was_synced_is_kept(
    place: Place, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partial, "SYNC_STEP", 7_000)
    hub.faults[URL] = [lambda body: body[:20_000], *[Again("cut")] * 9]
    place.fetch(hub, manifest(*FILES))
    hub.faults.clear()
    hub.asked.clear()
    assert place.fetch(hub, manifest(*FILES), boot="b2").outcome == "whole" and serves(place)
    begin = dict(hub.asked)[URL]
    assert 20_000 - 7_000 - 1_000 <= begin <= 20_000 and begin


def test_what_a_power_cut_takes_is_shared_by_the_files_that_are_on_their_way(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partial, "SYNC_STEP", 8_000)
    raw = {f"model-{at}.safetensors": content(str(at), 20_000) for at in range(4)}
    files = [file(name, one) for name, one in raw.items()]
    hub = Hub({one["url"]: raw[one["path"]] for one in files})
    for one in files:
        hub.faults[one["url"]] = [lambda body: body[:11_500], *[CUT] * 9]
    place.fetch(hub, manifest(*files))
    came = hub.sent.total()
    hub.faults.clear()
    assert place.fetch(hub, manifest(*files), boot="b2").outcome == "whole"
    # A step, and what a read brings of each.
    assert hub.sent.total() - sum(map(len, raw.values())) <= 8_000 + 4 * 1_000 < came


def flipped(body: bytes) -> bytes:
    return bytes([body[0] ^ 1]) + body[1:]


@pytest.mark.parametrize(
    "faults",
    [
        [Again("cut")],
        [Again("429", 0.001)],
        [lambda body: body[:10]],
        [flipped],
        [lambda body: body[:20_000], 416, 416],
        [lambda body: body[:20_000], flipped],
    ],
    ids=["refused", "busy", "cut", "wrong content", "no ranges by 416", "wrong content behind a cut"],
)
def test_what_a_server_does_wrong_once_is_asked_for_again(place: Place, hub: Hub, faults: list[t.Any]) -> None:
    hub.faults[URL] = list(faults)
    assert place.fetch(hub, manifest(*FILES)).outcome == "whole" and serves(place)
    assert hub.faults[URL] == []


def test_a_server_that_knows_no_ranges_is_read_from_its_beginning(place: Place, hub: Hub) -> None:
    hub.ranges = False
    hub.faults[URL] = [lambda body: body[:20_000]]
    assert place.fetch(hub, manifest(*FILES)).outcome == "whole" and serves(place)
    assert hub.sent[URL] == len(WEIGHTS) + 20_000


def test_a_content_that_stays_wrong_is_told_and_never_put_into_its_place(place: Place, hub: Hub) -> None:
    hub.contents[URL] = flipped(WEIGHTS)
    ended = place.fetch(hub, manifest(*FILES))
    assert ended.outcome == "failed" and not blob(place).exists() and not (model(place) / "snapshots").exists()
    assert "model.safetensors was fetched 3 times, and each time its content was another one" in ended.detail.lower()


def test_the_older_commit_serves_on_while_a_newer_one_fails(place: Place, hub: Hub) -> None:
    place.fetch(hub, manifest(*FILES))
    newer = file("model.safetensors", content("newer", 60_000))
    hub.contents[newer["url"]] = b"nothing of that"
    assert place.fetch(hub, manifest(FILES[0], newer, commit="d" * 40)).outcome == "failed"
    assert serves(place) and (model(place) / "refs" / "main").read_text() == COMMIT


def test_files_of_one_content_are_fetched_once(place: Place, hub: Hub) -> None:
    twin = file("twin.safetensors", WEIGHTS)
    hub.contents[twin["url"]] = WEIGHTS
    assert place.fetch(hub, manifest(*FILES, twin)).outcome == "whole"
    assert sum(hub.sent.values()) == ALL
    assert (model(place) / "snapshots" / COMMIT / "twin.safetensors").read_bytes() == WEIGHTS


def test_a_hub_that_is_away_leaves_what_is_there(place: Place, hub: Hub) -> None:
    place.fetch(hub, manifest(*FILES))
    ended = place.fetch(hub, Away("the hub does not answer"))
    assert (ended.outcome, ended.changed) == ("whole", False)
    assert "the hub does not answer; what main stood for when it was last asked is taken" in ended.detail
    assert place.fetch(hub, Away("the hub does not answer"), revision="v2") == (
        "failed", "The hub does not answer.", False,
    )  # fmt: skip


def test_a_tag_has_a_reference_of_its_own(place: Place, hub: Hub) -> None:
    place.fetch(hub, manifest(*FILES, revision="refs/pr/1"), revision="refs/pr/1")
    assert (model(place) / "refs" / "refs" / "pr" / "1").read_text() == COMMIT
    assert not (model(place) / "refs" / "main").exists()


@pytest.mark.parametrize(
    ("room", "told"),
    [
        ((10_000, 10**6), "53.7 kB of Org/Model are missing, and {} has room for 0 bytes: free"),
        ((10**9, 3), "The file system of {} takes 3 more files, and 12 are needed"),
    ],
)
def test_no_room_is_told_before_the_first_byte(
    place: Place, hub: Hub, monkeypatch: pytest.MonkeyPatch, room: tuple[int, int], told: str
) -> None:
    monkeypatch.setattr(repository.Repository, "room", lambda _self: room)
    ended = place.fetch(hub, manifest(*FILES))
    assert ended.outcome == "failed" and ended.detail.startswith(told.format(place.hub_dir))
    assert hub.asked == []


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSPC, "are missing; free room there"),
        (errno.EDQUOT, "he disk quota at"),
        (errno.EROFS, "is read-only: mount it writable"),
        (errno.EIO, "cannot be used (Input/output error)"),
    ],
)
def test_a_disk_that_fails_is_told_once_and_nothing_is_lost(
    place: Place, hub: Hub, monkeypatch: pytest.MonkeyPatch, number: int, told: str
) -> None:
    def fails(descriptor: int, raw: bytes) -> None:
        if os.fstat(descriptor).st_size > 20_000:
            raise OSError(number, os.strerror(number))
        os.write(descriptor, raw)

    monkeypatch.setattr(partial, "write_all", fails)
    ended = place.fetch(hub, manifest(*FILES))
    assert ended.outcome == "failed" and told in ended.detail and ended.detail.endswith("; what came is kept.")
    monkeypatch.undo()
    hub.asked.clear()
    assert place.fetch(hub, manifest(*FILES)).outcome == "whole" and serves(place)
    assert dict(hub.asked)[URL] > 20_000


def test_one_download_at_a_time_and_the_second_finds_it_whole(place: Place, hub: Hub) -> None:
    parts = model(place) / ".gpufleet"
    parts.mkdir(parents=True)
    ended = []
    with open(parts / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = threading.Thread(target=lambda: ended.append(place.fetch(hub, manifest(*FILES))))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive() and hub.asked == []
        assert place.told[-1]["waiting"] == "another download of the model is under way"
    waiting.join(10)  # the lock went with its holder
    assert ended[0].outcome == "whole" and serves(place)


def test_records_of_another_shape_are_hashed_again(place: Place, hub: Hub) -> None:
    place.fetch(hub, manifest(*FILES))
    record = pathlib.Path(folder_of(key(MODEL, place.hub_dir), place.state_dir)) / "blobs.json"
    for text in ("", "[]", '{"blobs": {"x": "y"}}', '{"blobs": [1]}'):
        record.write_text(text)
        assert place.fetch(hub, manifest(*FILES))[:1] == ("whole",)


def test_a_damaged_manifest_that_was_kept_is_asked_for_again(place: Place, hub: Hub) -> None:
    place.fetch(hub, manifest(*FILES))
    folder = pathlib.Path(folder_of(key(MODEL, place.hub_dir), place.state_dir))
    (kept,) = folder.glob("*.manifest.json")
    kept.write_text("{")
    asked = hub.resolved
    again: Manifest = manifest(*FILES, revision=COMMIT)
    assert place.fetch(hub, again, revision=COMMIT).changed is False and hub.resolved == asked + 1


def test_old_parts_go_and_young_ones_stay(place: Place, hub: Hub) -> None:
    parts = model(place) / ".gpufleet"
    parts.mkdir(parents=True)
    for name in ("old", "young"):
        (parts / name).write_text("x")
    os.utime(parts / "old", (1, 1))
    place.fetch(hub, manifest(*FILES))
    assert sorted(os.listdir(parts)) == ["lock", "young"]


def test_two_places_and_two_models_have_two_downloads() -> None:
    assert len({key("a/b", "/x"), key("a/b", "/y"), key("a-b", "/x"), key("A/b", "/x")}) == 4
    assert key("Qwen/Qwen3-0.6B", "/x").startswith("Qwen-Qwen3-0.6B-") and mover.TICK == 1
