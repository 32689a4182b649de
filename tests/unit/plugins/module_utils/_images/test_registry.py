# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a registry says before a pull, over real sockets: by a login, by a token, and of those that say nothing."""

from __future__ import annotations

import http.server
import json
import pathlib
import threading
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._images import reference, registry
from ansible_collections.gpufleet.vllm.plugins.module_utils._images.fetching import NoImage
from ansible_collections.gpufleet.vllm.plugins.module_utils._images.registry import NotTold, Registry, is_plain
from ansible_collections.gpufleet.vllm.plugins.module_utils._images.registry_login import Login
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._images import archives
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._images.archives import (
    CONFIG,
    ID,
    LAYERS,
    digest,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._images.daemon import Daemon, fetching

Reply = tuple[int, dict[str, str], bytes]
Rule = t.Callable[[str, str, dict[str, str]], Reply]
MANIFEST = json.dumps(
    {
        "config": {"digest": ID},
        "layers": [{"digest": "sha256:x", "size": 30 * 2**20}, {"digest": "sha256:y", "size": 7}],
    }
).encode()
INDEX = json.dumps(
    {"manifests": [{"digest": digest(MANIFEST), "platform": {"architecture": archives.HERE, "os": "linux"}}]}
).encode()
SIZES = {digest(LAYERS[0]): 30 * 2**20, digest(LAYERS[1]): 7}
HIDDEN = Login("a test", "me", "hidden-word")


class Server:
    """Answers by a rule: method, path and headers in, status, headers and body out."""

    def __init__(self) -> None:
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server.asked.append((self.path, dict(self.headers)))
                status, headers, body = server.rule(self.command, self.path, dict(self.headers))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_words: t.Any) -> None:
                pass

        self.asked: list[tuple[str, dict[str, str]]] = []
        self.rule: Rule = self.gives
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def gives(self, _method: str, path: str, _headers: dict[str, str]) -> Reply:
        known = {"manifests/1": INDEX, f"manifests/{digest(MANIFEST)}": MANIFEST, f"blobs/{ID}": CONFIG}
        body = known.get(path.removeprefix("/v2/o/v/").partition("?")[0])
        return (404, {}, b"{}") if body is None else (200, {}, body)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> t.Iterator[Server]:
    made = Server()
    yield made
    made.close()


def asked(server: Server, login: Login | None = None) -> Registry:
    return Registry(reference.read(f"{server.address}/o/v:1"), login, plain=True)


def test_the_layers_of_this_machine(server: Server) -> None:
    found = asked(server).layers()
    assert found.sizes == SIZES and found.missing([digest(LAYERS[0])]) == 7


def test_a_login_is_sent_where_it_is_asked_for(server: Server) -> None:
    def basic(method: str, path: str, headers: dict[str, str]) -> Reply:
        right = headers.get("Authorization") == "Basic bWU6aGlkZGVuLXdvcmQ="
        return server.gives(method, path, headers) if right else (401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")

    server.rule = basic
    assert asked(server, HIDDEN).layers().sizes == SIZES
    with pytest.raises(NotTold, match="login of another kind"):
        asked(server).layers()


@pytest.mark.parametrize("login", [None, HIDDEN, Login("a test", identitytoken="hidden-word")])
def test_a_token_is_got_for_it(server: Server, login: Login | None) -> None:
    def bearer(method: str, path: str, headers: dict[str, str]) -> Reply:
        if path.startswith("/token"):
            return 200, {}, b'{"token": "given"}'
        if headers.get("Authorization") == "Bearer given":
            return server.gives(method, path, headers)
        return 401, {"WWW-Authenticate": f'Bearer realm="http://{server.address}/token",service="s"'}, b""

    server.rule = bearer
    assert asked(server, login).layers().sizes == SIZES
    path, headers = next(one for one in server.asked if one[0].startswith("/token"))
    assert ("Authorization" in headers) == (login is HIDDEN)
    assert "hidden-word" not in path


def test_a_redirect_takes_no_login_along(server: Server) -> None:
    other = Server()

    def away(method: str, path: str, headers: dict[str, str]) -> Reply:
        if "Authorization" not in headers:
            return 401, {"WWW-Authenticate": "Basic"}, b""
        if "/blobs/" in path:
            return 307, {"Location": f"http://{other.address}{path}?signed=1"}, b""
        return server.gives(method, path, headers)

    server.rule = away
    try:
        assert asked(server, HIDDEN).layers().sizes == SIZES
        assert len(other.asked) == 1 and "Authorization" not in other.asked[0][1]
    finally:
        other.close()


SILENT: dict[str, Reply] = {
    "not there": (404, {}, b""),
    "no JSON": (200, {}, b"<html>"),
    "a list": (200, {}, b"[]"),
    "no manifest": (200, {}, b"{}"),
    "no index": (200, {}, b'{"manifests": [{}]}'),
    "another machine": (200, {}, b'{"manifests": []}'),
    "no layers": (200, {}, b'{"config": {"digest": "x"}, "layers": [{"digest": "y"}]}'),
    "a ring": (307, {"Location": "/"}, b""),
    "too much": (200, {}, b" " * (registry.LONGEST + 1)),
    "another realm": (401, {"WWW-Authenticate": 'Bearer realm="file:///etc/passwd"'}, b""),
    "no realm": (401, {}, b""),
}


@pytest.mark.parametrize("reply", SILENT.values(), ids=SILENT)
def test_whatever_else_it_says_is_not_known(server: Server, reply: Reply) -> None:
    server.rule = lambda _method, _path, _headers: reply
    with pytest.raises(NotTold):
        asked(server, HIDDEN).layers()
    assert asked(server, HIDDEN).wait() == ""


def test_one_that_is_away(server: Server) -> None:
    server.close()
    with pytest.raises(NotTold):
        asked(server).layers()


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"Retry-After": "90"}, "; it asks to be left alone for 90 s: toomanyrequests"),
        ({"RateLimit-Limit": "100;w=21600"}, "; it gives out 100 in 6 hours: toomanyrequests"),
        ({"Retry-After": "Fri, 31 Dec 2027 23:59:59 GMT"}, "until Fri, 31 Dec 2027 23:59:59 GMT: toomany"),
        ({}, "(without a login): toomanyrequests"),
    ],
)
def test_when_it_gives_out_images_again(
    server: Server, tmp_path: pathlib.Path, headers: dict[str, str], told: str
) -> None:
    server.rule = lambda _method, _path, _headers: (429, headers, b"")
    docker, said = Daemon(), list[str]()
    name = f"{server.address}/o/v:1"
    docker.offered = {name: "toomanyrequests"}
    fetch = fetching(tmp_path, docker, said)
    fetch.registry = Registry
    with pytest.raises(NoImage) as problem:
        fetch.present(name, 60)
    assert problem.value.failure_class == "image.rate_limit" and told in problem.value.cause
    assert "cannot be asked before its pull: it answers 429" in said[0]


def test_the_disk_is_compared_before_the_first_byte(server: Server, tmp_path: pathlib.Path) -> None:
    """12 MiB are free; 30 are missing, unless another image has that layer."""
    docker = Daemon()
    name = f"{server.address}/o/v:1"
    docker.offered = {name: {"Id": "sha256:1"}}
    fetch = fetching(tmp_path, docker, [])
    fetch.registry = Registry
    with pytest.raises(NoImage) as problem:
        fetch.present(name, 60)
    assert problem.value.failure_class == "disk.full" and docker.done == []
    assert "30 MiB of it are missing here" in problem.value.cause and "12 MiB are free" in problem.value.cause
    docker.has({"Id": "sha256:2", "RootFS": {"Layers": [digest(LAYERS[0])]}})
    assert fetch.present(name, 60).by == "registry"


@pytest.mark.parametrize(
    ("address", "info", "plain"),
    [
        ("127.0.0.1:5000", {}, True),
        ("localhost:5000", {}, True),
        ("host:5055", {"RegistryConfig": {"IndexConfigs": {"host:5055": {"Secure": False}}}}, True),
        ("host:5055", {"RegistryConfig": {"IndexConfigs": {"host:5055": {"Secure": True}}}}, False),
        ("docker.io", {"RegistryConfig": {"IndexConfigs": {"docker.io": {"Secure": True}}}}, False),
        ("ghcr.io", {"RegistryConfig": {"IndexConfigs": []}}, False),
        ("ghcr.io", {"RegistryConfig": []}, False),
    ],
)
def test_who_is_asked_without_tls(address: str, info: dict[str, t.Any], plain: bool) -> None:
    assert is_plain(address, info) == plain
