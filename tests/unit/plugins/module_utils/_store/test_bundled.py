# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model of a bundle becomes the same store as from its hub, and no address is asked."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._bundling import whole
from ansible_collections.gpufleet.vllm.plugins.module_utils._store import asking, progress
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.mover import Ended, Mover
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._bundle import bundles
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store import hubs, models


def fetched(folder: pathlib.Path, name: str, **asked: t.Any) -> Ended:
    """From the bundle, with the real answers of the store to a request."""
    request = hubs.request(str(folder / name / "hub"), bundle=str(folder / "bundle"), **asked)
    state = str(folder / name / "state")
    told = progress.Progress()
    resolve = asking.resolver(request, "", state)
    return Mover(request, resolve, asking.opening(request, ""), told, lambda: None, state, "b1").run()


def tree(folder: pathlib.Path) -> dict[str, t.Any]:
    paths = (path for path in folder.rglob("*") if ".gpufleet" not in path.parts and not path.is_dir())
    return {str(path.relative_to(folder)): path.is_symlink() or path.read_bytes() for path in paths}


def test_the_store_is_the_same_as_from_the_hub(tmp_path: pathlib.Path) -> None:
    bundles.made(tmp_path / "bundle")
    ended = fetched(tmp_path, "a")
    assert ended.outcome == progress.WHOLE and ended.changed and not fetched(tmp_path, "a").changed
    host = hubs.Place(str(tmp_path / "b"))
    assert host.fetch(bundles.hub(), bundles.MODEL).changed
    assert tree(tmp_path / "a" / "hub") == tree(tmp_path / "b" / "hub") != {}
    # A commit that is stated is that of the bundle too.
    assert fetched(tmp_path, "a", revision=models.COMMIT).outcome == progress.WHOLE


@pytest.mark.parametrize(
    "asked, said",
    [
        ({"revision": "v2"}, "has no Org/Model at v2: make it anew from this inventory"),
        ({"model": "Org/Other"}, "has no Org/Other at main"),
        ({"code": True}, "as another inventory allowed it"),
    ],
)
def test_what_the_bundle_has_not_got(tmp_path: pathlib.Path, asked: dict[str, t.Any], said: str) -> None:
    bundles.made(tmp_path / "bundle")
    ended = fetched(tmp_path, "a", **asked)
    assert ended.outcome == progress.FAILED and said in ended.detail


def test_hosts_may_allow_one_model_different_things(tmp_path: pathlib.Path) -> None:
    root = tmp_path / "bundle"
    one = t.cast("dict[str, t.Any]", bundles.part(root, bundles.hub()).part)
    other = {**one, "model": {**one["model"], "code": True}}
    whole.write(str(root), [one, other], ["a", "b"], keep=True)
    for code in (False, True):
        assert fetched(tmp_path, f"code-{code}", code=code).outcome == progress.WHOLE
    ended = fetched(tmp_path, "pickles", pickles=True)
    assert ended.outcome == progress.FAILED and "as another inventory allowed it" in ended.detail


def test_a_byte_that_changes_after_the_look_is_found_when_it_is_copied(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundles.made(tmp_path / "bundle")
    weights = next((tmp_path / "bundle").rglob("model.safetensors"))
    weights.write_bytes(bytes(weights.stat().st_size))
    ended = fetched(tmp_path, "a")
    assert ended.outcome == progress.FAILED and "its content was another one" in ended.detail
    assert not list((tmp_path / "a" / "hub").rglob("model.safetensors"))
