# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model from a plain web server, or a bucket: what comes of it, what is told to whom, and servers that lie."""

from __future__ import annotations

import hashlib
import http.server
import os
import pathlib
import re
import threading
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._store.asking import opening, resolver
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.looking import Found, look
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.mover import Ended, Mover
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.progress import Progress
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.transfer import Transfer
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.waits import Patience
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store.hubs import request

TOKEN = "hf_0123456789abcdefgh"
FILES = {"config.json": b"{}", "model.safetensors": os.urandom(200_000)}


class Server(http.server.ThreadingHTTPServer):
    """Files of a bucket with ranges, which answers 403 for what it has not, as one does that may not be listed."""

    daemon_threads = False  # those that answer have ended when the test has

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.heads: dict[str, int] = {}
        self.elsewhere = ""
        self.asked: list[tuple[str, str, str, str]] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def sent(self) -> list[str]:
        return [path for method, path, _range, _token in self.asked if method == "GET"]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = self.path.partition("/m/")[2]
        ranged, token = self.headers.get("Range") or "", self.headers.get("Authorization") or ""
        self.server.asked.append((self.command, path, ranged, token))
        if self.server.elsewhere:
            self.send_response(302)
            self.send_header("Location", f"{self.server.elsewhere}{self.path}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        raw = self.server.files.get(path)
        begin = int(re.sub(r"\D", "", ranged) or 0)
        self.send_response(403 if raw is None else 206 if begin else 200)
        if raw is not None and begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(raw) - 1}/{len(raw)}")
        part = (raw or b"")[begin:]
        said = self.server.heads.get(path, len(part)) if not body else len(part)
        self.send_header("Content-Length", str(said))
        self.end_headers()
        if body:
            self.wfile.write(part)

    def log_message(self, format: str, *args: t.Any) -> None:  # noqa: A002 - its name in the standard library
        """Nobody reads it."""


@pytest.fixture
def server() -> t.Iterator[Server]:
    with Server() as made:
        made.files = dict(FILES)
        yield made
        made.shutdown()


@pytest.fixture
def other() -> t.Iterator[Server]:
    with Server() as made:
        yield made
        made.shutdown()


class Host:
    def __init__(self, place: pathlib.Path, source: str) -> None:
        self.hub, self.state = place / "hub", str(place / "state")
        self.asked = request(str(self.hub), model="org/m", source=source, endpoint="http://127.0.0.1:9")

    def fetch(self) -> Ended:
        asked = (self.asked, resolver(self.asked, TOKEN, self.state), opening(self.asked, TOKEN))

        def transfer(*args: t.Any, **named: t.Any) -> Transfer:
            return Transfer(args[0], args[1], args[2], args[3], lambda: Patience(tries=4, first=0.001), **named)

        return Mover(*asked, Progress(), lambda: None, self.state, "b1", transfer).run()

    def look(self) -> Found:
        return look(self.asked, resolver(self.asked, TOKEN, keep=False), self.state, "b1")

    def placed(self) -> dict[str, bytes]:
        repository = self.hub / "models--org--m"
        snapshot = repository / "snapshots" / (repository / "refs" / "main").read_text()
        return {one.name: one.read_bytes() for one in snapshot.iterdir()}


@pytest.fixture
def host(tmp_path: pathlib.Path, server: Server) -> Host:
    return Host(tmp_path, f"{server.url}/m")


def listed(files: t.Mapping[str, bytes]) -> bytes:
    return "".join(f"{hashlib.sha256(raw).hexdigest()}  {name}\n" for name, raw in files.items()).encode()


@pytest.mark.parametrize("hashes", [True, False])
def test_it_comes_once_and_whole(host: Host, server: Server, hashes: bool) -> None:
    if hashes:
        server.files["SHA256SUMS"] = listed(FILES)
    ended = host.fetch()
    assert (ended.outcome, ended.changed) == ("whole", True) and host.placed() == FILES
    assert ("No hash is known of 2 of its files, such as config.json" in ended.detail) is not hashes
    server.asked.clear()
    ended = host.fetch()
    assert (ended.outcome, ended.changed) == ("whole", False)
    assert [path for path in server.sent() if path in FILES] == []
    assert ("No hash is known" in host.look()["detail"]) is not hashes


def test_it_goes_on_at_the_byte(host: Host, server: Server, tmp_path: pathlib.Path) -> None:
    server.files["SHA256SUMS"] = listed(FILES)
    blob = hashlib.sha256(FILES["model.safetensors"]).hexdigest()
    parts = tmp_path / "hub" / "models--org--m" / ".gpufleet"
    parts.mkdir(parents=True)
    (parts / blob).write_bytes(FILES["model.safetensors"][:150_000])
    (parts / f"{blob}.synced").write_text("b1 150000\n")
    assert host.fetch().outcome == "whole" and host.placed() == FILES
    assert ("GET", "model.safetensors", "bytes=150000-", "") in server.asked


def test_the_hubs_token_goes_to_no_base_and_nowhere_it_redirects(host: Host, server: Server, other: Server) -> None:
    other.files, server.elsewhere = {**FILES, "SHA256SUMS": listed(FILES)}, other.url
    assert host.fetch().outcome == "whole" and host.placed() == FILES
    assert len(server.asked) >= 4 and len(other.asked) >= 4
    assert {token for *_asked, token in [*server.asked, *other.asked]} == {""}


def test_a_length_that_is_a_lie_is_never_placed(host: Host, server: Server) -> None:
    for said, told in ((100, "sends 200000 bytes, where 100 are missing"), (10**14, "and 0 to 4398046511104 are")):
        server.heads["model.safetensors"] = said
        ended = host.fetch()
        assert ended.outcome == "failed" and told in ended.detail
    server.heads["model.safetensors"] = 10**12
    assert "has room for" in host.fetch().detail
    assert not (host.hub / "models--org--m" / "refs").exists()


def test_a_content_that_is_another_one_is_never_placed(host: Host, server: Server) -> None:
    server.files["SHA256SUMS"] = listed({**FILES, "model.safetensors": b"y" * 200_000})
    ended = host.fetch()
    assert ended.outcome == "failed" and "another one than its source lists" in ended.detail
    assert not (host.hub / "models--org--m" / "refs").exists()


def test_one_that_changed_is_another_revision(host: Host, server: Server) -> None:
    host.fetch()
    commit = (host.hub / "models--org--m" / "refs" / "main").read_text()
    server.files["config.json"] = b"{ }"
    assert host.fetch().changed and host.placed()["config.json"] == b"{ }"
    host.asked["revision"] = commit
    server.asked.clear()
    assert host.fetch().outcome == "whole" and server.asked == []
