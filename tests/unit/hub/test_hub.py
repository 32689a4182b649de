# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hub of tests: what its servers answer, and that each fault is the one that was set."""

from __future__ import annotations

import hashlib
import http.client
import json
import time
import typing as t
from urllib.parse import urlsplit

import pytest

from ansible_collections.gpufleet.vllm.tests.hub.content import MIB, Made, Model, as_file
from ansible_collections.gpufleet.vllm.tests.hub.faults import Fault, busy
from ansible_collections.gpufleet.vllm.tests.hub.server import Hub

SMALL, LARGE = "config.json", "model.safetensors"
WEIGHTS = Made(3 * MIB + 17)
TOKEN = "reader"


class Answer(t.NamedTuple):
    status: int
    headers: dict[str, str]
    raw: bytes


@pytest.fixture
def hub() -> t.Iterator[Hub]:
    with Hub() as made:
        made.add("org/model", {SMALL: b"{}", LARGE: WEIGHTS, "a b/c.json": b"[]"})
        made.add("org/gated", {SMALL: b"{}"}, gated="manual")
        made.add("org/private", {SMALL: b"{}"}, private=True)
        made.tokens |= {TOKEN: {"org/gated", "org/private"}, "other": ()}
        yield made


def ask(url: str, method: str = "GET", token: str = "", body: str | None = None, **headers: str) -> Answer:
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=10)
    try:
        sent = headers | ({"Authorization": f"Bearer {token}"} if token else {})
        connection.request(method, f"{where.path}?{where.query}", body, sent)
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.headers), answer.read())
    finally:
        connection.close()


def resolve(hub: Hub, path: str, model: str = "org/model", revision: str = "main") -> str:
    return f"{hub.url}/{model}/resolve/{revision}/{path}"


def at_cdn(hub: Hub) -> str:
    return ask(resolve(hub, LARGE)).headers["Location"]


def test_metadata_has_commit_sizes_and_hashes(hub: Hub) -> None:
    found = json.loads(ask(f"{hub.url}/api/models/org/model/revision/main?blobs=true").raw)
    assert found["sha"] == hub.models["org/model"].branches["main"]
    small, large, _other = found["siblings"]
    assert small == {"rfilename": SMALL, "size": 2, "blobId": "9e26dfeeb6e641a33dae4961196235bdb965b21b"}
    assert large["lfs"]["sha256"] == hashlib.sha256(WEIGHTS.read(0, WEIGHTS.size)).hexdigest()
    assert large["size"] == large["lfs"]["size"] == WEIGHTS.size
    assert "size" not in json.loads(ask(f"{hub.url}/api/models/org/model").raw)["siblings"][0]


def test_a_tree_comes_in_pages(hub: Hub) -> None:
    hub.page = 2
    first = ask(f"{hub.url}/api/models/org/model/tree/main?recursive=true")
    following = first.headers["Link"].partition("<")[2].partition(">")[0]
    second = ask(following)
    assert [one["path"] for one in json.loads(first.raw) + json.loads(second.raw)] == [SMALL, LARGE, "a b/c.json"]
    assert "Link" not in second.headers


def test_small_files_are_at_the_hub_and_large_ones_at_another_host(hub: Hub) -> None:
    small = ask(resolve(hub, "a%20b/c.json"), "HEAD")
    assert (small.status, small.raw) == (307, b"")
    assert ask(hub.url + small.headers["Location"]).raw == b"[]"
    large = ask(resolve(hub, LARGE), "HEAD")
    file = hub.models["org/model"].commits[large.headers["X-Repo-Commit"]][LARGE]
    assert large.status == 302
    assert large.headers["X-Linked-Etag"] == f'"{file.sha256}"'
    assert large.headers["X-Linked-Size"] == str(WEIGHTS.size)
    assert urlsplit(large.headers["Location"]).hostname == "localhost" != urlsplit(hub.url).hostname
    assert ask(large.headers["Location"]).raw == WEIGHTS.read(0, WEIGHTS.size)


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=1048570-1048585", 1048570, 1048586), ("bytes=3000000-", 3000000, None),
     ("bytes=-5", -5, None), ("bytes=7-99999999", 7, None)],
)  # fmt: skip
def test_ranges(hub: Hub, asked: str, start: int, stop: int | None) -> None:
    whole = WEIGHTS.read(0, WEIGHTS.size)
    answer = ask(at_cdn(hub), Range=asked)
    assert (answer.status, answer.raw) == (206, whole[start:stop])
    first = start % WEIGHTS.size
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(answer.raw) - 1}/{WEIGHTS.size}"


def test_a_range_behind_the_end_is_refused_and_one_of_another_file_is_none(hub: Hub) -> None:
    answer = ask(at_cdn(hub), Range=f"bytes={WEIGHTS.size}-")
    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{WEIGHTS.size}")
    assert ask(at_cdn(hub), Range="bytes=5-", **{"If-Range": '"another"'}).status == 200


def test_addresses_of_the_cdn_expire_are_signed_and_take_no_token(hub: Hub) -> None:
    where = at_cdn(hub)
    assert ask(where, token=TOKEN).status == 400
    assert ask(where.replace("Expires=", "Expires=1")).status == 403
    hub.lifetime = -1
    assert b"expired" in ask(at_cdn(hub)).raw


@pytest.mark.parametrize(
    ("what", "token", "status", "code"),
    [
        ("org/gated/resolve/main/config.json", "", 401, "GatedRepo"),
        ("org/gated/resolve/main/config.json", "other", 403, "GatedRepo"),
        ("org/gated/resolve/main/config.json", TOKEN, 307, None),
        ("api/models/org/gated", "", 200, None),
        ("org/private/resolve/main/config.json", "", 401, "RepoNotFound"),
        ("api/models/org/private", "other", 404, "RepoNotFound"),
        ("api/models/org/private", TOKEN, 200, None),
        ("api/models/org/none", "", 401, "RepoNotFound"),
        ("api/models/org/none", TOKEN, 404, "RepoNotFound"),
        ("api/models/org/model", "wrong", 401, None),
        ("api/models/org/model/revision/none", "", 404, "RevisionNotFound"),
        ("org/model/resolve/main/none", "", 404, "EntryNotFound"),
    ],
)
def test_refusals(hub: Hub, what: str, token: str, status: int, code: str | None) -> None:
    answer = ask(f"{hub.url}/{what}", token=token)
    assert (answer.status, answer.headers.get("X-Error-Code")) == (status, code)
    assert hub.log[-1].token == bool(token)


@pytest.mark.parametrize(
    ("fault", "wrong"),
    [
        (Fault("cut", "cdn", after=1000), http.client.IncompleteRead),
        (Fault("reset", "cdn", after=-1), ConnectionResetError),
        (Fault("stall", "cdn", after=5, seconds=0.1), http.client.IncompleteRead),
        (Fault("length", "cdn", by=10), http.client.IncompleteRead),
        (Fault("garbage", "cdn"), http.client.BadStatusLine),
    ],
)
def test_broken_answers_are_broken_once(hub: Hub, fault: Fault, wrong: type[Exception]) -> None:
    where = at_cdn(hub)
    hub.faults.add(fault)
    with pytest.raises(wrong):
        ask(where)
    assert hub.log[-1].fault == fault.kind
    assert len(ask(where).raw) == WEIGHTS.size


def test_what_was_sent_is_counted(hub: Hub) -> None:
    where = at_cdn(hub)
    hub.faults.add(Fault("cut", path="*.safetensors", after=1000, skip=1, count=2))
    assert len(ask(where).raw) == WEIGHTS.size
    for _again in range(2):
        with pytest.raises(http.client.IncompleteRead):
            ask(where)
    assert hub.sent(LARGE) == WEIGHTS.size + 2 * 1000 + len(b"Found. Redirecting")


def test_a_range_that_is_ignored_or_another_one(hub: Hub) -> None:
    where = at_cdn(hub)
    hub.faults.add(Fault("whole"), Fault("shifted", by=3))
    assert ask(where, Range="bytes=10-19").status == 200
    answer = ask(where, Range="bytes=10-19")
    assert (answer.status, answer.headers["Content-Range"]) == (206, f"bytes 13-19/{WEIGHTS.size}")


def test_other_content_at_the_same_address(hub: Hub) -> None:
    where = at_cdn(hub)
    hub.faults.add(Fault("changed", after=2_000_000))
    wrong, right = ask(where).raw, ask(where).raw
    assert [at for at in range(len(right)) if wrong[at] != right[at]] == [2_000_000]


def test_too_many_requests_html_and_a_redirect_to_anywhere(hub: Hub) -> None:
    hub.faults.add(busy(7, server="api"), Fault("html", "api"), Fault("redirect", "api", to="http://elsewhere/"))
    metadata = f"{hub.url}/api/models/org/model"
    first, second, third = (ask(metadata) for _one in range(3))
    assert (first.status, first.headers["Retry-After"]) == (429, "7")
    assert (second.status, second.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert (third.status, third.headers["Location"]) == (302, "http://elsewhere/")
    assert ask(metadata).status == 200


def test_slow_and_dripping(hub: Hub) -> None:
    metadata = f"{hub.url}/api/models/org/model"
    hub.faults.add(Fault("slow", seconds=0.3), Fault("drip", piece=50, seconds=0.1))
    began = time.monotonic()
    ask(metadata)
    assert time.monotonic() - began >= 0.3
    began = time.monotonic()
    assert json.loads(ask(metadata).raw)["id"] == "org/model"
    assert time.monotonic() - began >= 0.2


def test_a_hub_that_is_killed_comes_back_at_the_same_address(hub: Hub) -> None:
    where, url = at_cdn(hub), hub.url
    hub.kill()
    with pytest.raises(ConnectionRefusedError):
        ask(where)
    hub.start()
    assert hub.url == url
    assert len(ask(where).raw) == WEIGHTS.size


def test_faults_and_the_log_over_http(hub: Hub) -> None:
    assert ask(f"{hub.url}/-/faults", "POST", body='[{"kind": "status", "server": "api", "status": 500}]').status == 204
    assert ask(f"{hub.url}/api/models/org/model").status == 500
    assert ask(f"{hub.url}/-/faults", "POST", body='[{"kind": "burn"}]').status == 400
    assert [one["status"] for one in json.loads(ask(f"{hub.url}/-/log").raw)] == [500]


def test_another_commit_leaves_the_first_one_where_it_is(hub: Hub) -> None:
    first = hub.models["org/model"].branches["main"]
    second = hub.add("org/model", {SMALL: b"{ }"})
    assert first != second == json.loads(ask(f"{hub.url}/api/models/org/model").raw)["sha"]
    assert ask(resolve(hub, LARGE, revision=first)).status == 302
    assert ask(resolve(hub, LARGE)).status == 404


def test_made_content_is_the_same_wherever_it_is_read_from() -> None:
    whole = WEIGHTS.read(0, WEIGHTS.size)
    assert len(whole) == WEIGHTS.size
    assert whole[MIB : MIB + 8] == (1).to_bytes(8, "big")
    assert WEIGHTS.read(MIB - 3, 2 * MIB + 5) == whole[MIB - 3 : 2 * MIB + 5]
    assert Made(100, seed=1).read(8, 100) != Made(100, seed=2).read(8, 100)


def test_what_is_in_lfs_has_a_pointer_in_git() -> None:
    """`git hash-object` of the pointer that git lfs writes for three bytes."""
    file = as_file("a.bin", b"abc")
    assert file.lfs
    assert file.pointer.decode().splitlines() == [
        "version https://git-lfs.github.com/spec/v1",
        f"oid sha256:{hashlib.sha256(b'abc').hexdigest()}",
        "size 3",
    ]
    assert Model("m").commit({"a.bin": b"abc"}) != Model("m").commit({"a.bin": b"abd"})
