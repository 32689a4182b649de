# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images are brought by this machine's engine from registries that ask for a login, from mirrors and archives."""

from __future__ import annotations

import contextlib
import json
import pathlib
import shutil
import subprocess
import threading
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import Docker
from ansible_collections.gpufleet.vllm.plugins.module_utils._images import brought, sources
from ansible_collections.gpufleet.vllm.plugins.module_utils._images.fetching import Fetched, Fetching, NoImage
from ansible_collections.gpufleet.vllm.plugins.module_utils._images.registry import Registry as AskedRegistry
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.host import Clock, free_mib
from ansible_collections.gpufleet.vllm.tests.integration import registries
from ansible_collections.gpufleet.vllm.tests.integration.registries import PASSWORD, USER, Registry, docker
from ansible_collections.gpufleet.vllm.tests.ports import free_port

LOGIN = {"username": USER, "password": PASSWORD}


class Host:
    """State of its own, this machine's engine."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder, self.state = folder, str(folder / "state")
        self.said: list[str] = []

    def knows(self, **stated: t.Any) -> None:
        wrong: list[str] = []
        sources.keep(sources.read(stated, wrong), self.state)
        assert not wrong

    def fetching(self) -> Fetching:
        said = self.said.append
        config = str(self.folder / "config.json")
        return Fetching(Docker(), Clock(), said, said, free_mib, self.state, config, AskedRegistry)

    def present(self, image: str) -> Fetched:
        return self.fetching().present(image, 60)

    def refused(self, image: str) -> NoImage:
        with pytest.raises(NoImage) as problem:
            self.present(image)
        told = f"{problem.value.cause} {problem.value.advice} {' '.join(self.said)}"
        assert PASSWORD not in told
        return problem.value


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    return Host(tmp_path)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Registry]:
    with registries.started(tmp_path_factory.mktemp("registry")) as found:
        yield found


class Pushed(t.NamedTuple):
    """An image that the registry has and the engine has not; `name` is by digest, `tagged` by tag."""

    name: str
    tagged: str
    image_id: str
    saved: pathlib.Path


@pytest.fixture(scope="module")
def image(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Pushed]:
    folder = tmp_path_factory.mktemp("image")
    tagged = f"{registry.address}/gpufleet-test/images:1"
    image_id = registries.import_image(tagged)
    name = registries.pushed(tagged, registry.login(folder / "login"))
    docker("save", "--output", str(folder / "saved.tar"), tagged)
    gone(image_id)
    yield Pushed(name, tagged, image_id, folder / "saved.tar")
    gone(image_id)


def gone(image_id: str) -> None:
    with contextlib.suppress(AssertionError):
        docker("rmi", "--force", image_id)


@pytest.fixture(autouse=True)
def away(image: Pushed) -> None:
    gone(image.image_id)


def test_a_login_by_variables(host: Host, image: Pushed, registry: Registry) -> None:
    told = host.refused(image.name)
    assert told.failure_class == "image.credentials" and "asks for a login, and none is known" in told.cause
    host.knows(registries={registry.address: {**LOGIN, "password": "wrong"}})
    told = host.refused(image.name)
    assert told.failure_class == "image.credentials" and "with that of the inventory" in told.cause
    host.knows(registries={registry.address: LOGIN})
    found = host.present(image.name)
    assert (found.image["Id"], found.by) == (image.image_id, "registry")
    assert host.present(image.name).by == ""
    assert PASSWORD not in docker("image", "inspect", image.name) and PASSWORD not in " ".join(host.said)


def test_the_login_of_the_host(host: Host, image: Pushed, registry: Registry) -> None:
    """As Docker's own client leaves it, and as a credential helper keeps it."""
    shutil.copy(registry.login(host.folder / "login") / "config.json", host.folder / "config.json")
    assert host.present(image.name).by == "registry"


def test_what_is_not_there(host: Host, image: Pushed, registry: Registry) -> None:
    host.knows(registries={registry.address: LOGIN})
    for name in (f"{registry.address}/gpufleet-test/images@sha256:{'0' * 64}", f"{registry.address}/no/such:1"):
        assert host.refused(name).failure_class == "image.not_there"
    nobody = f"127.0.0.1:{free_port()}/gpufleet-test/images:1"
    told = host.refused(nobody)
    assert told.failure_class == "image.pull" and "cannot be reached" in told.cause


def test_the_disk_is_compared_before_the_first_byte(host: Host, image: Pushed, registry: Registry) -> None:
    """The registry is asked, with the login, for what Docker's API does not tell."""
    host.knows(registries={registry.address: LOGIN})
    fetching = host.fetching()
    fetching.free_mib = lambda _path: -1
    with pytest.raises(NoImage) as problem:
        fetching.present(image.name, 60)
    assert problem.value.failure_class == "disk.full" and "are missing here" in problem.value.cause
    assert Docker().image(image.name) is None and "cannot be asked" not in " ".join(host.said)


def test_a_mirror(host: Host, image: Pushed, registry: Registry) -> None:
    """The digest is planned at a registry that nobody reaches."""
    planned = f"registry.invalid/gpufleet-test/images@{image.name.partition('@')[2]}"
    host.knows(registries={registry.address: LOGIN}, mirrors={"registry.invalid": registry.address})
    assert (host.present(planned).by, host.present(planned).by) == ("mirror", "")
    assert brought.ids(planned, host.state) == [image.image_id]


def layout(image: Pushed, registry: Registry, folder: pathlib.Path) -> str:
    """An OCI layout with the registry's own manifest, as skopeo copies it."""
    at = f"oci-archive:{folder}/layout.tar:1"
    command = ["skopeo", "copy", "--preserve-digests", "--src-tls-verify=false", f"--src-creds={USER}:{PASSWORD}"]
    subprocess.run([*command, f"docker://{image.name}", at], check=True, capture_output=True)
    return f"{folder}/layout.tar"


def test_an_archive_of_docker_save(host: Host, image: Pushed) -> None:
    """It has no digest of a registry, so that its id has to be known; then it is the very same image."""
    host.knows(archives={image.name: str(image.saved)})
    told = host.refused(image.name)
    assert told.failure_class == "image.archive" and f"`image_id: {image.image_id}`" in told.cause
    host.knows(archives={image.name: {"path": str(image.saved), "image_id": f"sha256:{'0' * 64}"}})
    assert "is stated: correct" in host.refused(image.name).cause
    host.knows(archives={image.name: {"path": str(image.saved), "image_id": image.image_id}})
    found = host.present(image.name)
    assert (found.image["Id"], found.by) == (image.image_id, "archive")
    assert host.present(image.name).by == ""


def test_an_archive_of_another_name_brings_no_other(host: Host, image: Pushed) -> None:
    """The archive names a tag of its own, which is not given: only what is planned is."""
    host.knows(archives={"gpufleet-test/by-tag:1": str(image.saved)})
    assert host.present("gpufleet-test/by-tag:1").image["Id"] == image.image_id
    tags: list[str] = json.loads(docker("image", "inspect", "--format", "{{json .RepoTags}}", image.image_id))
    assert tags == ["gpufleet-test/by-tag:1"]


def test_an_oci_layout(host: Host, image: Pushed, registry: Registry) -> None:
    """The manifest is in it, so that the digest alone proves it; a folder and a packed tar are archives too."""
    found = layout(image, registry, host.folder)
    unpacked = host.folder / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "-xf", found, "-C", str(unpacked)], check=True)
    subprocess.run(["gzip", "-k", found], check=True)
    for archive in (found, str(unpacked), f"{found}.gz"):
        gone(image.image_id)
        host.knows(archives={image.name: archive})
        assert host.present(image.name).image["Id"] == image.image_id, archive
    gone(image.image_id)
    other = f"{image.name.partition('@')[0]}@sha256:{'0' * 64}"
    host.knows(archives={other: found})
    assert "nothing proves that it is the one" in host.refused(other).cause


def test_a_registry_that_dies_in_the_middle(host: Host, tmp_path: pathlib.Path) -> None:
    """A clear error, nothing half there, and the next run has it."""
    with registries.started(tmp_path / "dying") as dying:
        tagged = f"{dying.address}/gpufleet-test/large:1"
        image_id = registries.import_image(tagged, 64 * 2**20)
        name = registries.pushed(tagged, dying.login(tmp_path / "login"))
        gone(image_id)
        host.knows(registries={dying.address: LOGIN})
        try:
            killer = threading.Timer(0.2, dying.stop)
            killer.start()
            told = host.refused(name)
            killer.join()
            assert told.failure_class == "image.pull" and "cannot be reached, or broke off" in told.cause
            assert Docker().image(name) is None
            dying.start()
            assert host.present(name).image["Id"] == image_id
        finally:
            gone(image_id)
