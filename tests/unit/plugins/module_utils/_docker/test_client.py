# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker port over a real unix socket that answers canned bytes."""

from __future__ import annotations

import io
import json
import pathlib
import socket
import struct
import threading
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import Docker, DockerError, demultiplexed

Json = dict[str, t.Any]


def frame(stream: int, text: bytes) -> bytes:
    return bytes((stream, 0, 0, 0)) + struct.pack(">I", len(text)) + text


def answer(status: int, body: bytes | Json | list[Json]) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(raw), raw)


CONTAINER: Json = {
    "Id": "a",
    "Name": "/vllm-a b",
    "Image": "sha256:1",
    "State": {"Status": "exited", "Running": False, "StartedAt": "2026-01-01T00:00:00Z"},
    "HostConfig": {"RestartPolicy": {"Name": "no"}, "PortBindings": None},
    "Config": {"Labels": None},
}


class Daemon:
    """Answers each connection with the next canned bytes, and remembers what was asked."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.path = str(folder / "docker.sock")
        self.asked: list[str] = []
        self._answers: list[bytes] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def says(self, *answers: bytes) -> Docker:
        self._answers = list(answers)
        return Docker(self.path)

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            with connection:
                self.asked.append(self._request(connection))
                connection.sendall(self._answers.pop(0))

    @staticmethod
    def _request(connection: socket.socket) -> str:
        """The whole request: hanging up on unread bytes would reset the connection."""
        raw = b""
        while b"\r\n\r\n" not in raw:
            raw += connection.recv(65536)
        head, _blank, body = raw.partition(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
        while len(body) < int(lengths[0] if lengths else 0):
            body += connection.recv(65536)
        return f"{head.decode()}\r\n\r\n{body.decode()}"

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def daemon(tmp_path: pathlib.Path) -> t.Iterator[Daemon]:
    made = Daemon(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (frame(1, b"out\n") + frame(2, b"err\n"), "out\nerr\n"),
        (frame(1, "é".encode()[:1]) + frame(1, "é".encode()[1:]), "é"),
        (frame(1, b"") + frame(1, b"x"), "x"),
        (frame(1, b"whole") + frame(1, b"cut off")[:11], "wholecut"),
        (frame(1, b"\xff"), "\ufffd"),
        (b"", ""),
    ],
    ids=["two streams", "a character in two frames", "empty frame", "cut", "not UTF-8", "empty"],
)
def test_demultiplexed(raw: bytes, text: str) -> None:
    assert demultiplexed(io.BytesIO(raw)) == text


def test_found_and_not_found(daemon: Daemon) -> None:
    docker = daemon.says(answer(200, CONTAINER), answer(404, {"message": "No such container: b"}), answer(404, b"gone"))
    assert docker.container("vllm-a b") == CONTAINER
    assert docker.container("b") is None
    assert docker.image("registry:5000/vllm@sha256:1") is None
    assert [asked.split(" HTTP")[0] for asked in daemon.asked] == [
        "GET /containers/vllm-a%20b/json",
        "GET /containers/b/json",
        "GET /images/registry:5000/vllm@sha256:1/json",
    ]


@pytest.mark.parametrize(
    ("canned", "status", "message"),
    [
        (answer(500, {"message": "no space left on device"}), 500, "no space left on device"),
        (answer(502, b"<html>bad\n"), 502, "<html>bad"),
        (answer(409, {"odd": 1}), 409, '{"odd": 1}'),
        (b"", 0, "does not answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", 0, "broke off"),
    ],
)
def test_the_daemons_own_message(daemon: Daemon, canned: bytes, status: int, message: str) -> None:
    with pytest.raises(DockerError, match=message) as error:
        daemon.says(canned).container("a")
    assert error.value.status == status


@pytest.mark.parametrize("body", [b"<html>It works!</html>", b"", b"[" * 100000])
def test_what_answers_and_is_no_docker(daemon: Daemon, body: bytes) -> None:
    with pytest.raises(DockerError, match="answers what is not understood to GET /info") as error:
        daemon.says(answer(200, body)).get("/info")
    assert error.value.status, "it did answer"


def test_a_daemon_that_is_away(tmp_path: pathlib.Path) -> None:
    with pytest.raises(DockerError, match=f"does not answer on {tmp_path}/none") as error:
        Docker(f"{tmp_path}/none").get("/version")
    assert error.value.status == 0


CALLS: list[tuple[t.Callable[[Docker], object], str, Json | None]] = [
    (lambda docker: docker.start("a"), "POST /containers/a/start", None),
    (lambda docker: docker.stop("a", 30), "POST /containers/a/stop?t=30", None),
    (lambda docker: docker.restart("a", 30), "POST /containers/a/restart?t=30", None),
    (lambda docker: docker.rename("a", "vllm-x"), "POST /containers/a/rename?name=vllm-x", None),
    (
        lambda docker: docker.set_restart_policy("a", "no"),
        "POST /containers/a/update",
        {"RestartPolicy": {"Name": "no"}},
    ),
    (lambda docker: docker.remove("a"), "DELETE /containers/a?force=true&v=true", None),
]


@pytest.mark.parametrize(("call", "line", "body"), CALLS, ids=[line for _call, line, _body in CALLS])
def test_what_is_asked(daemon: Daemon, call: t.Callable[[Docker], object], line: str, body: Json | None) -> None:
    call(daemon.says(b"HTTP/1.1 204 No Content\r\n\r\n"))
    head, _blank, sent = daemon.asked[0].partition("\r\n\r\n")
    assert head.split(" HTTP")[0] == line
    assert (json.loads(sent) if sent else None) == body


@pytest.mark.parametrize("call", [lambda docker: docker.start("a"), lambda docker: docker.stop("a", 1)])
def test_what_is_so_already_is_fine(daemon: Daemon, call: t.Callable[[Docker], object]) -> None:
    call(daemon.says(b"HTTP/1.1 304 Not Modified\r\n\r\n"))
    assert len(daemon.asked) == 1


def test_removing_what_is_gone_is_fine_and_nothing_else(daemon: Daemon) -> None:
    docker = daemon.says(answer(404, {"message": "gone"}), answer(500, {"message": "busy"}))
    docker.remove("a")
    with pytest.raises(DockerError, match="busy"):
        docker.remove("a")


def test_create_wait_list_logs(daemon: Daemon) -> None:
    docker = daemon.says(
        answer(201, {"Id": "new"}),
        answer(200, {"StatusCode": 3}),
        answer(200, b'[{"Id": "a"}]'),
        answer(200, frame(1, b"2026-01-01T00:00:00Z hello\n")),
    )
    assert docker.create("vllm-x", {"Image": "i"}) == "new"
    assert docker.wait("new", 5) == 3
    assert docker.containers_labelled("k=v") == [{"Id": "a"}]
    assert docker.logs("new", "17") == "2026-01-01T00:00:00Z hello\n"
    assert "all=true" in daemon.asked[2] and "%22k%3Dv%22" in daemon.asked[2]
    assert "timestamps=1&since=17" in daemon.asked[3]


@pytest.mark.parametrize(
    ("reference", "asked"),
    [
        ("vllm/vllm-openai", "vllm%2Fvllm-openai%3Alatest"),
        ("vllm/vllm-openai:v1", "vllm%2Fvllm-openai%3Av1"),
        ("host:5000/vllm", "host%3A5000%2Fvllm%3Alatest"),
        ("vllm/x@sha256:12", "vllm%2Fx%40sha256%3A12"),
    ],
)
def test_a_pull_never_asks_for_all_tags(daemon: Daemon, reference: str, asked: str) -> None:
    events: list[Json] = []
    canned = answer(200, b'{"status": "Downloading", "id": "a"}\r\n{"status": "done"}\r\n')
    daemon.says(canned).pull(reference, "login", events.append)
    assert [event["status"] for event in events] == ["Downloading", "done"]
    assert f"POST /images/create?fromImage={asked} " in daemon.asked[0]
    assert "X-Registry-Auth: login" in daemon.asked[0]


@pytest.mark.parametrize(
    ("canned", "message"),
    [
        (answer(200, b'{"status": "x"}\n{"error": "manifest unknown"}\n'), "manifest unknown"),
        (answer(404, {"message": "pull access denied"}), "pull access denied"),
        (answer(200, b'{"status": "x"}\n{"sta'), "the pull broke off"),
        (b"", "does not answer"),
    ],
)
def test_a_pull_that_fails(daemon: Daemon, canned: bytes, message: str) -> None:
    with pytest.raises(DockerError, match=message):
        daemon.says(canned).pull("vllm/x", "", lambda _event: None)
