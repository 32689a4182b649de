# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run that changes nothing reads, told apart by who read it."""

from __future__ import annotations

import pathlib

from ansible_collections.gpufleet.vllm.tests.bench import noop_run


def test_a_worker_is_whoever_was_forked(tmp_path: pathlib.Path) -> None:
    (tmp_path / "read").write_text("10 begins\n10 profiles.yml\n11 profiles.yml\n12 profiles.yml\n12 models.json\n")
    found = noop_run.read_by(tmp_path / "read")
    assert (found["run"], found["workers"]) == ({"profiles.yml": 1}, {"profiles.yml": 2, "models.json": 1})


def test_a_file_is_one_that_roles_have() -> None:
    names = {path.name for path in (pathlib.Path(noop_run.__file__).parents[2] / "roles").rglob("*") if path.is_file()}
    assert set(noop_run.OURS) <= names
