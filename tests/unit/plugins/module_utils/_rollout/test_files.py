# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that a release is started with: looked at before anything stops, and before each start."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._model.files import digest_of
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout import belongings, preflight
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.failure import Failed, Refused, rejects
from ansible_collections.gpufleet.vllm.plugins.module_utils._state import kept_files
from ansible_collections.gpufleet.vllm.plugins.module_utils._state import named_files as files
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import entry, release
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

Json = dict[str, t.Any]
TEMPLATE, SQL = "/etc/gpufleet/files/chat_template/chat.jinja", "/etc/gpufleet/files/lora_modules/sql/sql"


class Place:
    """A host with a kept template and an adapter's folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.template = kept_files.keep(b"{{ messages }}", str(folder))
        self.adapter = folder / "sql"
        self.adapter.mkdir()
        (self.adapter / "adapter_config.json").write_text("{}")
        self.digests = {TEMPLATE: os.path.basename(self.template), SQL: digest_of(str(self.adapter))}

    def entry(self, **changes: t.Any) -> t.Any:
        made = entry(**changes)
        volumes = [f"{self.template}:{TEMPLATE}:ro", f"{self.adapter}:{SQL}:ro"]
        container = {**made.release["container"], "volumes": volumes}
        release = {**made.release, "container": container, "files": self.digests}
        return type(made)(**{**vars(made), "release": release})


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
    return Place(tmp_path)


def test_what_is_as_it_was_planned_is_taken(place: Place) -> None:
    release = place.entry().release
    assert files.changed(release) is None
    assert files.missing(release) is None


def template_gone(place: Place) -> None:
    os.remove(place.template)


def template_damaged(place: Place) -> None:
    os.chmod(place.template, 0o644)
    pathlib.Path(place.template).write_text("another")


def adapter_gone(place: Place) -> None:
    place.adapter.rename(place.adapter.with_name("other"))


@pytest.mark.parametrize("arrange", [template_gone, template_damaged, adapter_gone])
def test_what_is_gone_is_started_by_nobody(place: Place, arrange: t.Callable[[Place], None]) -> None:
    arrange(place)
    for one in (place.entry(verified_at="2026-01-01T00:00:00Z"), place.entry(verified_at="")):
        with pytest.raises(Refused) as refused:
            preflight._files_are_there(one)
        assert refused.value.diagnosis.failure_class == "files.missing"
        with pytest.raises(Failed):
            belongings.hand_over(t.cast(t.Any, None), one.release, {}, False)
    assert not rejects("files.missing")


def test_a_folder_that_was_changed_is_no_candidate_and_still_a_rollback(place: Place) -> None:
    (place.adapter / "adapter_config.json").write_text('{"r": 8}')
    with pytest.raises(Refused, match="was changed since it was planned with") as refused:
        preflight._files_are_there(place.entry(verified_at=""))
    assert refused.value.diagnosis.failure_class == "files.changed"
    preflight._files_are_there(place.entry(verified_at="2026-01-01T00:00:00Z"))


def test_a_file_that_is_gone_costs_nothing_that_serves(scene: Scene, place: Place) -> None:
    scene.roll_out(1024)
    os.remove(place.template)
    volumes = [f"{place.template}:{TEMPLATE}:ro"]
    container = {**release()["container"], "volumes": volumes}
    assert scene.roll_out(2048, container=container, files=place.digests) == "refused"
    assert "refused before anything was touched (files.missing)" in scene.last()["detail"]
    assert scene.serves() == 1024
    kept_files.keep(b"{{ messages }}", os.path.dirname(os.path.dirname(place.template)))
    assert scene.roll_out(2048, container=container, files=place.digests) == "verified"


def test_a_folder_that_cannot_be_read_any_more_is_no_candidate(place: Place) -> None:
    (place.adapter / "out").symlink_to("/etc/passwd")
    found = files.changed(place.entry().release)
    assert found is not None
    assert "is a link to a place outside" in found.cause
