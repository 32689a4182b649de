# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole host program against a Docker daemon that answers as nobody should, over a real unix socket."""

from __future__ import annotations

import json
import pathlib
import socket
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker import client
from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import NOT_UNDERSTOOD, Docker, DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._host import cli
from ansible_collections.gpufleet.vllm.plugins.module_utils._state import units
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.neighbour import (
    CUT,
    DEEP,
    DRIPS,
    ENDLESS,
    LIES,
    NOISE,
    OK,
    SILENT,
    Neighbour,
    Says,
    patience,
    says,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import NAME, Json, plan
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

OLD, NEW = 1024, 2048
# What a look, a rollout and a round of the watch ask of a daemon before they give it up.
ASKED = 8
CONTAINER: Json = {
    "Id": "id2",
    "Name": "/vllm-assistant",
    "Image": "sha256:1",
    "State": {"Status": "running", "Running": True, "StartedAt": "2026-01-01T00:00:00Z", "ExitCode": 0},
    "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}},
    "Config": {"Labels": {}},
}


class Daemon(Neighbour):
    """A daemon on a unix socket."""

    def __init__(self, folder: pathlib.Path, said: Says) -> None:
        self.path = str(folder / "docker.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen()
        super().__init__(listener, lambda _line: said)


class Quick(Docker):
    """As patient as a test. `asked` is what it was asked: each of it has a limit."""

    def __init__(self, path: str, within: float) -> None:
        super().__init__(path)
        self.within = within
        self.asked: list[str] = []

    def _call(self, method: str, path: str, body: t.Any = None, timeout: float = 60) -> str:
        self.asked.append(f"{method} {path}")
        return super()._call(method, path, body, min(timeout, self.within))


ODD: dict[str, tuple[Says, str]] = {
    "deep": (DEEP, "it is nested deeper than 64 levels"),
    "a text": (says("hello"), "the answer is a text, not "),
    "no JSON": (says(b"<html>"), "Expecting value"),
    "no number": (says(b'{"Id": NaN}'), "the number NaN, which is no JSON"),
    "endless": (ENDLESS, "it sends more than 4 MiB"),
    "a length that lies": (LIES, "it sends more than 4 MiB"),
    "cut off": (CUT, "broke off"),
    "silent": (SILENT, "timed out"),
    "dripping": (DRIPS, "timed out"),
    "noise": (NOISE, "does not answer"),
    "steering words": (says({"message": "\x1b[2J\x1b]0;x\x07no \u202eroom"}, 500), "no \ufffdroom"),
}


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[t.Callable[[Says], Scene]]:
    """A host that serves, and whose daemon has begun to answer like this."""
    daemons: list[Daemon] = []

    def made(said: Says) -> Scene:
        scene = Scene(tmp_path)
        assert scene.roll_out(OLD) == "verified"
        daemons.append(Daemon(tmp_path, said))
        scene.host.docker = Quick(daemons[0].path, patience(said))
        monkeypatch.setattr(client, "LOG_WITHIN", patience(said))
        monkeypatch.setattr(cli, "Host", lambda owner, keys, registry: scene.host)
        return scene

    monkeypatch.setattr(units, "running", lambda _instance: False)
    yield made
    for daemon in daemons:
        daemon.close()


def run(scene: Scene, *arguments: str) -> int:
    where = ("--state-dir", str(scene.folder / "state"), "--client-dir", scene.client_dir)
    return cli.main([*where, "--run-dir", scene.run_dir, *arguments])


@pytest.mark.parametrize(("said", "why"), ODD.values(), ids=ODD)
def test_a_daemon_that_answers_oddly_is_said_and_touches_nothing(
    host: t.Callable[[Says], Scene], capsys: pytest.CaptureFixture[str], said: Says, why: str
) -> None:
    scene = host(said)
    state = scene.store.load()
    assert run(scene, "status") == 0
    (seen,) = json.loads(capsys.readouterr().out)
    assert (seen["name"], seen["healthy"]) == (NAME, False)
    assert why in seen["problem"] and seen["problem"].isprintable()

    request = scene.store.save_request({"kind": "rollout", "plan": plan(NEW), "retry": False})
    assert run(scene, "rollout", NAME, request) == 1
    assert scene.last()["outcome"] in ("refused", "failed")
    assert why in scene.last()["detail"]

    assert run(scene, "watch") == 0
    assert why in capsys.readouterr().out
    assert scene.store.load() == state
    assert isinstance(scene.host.docker, Quick)
    assert len(scene.host.docker.asked) <= ASKED, "each of it may take as long as its limit"


def without(document: Json, *path: str) -> Json:
    copy: Json = json.loads(json.dumps(document))
    part = copy
    for name in path[:-1]:
        part = part[name]
    del part[path[-1]]
    return copy


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], "the answer is a list, not an object"),
        (without(CONTAINER, "Id"), "the answer has no Id"),
        (without(CONTAINER, "State", "Running"), "the answer.State has no Running"),
        (without(CONTAINER, "HostConfig", "RestartPolicy"), "the answer.HostConfig has no RestartPolicy"),
        ({**CONTAINER, "RestartCount": "many"}, "the answer.RestartCount is a text, not a whole number"),
        ({**CONTAINER, "State": "running"}, "the answer.State is a text, not an object"),
        ({**CONTAINER, "Config": {"Labels": ["x"]}}, "the answer.Config.Labels is a list, not an object"),
        ({**CONTAINER, "Config": {"Env": [1]}}, "the answer.Config.Env[0] is a whole number, not a text"),
    ],
)
def test_a_container_of_another_shape_is_refused(
    host: t.Callable[[Says], Scene], document: t.Any, problem: str
) -> None:
    scene = host(says(document))
    with pytest.raises(DockerError, match="answers what is not understood to GET /containers/a/json") as error:
        scene.host.docker.container("a")
    assert problem in str(error.value)
    assert error.value.status == NOT_UNDERSTOOD


@pytest.mark.parametrize("path", ["/info", "/version", "/containers/json", "/containers/create", "/images/a/json"])
@pytest.mark.parametrize("document", [1, "x", None, [1], {"Runtimes": [], "Id": 1, "Version": 1}])
def test_every_document_that_is_read_has_a_shape(host: t.Callable[[Says], Scene], path: str, document: t.Any) -> None:
    scene = host(says(document))
    with pytest.raises(DockerError, match="not understood"):
        scene.host.docker._document("GET", path)


def test_a_container_as_docker_describes_it_is_taken(host: t.Callable[[Says], Scene]) -> None:
    assert host(says(CONTAINER)).host.docker.container("a") == CONTAINER


def frame(text: bytes) -> bytes:
    return b"\x01\x00\x00\x00" + len(text).to_bytes(4, "big") + text


def test_of_a_log_the_newest_lines_are_read(host: t.Callable[[Says], Scene]) -> None:
    lines = b"".join(frame(b"2026-01-01T00:00:00Z \x1b[32mline %07d\x1b[0m\n" % at) for at in range(200_000))
    found = host(says(lines)).host.docker.logs("a").splitlines()
    assert found[-1] == "2026-01-01T00:00:00Z line 0199999"
    assert 50_000 < len(found) < 200_000
    assert all(len(line) == len(found[0]) for line in found)


def test_of_a_log_that_is_cut_off_what_came_is_taken(host: t.Callable[[Says], Scene]) -> None:
    cut = Says(OK + b"Content-Length: 999\r\n\r\n" + frame(b"2026-01-01T00:00:00Z a\n"))
    assert host(cut).host.docker.logs("a") == "2026-01-01T00:00:00Z a\n"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (SILENT, "timed out"),
        (Says(OK + b"\r\n", frame(b"x") * 10, 0.02), "broke off: timed out"),
        (Says(OK + b"\r\n" + b"\x01\x00\x00\x00\xff\xff\xff\xff", b"x" * 1000, 0.01), "broke off: timed out"),
        (NOISE, "does not answer"),
    ],
    ids=["silent", "dripping", "a frame without end", "noise"],
)
def test_a_log_without_end_is_given_up(host: t.Callable[[Says], Scene], said: Says, why: str) -> None:
    with pytest.raises(DockerError, match=why):
        host(said).host.docker.logs("a")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (says(b"[" * 9999 + b"\n"), "nested deeper"),
        (says([1]), "an event is a list, not an object"),
        (says({"progressDetail": {"current": "x"}}), "current is a text"),
        (Says(OK + b"\r\n", b"x" * 65536), "a line of more than 1 MiB"),
        (Says(OK + b"\r\n", b'{"status": "x"}\n', 0.05), "timed out"),
        (Says(OK + b"\r\n", b" ", 0.05), "timed out"),
        (SILENT, "timed out"),
        (says({"error": "\x1b[2Jno"}), "^no$"),
    ],
    ids=["deep", "a list", "odd progress", "a line without end", "without end", "dripping", "silent", "steering words"],
)
def test_a_pull_is_given_up_at_its_limit(host: t.Callable[[Says], Scene], said: Says, why: str) -> None:
    with pytest.raises(DockerError, match=why):
        host(said).host.docker.pull("vllm/x:1", "", lambda _event: None, limit=patience(said))
