# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models that nobody names and caches of instances that are gone; links are not followed."""

from __future__ import annotations

import os
import pathlib
import shutil
import time

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._prune import folders
from ansible_collections.gpufleet.vllm.plugins.module_utils._prune.due import DAY, Due
from ansible_collections.gpufleet.vllm.plugins.module_utils._prune.needed import Needs
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._prune.test_images import Host

NOW = time.time() + 30 * DAY


def model(hub: pathlib.Path, name: str, size: int = 1000) -> pathlib.Path:
    """As the hub's client lays it out: a blob, and a link to it."""
    folder = hub / f"models--{name.replace('/', '--')}"
    (folder / "blobs").mkdir(parents=True)
    (folder / "blobs" / "b").write_bytes(b"x" * size)
    (folder / "snapshots" / "c").mkdir(parents=True)
    (folder / "snapshots" / "c" / "model.safetensors").symlink_to("../../blobs/b")
    return folder


def models(hub: pathlib.Path, needs: Needs, host: Host | None = None, now: float = NOW) -> tuple[list[Due], list[str]]:
    due, stays = folders.models(str(hub), needs, host or Host(), 7, now, f"{hub.parent}/")
    return due, [one.because for one in stays]


def test_models_that_nobody_names_go(tmp_path: pathlib.Path) -> None:
    hub = tmp_path / "hub"
    for name in ("org/used", "org/drafter", "org/unused", "gpt2", "org/a--b"):
        model(hub, name)
    (hub / "models--link").symlink_to(tmp_path)
    (hub / "datasets--org--x").mkdir()
    (hub / "blobs").mkdir()
    needs = Needs()
    needs.mention(
        {"model": {"id": "org/used"}, "arguments": {"speculative_config": {"model": "org/drafter"}}}, ["a--b"]
    )
    due, stays = models(hub, needs)
    assert [one.what for one in due] == ["gpt2", "org/a--b", "org/unused"] and stays == []
    assert 1000 <= due[-1].size < 1100
    assert [folders.remove(one) for one in due] == [""] * 3
    assert sorted(path.name for path in hub.iterdir()) == [
        *("blobs", "datasets--org--x", "models--link", "models--org--drafter", "models--org--used")
    ]


def test_what_is_not_ours_alone_stays(tmp_path: pathlib.Path) -> None:
    hub = tmp_path / "hub"
    model(hub, "org/unused")
    _due, stays = folders.models(str(hub), Needs(), Host(), 7, NOW)
    assert "only folders below /var/cache/gpufleet/ are ours alone" in stays[0].because
    host = Host()
    for source in (tmp_path, hub, hub / "models--org--unused"):
        host.rows = [{"Id": "c1", "Names": ["/theirs"], "Mounts": [{"Source": str(source)}]}]
        assert models(hub, Needs(), host) == ([], ["the container theirs, which is not ours, has it too"])
        assert len(models(hub, Needs(containers={"c1"}), host)[0]) == 1
    host.rows = [{"Id": "c1", "Names": ["/theirs"], "Mounts": [{"Source": str(tmp_path / "hub2")}, {}]}]
    assert len(models(hub, Needs(), host)[0]) == 1


def test_what_is_being_fetched_stays(tmp_path: pathlib.Path) -> None:
    model(tmp_path / "hub", "org/new")
    assert models(tmp_path / "hub", Needs(), now=time.time())[1] == ["it came 0.0 days ago, and may be still to come"]
    assert models(tmp_path / "none", Needs()) == ([], [])


def test_caches_of_instances_that_are_gone_go(tmp_path: pathlib.Path) -> None:
    place = tmp_path / "vllm-by-instance"
    for name in ("gone", "gone.1000", "here", "here.1000", "listed", "mounted", "no_instance"):
        (place / name / "torch_compile_cache").mkdir(parents=True)
    (place / "link").symlink_to(tmp_path)
    needs = Needs(instances={"here"})
    needs.mention([f"{place}/mounted:/root/.cache:rw"])
    due, stays = folders.caches(str(tmp_path / "vllm"), needs, ["listed"], 7, NOW)
    assert ([os.path.basename(one.what) for one in due], stays) == (["gone", "gone.1000"], [])
    assert due[0].because == "no instance gone is known"
    assert folders.caches("a-volume", needs, [], 7, NOW) == ([], [])
    assert [one.because for one in folders.caches(str(tmp_path / "vllm"), needs, ["listed"], 7, time.time())[1]] == [
        "it was written 0.0 days ago"
    ] * 2


def test_what_cannot_be_removed_is_said(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: str) -> None:
        raise OSError(30, "Read-only file system", path)

    due = Due("cache", "x", (str(tmp_path / "x"),), 0, "")
    assert folders.remove(due) == ""  # gone already
    monkeypatch.setattr(shutil, "rmtree", fails)
    assert "it cannot be removed" in folders.remove(due)
