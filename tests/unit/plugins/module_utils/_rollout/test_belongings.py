# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who owns what a container gets, and what becomes of a disk that does not take it."""

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout import (
    belongings,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.failure import Failed, rejects
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import (
    release,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

OLD, NEW = 1024, 2048


@pytest.mark.parametrize(
    ("user", "owner"),
    [
        (None, (0, 0)),
        ("", (0, 0)),
        ("root", (0, 0)),
        ("0", (0, 0)),
        ("7", (7, 0)),
        ("7:8", (7, 8)),
        ("7:staff", (7, 0)),
        ("root:8", (0, 8)),
        ("4294967294", (2**32 - 2, 0)),
        ("4294967295", None),
        ("00000000007", None),
        ("0000000007", (7, 0)),
        ("-1", None),
        ("7x", None),
        ("\u0667", None),
        ("vllm", None),
    ],
)
def test_who_a_container_runs_as(user: str | None, owner: tuple[int, int] | None) -> None:
    assert belongings.user_of(release(), {"Config": {"User": user}}) == owner
    assert belongings.user_of(release(), {}) == (0, 0)


def test_the_cache_is_its_owners_alone_and_what_is_above_it_everybodys_to_pass(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "fchown", lambda _place, uid, gid: given.append((uid, gid)))
    old = os.umask(0)
    try:
        folder, mine = tmp_path / "above" / "cache", (os.getuid(), os.getgid())
        belongings.own_folder(str(folder), mine)
    finally:
        os.umask(old)
    assert (folder.stat().st_mode & 0o777, folder.parent.stat().st_mode & 0o777) == (0o700, 0o755)
    assert given == [], "it is theirs already"
    belongings.own_folder(str(folder), (mine[0], mine[1] + 1))
    belongings.own_folder(str(folder), (mine[0] + 1, mine[1]))
    assert given == [(mine[0], mine[1] + 1), (mine[0] + 1, mine[1])]


def test_what_cannot_be_made_ready_is_of_the_moment(scene: Scene, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    volumes = [f"{tmp_path}/file/cache:/var/cache/gpufleet/vllm:rw"]
    document = release(container={**release()["container"], "schema": 2, "volumes": volumes})
    with pytest.raises(Failed, match="the engine's cache cannot be made ready") as failed:
        belongings.hand_over(scene.host, document, {}, False)
    assert failed.value.diagnosis.failure_class == "cache.folder"
    assert not rejects("cache.folder")
