# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images over a real unix socket: what is loaded, named and removed."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._docker.test_client import Daemon, answer

TAR = [b"first piece, ", b"second piece"]
SIZE = sum(map(len, TAR))


@pytest.fixture
def daemon(tmp_path: pathlib.Path) -> t.Iterator[Daemon]:
    made = Daemon(tmp_path)
    yield made
    made.close()


def test_a_tar_is_sent_piece_by_piece_and_its_events_are_read(daemon: Daemon) -> None:
    seen: list[t.Any] = []
    daemon.says(answer(200, b'{"stream": "Loaded image ID: sha256:1"}\n')).load(iter(TAR), SIZE, seen.append)
    asked = daemon.asked[0]
    assert asked.startswith("POST /images/load?quiet=1") and asked.endswith("first piece, second piece")
    assert f"Content-Length: {SIZE}" in asked and "application/x-tar" in asked and "chunked" not in asked
    assert seen == [{"stream": "Loaded image ID: sha256:1"}]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (answer(200, b'{"error": "no space left on device"}\n'), "no space left on device"),
        (answer(400, {"message": "invalid tar header"}), "invalid tar header"),
        (answer(200, b"no JSON\n"), "the load broke off"),
        (b"", "broke off"),
    ],
)
def test_a_load_that_fails_says_why(daemon: Daemon, said: bytes, told: str) -> None:
    with pytest.raises(DockerError, match=told):
        daemon.says(said).load(iter(TAR), SIZE, lambda _event: None)


def test_what_ends_the_tar_ends_the_load(daemon: Daemon) -> None:
    """A layer that has changed while it was read."""

    def changing() -> t.Iterator[bytes]:
        yield TAR[0]
        raise KeyError("changed")

    with pytest.raises(KeyError, match="changed"):
        daemon.says(answer(200, b"")).load(changing(), SIZE, lambda _event: None)


def test_names_are_given_and_taken(daemon: Daemon) -> None:
    listed = [{"Id": "c", "ImageID": "sha256:1", "Mounts": [{"Source": "/srv"}]}]
    docker = daemon.says(
        answer(201, b""), answer(200, b"[]"), answer(404, {"message": "no such image"}), answer(200, listed)
    )
    docker.tag("sha256:1", "docker.io/vllm/vllm-openai", "v1")
    docker.remove_image("host:5000/a/b@sha256:1")
    docker.remove_image("gone:1")
    assert docker.all_containers() == listed
    assert [line.split("\r\n")[0].rpartition(" ")[0] for line in daemon.asked] == [
        "POST /images/sha256:1/tag?repo=docker.io%2Fvllm%2Fvllm-openai&tag=v1",
        "DELETE /images/host:5000/a/b@sha256:1",
        "DELETE /images/gone:1",
        "GET /containers/json?all=true",
    ]


def test_what_a_container_uses_is_not_removed(daemon: Daemon) -> None:
    with pytest.raises(DockerError, match="conflict"):
        daemon.says(answer(409, {"message": "conflict: in use"})).remove_image("a:1")
