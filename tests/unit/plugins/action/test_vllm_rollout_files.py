# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a release on their way to the host."""

from __future__ import annotations

import hashlib
import pathlib
import typing as t

from ansible_collections.gpufleet.vllm.tests.unit.plugins.action.rollout_wire import Json, Wire, good, plan


def file(source: str, **changes: t.Any) -> Json:
    mark = hashlib.sha256(b"template").hexdigest()
    return {"sha256": mark, "path": "inventory:x", "source": source, "folder": False, **changes}


def test_a_file_goes_with_its_release_and_a_folder_does_not(run: t.Callable[..., Json], tmp_path: pathlib.Path) -> None:
    (tmp_path / "x").write_text("template")
    files = [file(str(tmp_path / "x")), file("", path="/srv/x"), file("", folder=True)]
    wire = Wire(good(3), program_there=False)
    run(wire, plans=[{**plan("a", "restart"), "files": files}, plan("b", "create")])
    mark = files[0]["sha256"]
    brought = [{"sha256": mark, "source": "inventory:x", "text": "template"}, {"sha256": mark, "source": "/srv/x"}]
    assert [call.get("files") for call in wire.module_calls] == [brought, brought, None, None]
    assert all("files" not in call["request"]["plan"] for call in wire.module_calls)


def test_what_is_removed_needs_none(run: t.Callable[..., Json]) -> None:
    wire = Wire(good(1))
    run(wire, plans=[{**plan("a", "remove"), "files": [file("/none/x")]}])
    assert "files" not in wire.module_calls[0]


def test_a_file_that_is_gone_by_now_touches_nothing(run: t.Callable[..., Json]) -> None:
    wire = Wire([])
    result = run(wire, plans=[{**plan("a", "restart"), "files": [file("/none/x")]}])
    assert result["failed"] is True
    assert "/none/x cannot be read any more" in result["msg"]
    assert wire.module_calls == []
    assert result["results"] == [{"instance": "a", "outcome": "refused"}]
