# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image is brought once, from the first place that has it, and what stands in the way is told apart."""

from __future__ import annotations

import pathlib
import threading
import time
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._images import brought, sources
from ansible_collections.gpufleet.vllm.plugins.module_utils._images.fetching import NoImage
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._images.daemon import Daemon, Json, fetching

PIN = "@sha256:" + "a" * 64
IMAGE = f"vllm/vllm-openai{PIN}"
MIRROR = f"mirror.example.com/hub/vllm/vllm-openai{PIN}"
ONE: Json = {"Id": "sha256:1", "RepoDigests": []}


def state(folder: pathlib.Path, **stated: t.Any) -> None:
    wrong: list[str] = []
    sources.keep(sources.read(stated, wrong), str(folder / "state"))
    assert not wrong


def test_what_is_there_is_not_pulled(tmp_path: pathlib.Path) -> None:
    docker = Daemon()
    docker.has(ONE, IMAGE)
    assert fetching(tmp_path, docker, []).present(IMAGE, 60).by == "" and docker.done == []


def test_it_is_pulled_with_the_login_of_its_registry(tmp_path: pathlib.Path) -> None:
    docker, said = Daemon(), list[str]()
    docker.offered = {"ghcr.io/o/v:1": ONE, "quay.io/o/v:1": ONE}
    state(tmp_path, registries={"ghcr.io": {"username": "u", "password": "hidden-word"}})
    found = fetching(tmp_path, docker, said).present("ghcr.io/o/v:1", 60)
    assert (found.by, found.origin) == ("registry", "ghcr.io/o/v:1")
    docker.known = {}
    fetching(tmp_path, docker, said).present("quay.io/o/v:1", 60)
    assert docker.logins == [{"username": "u", "password": "hidden-word", "serveraddress": "ghcr.io"}, {}]
    assert "hidden-word" not in " ".join(said)


def test_a_login_that_cannot_be_used_is_said_and_stands_in_no_way(tmp_path: pathlib.Path) -> None:
    docker, said = Daemon(), list[str]()
    (tmp_path / "config.json").write_text("{")
    docker.offered = {IMAGE: ONE}
    fetching(tmp_path, docker, said).present(IMAGE, 60)
    assert said[0].startswith("pulling without a login: ") and docker.logins == [{}]
    docker = Daemon()
    docker.offered = {IMAGE: "no basic auth credentials"}
    with pytest.raises(NoImage) as problem:
        fetching(tmp_path, docker, said).present(IMAGE, 60)
    assert "does not take the login (without a login: " in problem.value.cause and "config.json" in problem.value.cause


def test_a_mirror_comes_first_and_its_image_is_found_by_the_name_that_is_planned(tmp_path: pathlib.Path) -> None:
    docker = Daemon()
    docker.offered = {MIRROR: ONE}
    state(tmp_path, mirrors={"docker.io": "mirror.example.com/hub"})
    folder = str(tmp_path / "state")
    found = fetching(tmp_path, docker, []).present(IMAGE, 60)
    assert (found.by, found.origin, docker.done) == ("mirror", MIRROR, [f"pull {MIRROR}"])
    assert docker.image(IMAGE) is None and brought.find(docker, IMAGE, folder) == ONE
    assert brought.ids(IMAGE, folder) == ["sha256:1"]
    assert fetching(tmp_path, docker, []).present(IMAGE, 60).by == ""
    # Another digest of the same name is another image.
    assert brought.find(docker, IMAGE.replace("a" * 64, "b" * 64), folder) is None


def test_an_image_by_tag_gets_that_tag(tmp_path: pathlib.Path) -> None:
    docker = Daemon()
    docker.offered = {"mirror.example.com/v/vllm-openai:v1": ONE}
    state(tmp_path, mirrors={"docker.io/vllm": "mirror.example.com/v"})
    fetching(tmp_path, docker, []).present("vllm/vllm-openai:v1", 60)
    assert docker.done[-1] == "tag docker.io/vllm/vllm-openai:v1"
    assert docker.image("vllm/vllm-openai:v1") == ONE


def test_what_a_mirror_has_not_is_pulled_by_its_own_name(tmp_path: pathlib.Path) -> None:
    docker, said = Daemon(), list[str]()
    docker.offered = {IMAGE: ONE, MIRROR: "dial tcp: connection refused"}
    state(tmp_path, mirrors={"docker.io": "mirror.example.com/hub"})
    assert fetching(tmp_path, docker, said).present(IMAGE, 60).by == "registry"
    assert any("mirror.example.com cannot be reached" in line for line in said)
    docker = Daemon()
    docker.offered = {MIRROR: "dial tcp: connection refused"}
    with pytest.raises(NoImage) as problem:
        fetching(tmp_path, docker, said).present(IMAGE, 60)
    assert problem.value.failure_class == "image.not_there"
    assert "mirror.example.com cannot be reached" in problem.value.cause
    assert "docker.io has no image vllm/vllm-openai@sha256" in problem.value.cause


# What Docker hands on, of Docker Hub, Debian's docker-registry, GHCR, Harbor and ECR.
SAID: list[tuple[str, str, str]] = [
    ("manifest for x:1 not found: manifest unknown: manifest unknown", "image.not_there", "has no image o/v:1"),
    ('failed to resolve reference "quay.io/o/v:1": quay.io/o/v:1: not found', "image.not_there", "has no image"),
    ("name unknown: repository name not known to registry", "image.not_there", "has no image"),
    (
        "pull access denied for x, repository does not exist or may require 'docker login': denied",
        "image.denied",
        "or has no such repository: both look alike",
    ),
    ("denied: denied", "image.denied", "quay.io does not give quay.io/o/v without a login, or has no such repository"),
    ("error from registry: Requested access is not permitted: 403 Forbidden", "image.denied", "does not give"),
    ("unauthorized: incorrect username or password", "image.credentials", "asks for a login, and none is known for it"),
    ('Head "https://quay.io/v2/o/v/manifests/1": no basic auth credentials', "image.credentials", "vllm_server_reg"),
    ("unauthorized: authentication required", "image.credentials", "docker login quay.io"),
    ("toomanyrequests: You have reached your pull rate limit.", "image.rate_limit", "gives out no more images for now"),
    ("error parsing HTTP 429 response body: 429 Too Many Requests", "image.rate_limit", "share a limit"),
    ('Get "https://quay.io/v2/": x509: certificate signed by unknown authority', "image.tls", "certs.d/quay.io/ca.crt"),
    ("http: server gave HTTP response to HTTPS client", "image.tls", "insecure_registries"),
    ('Get "https://quay.io/v2/": dial tcp: lookup quay.io: no such host', "image.pull", "quay.io cannot be reached"),
    ('Get "https://quay.io/v2/": net/http: TLS handshake timeout', "image.pull", "cannot be reached, or broke off"),
    ("unexpected EOF", "image.pull", "cannot be reached, or broke off"),
    ("write /var/lib/docker/tmp/x: no space left on device", "disk.full", "12 MiB are free on the disk of /docker"),
    ("whatever else", "image.pull", "could not be pulled from quay.io: whatever else"),
]


@pytest.mark.parametrize(("message", "failure_class", "told"), SAID)
def test_what_stands_in_the_way_is_told_apart(
    tmp_path: pathlib.Path, message: str, failure_class: str, told: str
) -> None:
    docker = Daemon()
    docker.offered = {"quay.io/o/v:1": message}
    with pytest.raises(NoImage) as problem:
        fetching(tmp_path, docker, []).present("quay.io/o/v:1", 60)
    assert problem.value.failure_class == failure_class
    assert told in f"{problem.value.cause} {problem.value.advice}" and message in problem.value.cause
    assert not brought.known(str(tmp_path / "state"))


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            "unauthorized: incorrect username or password",
            "quay.io does not take the login (with that of the inventory)",
        ),
        (
            "denied: denied",
            "quay.io does not give quay.io/o/v with this login (with that of the inventory), or has no such",
        ),
    ],
)
def test_a_login_that_is_refused_is_named(tmp_path: pathlib.Path, message: str, told: str) -> None:
    docker = Daemon()
    docker.offered = {"quay.io/o/v:1": message}
    state(tmp_path, registries={"quay.io": {"username": "me", "password": "pw"}})
    with pytest.raises(NoImage) as problem:
        fetching(tmp_path, docker, []).present("quay.io/o/v:1", 60)
    assert told in problem.value.cause and "none is known" not in problem.value.cause


def test_one_pull_however_many_ask(tmp_path: pathlib.Path) -> None:
    docker = Daemon()
    docker.offered = {IMAGE: ONE}
    docker.on_pull = lambda: time.sleep(0.3)
    ways: list[str] = []
    asked = [
        threading.Thread(target=lambda: ways.append(fetching(tmp_path, docker, []).present(IMAGE, 10**6).by))
        for _one in range(4)
    ]
    for thread in asked:
        thread.start()
    for thread in asked:
        thread.join()
    assert docker.done == [f"pull {IMAGE}"] and sorted(ways) == ["", "", "", "registry"]


def test_who_waits_is_told_and_does_not_wait_for_ever(tmp_path: pathlib.Path) -> None:
    docker, said = Daemon(), list[str]()
    docker.offered = {IMAGE: ONE}

    def meanwhile() -> None:
        with pytest.raises(NoImage, match="is being brought by another run"):
            fetching(tmp_path, docker, said).present(IMAGE, 5)

    docker.on_pull = meanwhile
    fetching(tmp_path, docker, []).present(IMAGE, 60)
    assert "another run brings this image, waiting for it" in said


def test_a_folder_that_takes_no_lock_keeps_no_image_away(tmp_path: pathlib.Path) -> None:
    docker, said = Daemon(), list[str]()
    docker.offered = {IMAGE: ONE}
    (tmp_path / "state").write_text("no folder")
    assert fetching(tmp_path, docker, said).present(IMAGE, 60).by == "registry"
    assert [line.split(":")[0] for line in said if "pulling" not in line] == [
        "no lock could be had",
        "what image came cannot be written down",
    ]


def test_a_pull_that_takes_too_long_ends(tmp_path: pathlib.Path) -> None:
    docker = Daemon()
    docker.offered = {IMAGE: ONE}
    fetch = fetching(tmp_path, docker, [])
    docker.on_pull = lambda: fetch.clock.sleep(61)
    with pytest.raises(NoImage, match="longer than it may"):
        fetch.present(IMAGE, 60)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sha256:1": {}}', '{"sha256:1": {"names": 1, "by": "", "at": 1}}'])
def test_a_record_that_is_none_is_no_record(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / brought.FILE).write_text(text)
    assert brought.known(str(tmp_path)) == {}
    brought.note(str(tmp_path), "sha256:2", IMAGE, "mirror")
    assert brought.ids(IMAGE, str(tmp_path)) == ["sha256:2"]
    brought.forget(str(tmp_path), ["sha256:2"])
    assert brought.known(str(tmp_path)) == {}


def test_a_daemon_that_is_away_is_said_as_such(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = Daemon()

    def away(_name: str) -> Json:
        raise DockerError(0, "away")

    monkeypatch.setattr(docker, "image", away)
    with pytest.raises(DockerError, match="away"):
        fetching(tmp_path, docker, []).present(IMAGE, 60)
