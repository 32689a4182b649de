# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of an archive Docker is given what was verified, and nothing else; everything else is told apart."""

from __future__ import annotations

import io
import json
import pathlib
import tarfile
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._images import archive_content, archive_image, archive_tar
from ansible_collections.gpufleet.vllm.plugins.module_utils._images.archive_content import Damaged
from ansible_collections.gpufleet.vllm.plugins.module_utils._images.archive_image import OtherImage
from ansible_collections.gpufleet.vllm.plugins.module_utils._images.fetching import NoImage
from ansible_collections.gpufleet.vllm.plugins.module_utils._images.sources import Archive
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._images import archives
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._images.archives import (
    CONFIG,
    ID,
    INDEX,
    LAYERS,
    MANIFEST,
    PACKED,
    blob,
    digest,
    layout,
    saved,
    written,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._images.daemon import Daemon, Json, fetching

Files = dict[str, bytes]
TAG = "vllm/vllm-openai:v1"
BY_MANIFEST, BY_INDEX = f"vllm/v@{digest(MANIFEST)}", f"vllm/v@{digest(INDEX)}"
OTHER = "vllm/v@sha256:" + "0" * 64
DIFF_IDS = [digest(layer) for layer in LAYERS]


def loaded(path: str, image: str, image_id: str = "") -> Files:
    """The files of the tar that Docker is given."""
    content = archive_content.read(path)
    found = archive_image.find(content, image, image_id)
    raw = b"".join(archive_tar.tar(path, content, found))
    assert len(raw) == archive_tar.size(content, found)
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        return {one.name: t.cast(t.IO[bytes], tar.extractfile(one)).read() for one in tar}


WAYS: dict[str, tuple[Files, str, str, tuple[bytes, ...]]] = {
    "docker save by tag": (saved(), TAG, "", LAYERS),
    "docker save by digest": (saved(), OTHER, ID, LAYERS),
    "layout by manifest": (layout(), BY_MANIFEST, "", PACKED),
    "layout by index": (layout(through_index=True), BY_INDEX, ID, PACKED),
    "layout by tag": (layout(), TAG, "", PACKED),
    "layout by id": (layout(), OTHER, ID, PACKED),
}


@pytest.mark.parametrize(("files", "image", "image_id", "layers"), WAYS.values(), ids=WAYS)
def test_the_image_and_no_other_name_is_loaded(
    tmp_path: pathlib.Path, files: Files, image: str, image_id: str, layers: tuple[bytes, ...]
) -> None:
    given = loaded(
        written(tmp_path / "a.tar", {**files, "etc/passwd": b"x", "blobs/sha256/other": b"{}"}), image, image_id
    )
    listed = json.loads(given["manifest.json"])
    assert listed == [{"Config": blob(CONFIG), "RepoTags": None, "Layers": [blob(layer) for layer in layers]}]
    wanted = {"manifest.json", blob(CONFIG), *map(blob, layers)}
    if layers == PACKED:
        wanted |= {"index.json", "oci-layout", blob(MANIFEST)}
        assert json.loads(given["index.json"])["manifests"][0]["digest"] == digest(MANIFEST)
    assert set(given) == wanted and all(given[blob(raw)] == raw for raw in (CONFIG, *layers))


def test_layers_that_are_links_are_found(tmp_path: pathlib.Path) -> None:
    """As Docker before 25 saves one that an image has twice."""
    files = saved()
    twice = json.dumps({"rootfs": {"diff_ids": [DIFF_IDS[0], DIFF_IDS[0]]}}).encode()
    del files["2/layer.tar"]
    given = loaded(written(tmp_path / "a.tar", {**files, "c.json": twice}, {"2/layer.tar": "../1/layer.tar"}), TAG)
    assert json.loads(given["manifest.json"])[0]["Layers"] == [blob(LAYERS[0])] * 2
    ring = {"2/layer.tar": "../3/layer.tar", "3/layer.tar": "../2/layer.tar"}
    with pytest.raises(Damaged, match=r"2/layer\.tar is not in it"):
        loaded(written(tmp_path / "b.tar", {**files, "c.json": CONFIG}, ring), TAG)


def changed(files: Files, **changes: bytes | None) -> Files:
    names = {"config": "c.json", "layer": "2/layer.tar", "list": "manifest.json", "index": "index.json"}
    names.update(blob=blob(PACKED[1]), manifest=blob(MANIFEST), configuration=blob(CONFIG))
    wanted = {**files, **{names[name]: raw for name, raw in changes.items()}}
    return {name: raw for name, raw in wanted.items() if raw is not None}


TWO = json.dumps(json.loads(saved()["manifest.json"]) * 2).encode()
DAMAGED: dict[str, tuple[Files, str, str, str]] = {
    "empty": ({}, TAG, "", "it has neither manifest.json"),
    "flipped layer": (changed(saved(), layer=b"second lbyer"), TAG, "", "2/layer.tar is not the layer sha256"),
    "no layer": (changed(saved(), layer=None), TAG, "", "2/layer.tar is not in it"),
    "no configuration": (changed(saved(), config=None), TAG, "", "c.json is not in it"),
    "configuration is a list": (changed(saved(), config=b"[]"), TAG, "", "the image's configuration is a list"),
    "configuration is none": (changed(saved(), config=b"{"), TAG, "", "the image's configuration is no JSON"),
    "a layer too many": (changed(saved(), config=b'{"rootfs": {"diff_ids": []}}'), TAG, "", "names 0"),
    "list is none": (changed(saved(), list=b'[{"Config": 1}]'), TAG, "", "manifest.json[0].Config is a whole number"),
    "flipped blob": (changed(layout(), blob=b"x"), BY_MANIFEST, "", "is not what its name says"),
    "no blob": (changed(layout(), blob=None), BY_MANIFEST, "", f"{digest(PACKED[1])} is not in it"),
    "other manifest": (changed(layout(), manifest=b"{}"), BY_MANIFEST, "", "is not what its name says"),
    "other configuration": (changed(layout(), configuration=b"{}"), BY_MANIFEST, "", "is not what its name says"),
    "index is none": (changed(layout(), index=b'{"manifests": 1}'), TAG, "", "index.json.manifests is a whole number"),
}
OTHERS: dict[str, tuple[Files, str, str, str]] = {
    "docker save proves no digest": (saved(), OTHER, "", f"state `image_id: {ID}` if a host that pulled it"),
    "a layout of another digest": (layout(), OTHER, "", "nothing proves that it is the one"),
    "another id": (saved(), TAG, "sha256:" + "0" * 64, f"it holds the image {ID}, and sha256:0"),
    "another id in a layout": (layout(), BY_MANIFEST, "sha256:" + "0" * 64, "is stated: correct the one that is wrong"),
    "two images": (changed(saved(), list=TWO), TAG, "", "it holds 2 images: state the image_id"),
    "two others": (changed(saved(), list=TWO), TAG, "sha256:" + "0" * 64, "it holds 2 images, and none is sha256:0"),
    "an index without this machine": (
        {name: raw for name, raw in layout(through_index=True).items() if name != blob(MANIFEST)},
        BY_INDEX,
        "",
        f"it has no image for linux/{archives.HERE}",
    ),
}


@pytest.mark.parametrize(
    ("files", "image", "image_id", "told", "kind"),
    [(*row, Damaged) for row in DAMAGED.values()] + [(*row, OtherImage) for row in OTHERS.values()],
    ids=[*DAMAGED, *OTHERS],
)
def test_what_is_wrong_is_told(
    tmp_path: pathlib.Path, files: Files, image: str, image_id: str, told: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as problem:
        loaded(written(tmp_path / "a.tar", files), image, image_id)
    assert told in str(problem.value)


@pytest.mark.parametrize("cut", [0, 100, 1100])
def test_a_tar_that_is_none(tmp_path: pathlib.Path, cut: int) -> None:
    whole = pathlib.Path(written(tmp_path / "a.tar", saved()))
    whole.write_bytes(whole.read_bytes()[:cut])
    with pytest.raises(Damaged):
        loaded(str(whole), TAG)


def test_what_changes_between_reading_and_loading_is_not_loaded(tmp_path: pathlib.Path) -> None:
    path = written(tmp_path / "a.tar", saved())
    content = archive_content.read(path)
    found = archive_image.find(content, TAG, "")
    for files, told in (
        (changed(saved(), layer=b"second lbyer"), "has changed"),
        (changed(saved(), layer=None), "is gone"),
    ):
        written(tmp_path / "a.tar", files)
        with pytest.raises(Damaged, match=told):
            b"".join(archive_tar.tar(path, content, found))


class Loading(Daemon):
    """Loads what it is given."""

    image_id, layers = ID, DIFF_IDS

    def load(
        self, tar: t.Iterable[bytes], size: int, on_progress: t.Callable[[Json], None], limit: float = 3600
    ) -> None:
        assert len(b"".join(tar)) == size
        self.done.append("load")
        self.has({"Id": self.image_id, "RootFS": {"Layers": self.layers}})


def test_an_archive_is_loaded_and_nothing_is_pulled(tmp_path: pathlib.Path) -> None:
    docker = Loading()
    archive = Archive(written(tmp_path / "a.tar", layout()))
    assert fetching(tmp_path, docker, []).present(BY_MANIFEST, 60, archive).by == "archive"
    assert docker.done == ["load"] and fetching(tmp_path, docker, []).present(BY_MANIFEST, 60).by == ""
    docker = Loading()
    docker.image_id = digest(MANIFEST)  # with containerd's store
    fetching(tmp_path / "2", docker, []).present(TAG, 60, archive)
    assert docker.done == ["load", "tag docker.io/vllm/vllm-openai:v1"]


def refused(folder: pathlib.Path, docker: Daemon, archive: Archive, free: int = 12) -> NoImage:
    fetch = fetching(folder, docker, [])
    fetch.free_mib = lambda _path: free
    with pytest.raises(NoImage) as problem:
        fetch.present(BY_MANIFEST, 60, archive)
    return problem.value


@pytest.mark.parametrize(("version", "loads"), [("20.10.24+dfsg1", False), ("23.0.0", True), ("28.5.1", True)])
def test_layers_in_zstd_take_a_docker_that_unpacks_them(tmp_path: pathlib.Path, version: str, loads: bool) -> None:
    docker = Loading()
    docker.version = version
    archive = Archive(written(tmp_path / "a.tar", archives.in_zstd()), ID)
    if loads:
        assert fetching(tmp_path, docker, []).present(BY_MANIFEST, 60, archive).by == "archive"
        return
    told = refused(tmp_path, docker, archive)
    assert told.failure_class == "image.archive" and docker.done == []
    assert "packed with zstd, which Docker 20.10.24+dfsg1 of this host cannot unpack" in told.cause
    assert told.advice.startswith("Install Docker 23 or newer")


def test_layers_in_gzip_load_everywhere(tmp_path: pathlib.Path) -> None:
    docker = Loading()
    docker.version = "20.10.24+dfsg1"
    archive = Archive(written(tmp_path / "a.tar", layout()))
    assert fetching(tmp_path, docker, []).present(BY_MANIFEST, 60, archive).by == "archive"


def test_what_stands_in_its_way(tmp_path: pathlib.Path) -> None:
    whole = Archive(written(tmp_path / "a.tar", layout()))
    told = refused(tmp_path, Loading(), Archive(str(tmp_path / "none.tar")))
    assert told.failure_class == "image.archive" and "is not there on the host" in told.cause
    told = refused(tmp_path, Loading(), Archive(written(tmp_path / "b.tar", {})))
    assert "is damaged: it has neither" in told.cause
    docker = Loading()
    docker.image_id = "sha256:" + "5" * 64
    assert "Docker has no image with its id and layers" in refused(tmp_path, docker, whole).cause
    docker = Loading()
    docker.layers = DIFF_IDS[:1]
    assert "Docker has no image with its id and layers" in refused(tmp_path, docker, whole).cause
    large = {**layout(), blob(PACKED[1]): b""}
    assert refused(tmp_path, Loading(), Archive(written(tmp_path / "c.tar", large))).failure_class == "image.archive"


def test_the_disk_is_compared_before_the_first_byte(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_tar, "size", lambda _content, _found: 13 * 2**20)
    docker = Loading()
    told = refused(tmp_path, docker, Archive(written(tmp_path / "a.tar", layout())))
    assert told.failure_class == "disk.full" and docker.done == []
    assert "its archive holds 13 MiB; 12 MiB are free on the disk of /docker" in told.cause
