# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts begin with is pulled once for what it is made from, and never handed on half done."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from lab import oci, seed
from lab.gpu import edge
from lab.tools import INPUTS_LABEL, LabError

REGISTRY = "registry.example:5055"


class Docker:
    """Answers for docker; what a host pulls appears in the folder that it has for /var/lib/docker."""

    def __init__(self, work: pathlib.Path) -> None:
        self.work, self.host, self.fails, self.pulls = work, "sha256:one", False, 0

    def run(self, *words: t.Any, **_how: t.Any) -> str:
        if words[:3] == ("docker", "image", "inspect"):
            return self.host
        if words[0] == "cp":
            (pathlib.Path(words[-1]) / "copied").write_text(str(words[-2]))
        if "pull" in words:
            self.pulls += 1
            (self.work / "seed" / "engine-id").write_text("one")
            (self.work / "seed" / "layer").write_text(str(words[-1]))
            if self.fails:
                raise LabError("the registry is gone")
        return ""


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Docker:
    answers = Docker(tmp_path)
    monkeypatch.setattr(seed, "WORK", tmp_path)
    monkeypatch.setattr(seed, "run", answers.run)
    monkeypatch.setattr(seed, "succeeds", lambda *_words: True)
    monkeypatch.setattr(edge, "write", lambda *_of: tmp_path)
    monkeypatch.setattr(edge, "remove", lambda _name: None)
    monkeypatch.setattr(oci.Repository, "labels", lambda *_of: {INPUTS_LABEL: "vllm"})

    def made(name: str) -> pathlib.Path:
        (tmp_path / name).mkdir(exist_ok=True)
        return tmp_path / name

    monkeypatch.setattr(seed, "work_directory", made)
    return answers


def test_the_same_is_pulled_once_and_another_anew(docker: Docker) -> None:
    seed.build(REGISTRY)
    seed.build(REGISTRY)
    assert docker.pulls == 1
    assert (docker.work / "seed" / "layer").read_text() == "registry.example:5055/vllm-cpu:0.32.0"
    assert not (docker.work / "seed" / "engine-id").exists()
    docker.host = "sha256:two"
    seed.build(REGISTRY)
    assert docker.pulls == 2


def test_what_is_half_pulled_reaches_no_host(docker: Docker, tmp_path: pathlib.Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    seed.build(REGISTRY)
    docker.host, docker.fails = "sha256:two", True
    with pytest.raises(LabError, match="gone"):
        seed.build(REGISTRY)
    seed.sow(store)
    assert list(store.iterdir()) == []
    docker.fails = False
    seed.build(REGISTRY)
    seed.sow(store)
    assert (store / "copied").exists()
