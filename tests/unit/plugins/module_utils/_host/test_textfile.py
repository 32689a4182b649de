# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the watch leaves for node exporter: of each instance, and of one that cannot be read too."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._host import textfile
from ansible_collections.gpufleet.vllm.plugins.module_utils._monitoring import alerts, settings
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import Rejection, State
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store
from ansible_collections.gpufleet.vllm.plugins.module_utils._watch.watch_record import Record, Records
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._monitoring.planned import read
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import NAME, entry

BEFORE, FAILED, AFTER = "2026-11-26T10:00:00Z", "2026-11-26T11:00:00Z", "2026-11-26T12:00:00Z"
NOW = 1795700000.5


def host(folder: pathlib.Path, state: State, record: Record | None = None) -> str:
    store = Store(NAME, str(folder / "state"), str(folder / "run"))
    os.makedirs(store.folder, exist_ok=True)
    store.save(state)
    if record is not None:
        Records(store, str(folder / "run")).save(record)
    return textfile.text(str(folder / "state"), str(folder / "run"), NOW)


def verified(at: str) -> State:
    one = entry(1024)
    release: t.Any = {
        **one.release,
        "arguments": {"gpu_memory_utilization": 0.98},
        "gpus": {"uuids": ["GPU-a", "GPU-b"]},
        "model": {"id": 'org/"m"'},
    }
    return State(NAME, current=dataclasses.replace(one, verified_at=at, release=release))


def rejected(failure_class: str = "memory.kv") -> Rejection:
    return Rejection("0" * 64, failure_class, "no room", "less", FAILED)


def test_what_is_verified(tmp_path: pathlib.Path) -> None:
    said = host(tmp_path, verified(BEFORE))
    assert "gpufleet_watch_round_timestamp_seconds 1795700000.5\n" in said
    assert f'gpufleet_release_verified_timestamp_seconds{{vllm_instance="{NAME}"}} 1795687200\n' in said
    assert f'gpufleet_gpu_planned_ratio{{vllm_instance="{NAME}",gpu_uuid="GPU-b"}} 0.98\n' in said
    assert 'model="org/\\"m\\""' in said
    assert "gpufleet_rollout_failed" not in said
    assert f'gpufleet_instance_stuck{{vllm_instance="{NAME}"}} 0\n' in said


def test_a_release_that_failed(tmp_path: pathlib.Path) -> None:
    said = host(tmp_path, dataclasses.replace(verified(BEFORE), rejected=(rejected(),)))
    line = f'gpufleet_rollout_failed_timestamp_seconds{{vllm_instance="{NAME}",failure_class="memory.kv"}} 1795690800'
    assert line in said


def test_a_newer_release_makes_it_good(tmp_path: pathlib.Path) -> None:
    assert "rollout_failed" not in host(tmp_path, dataclasses.replace(verified(AFTER), rejected=(rejected(),)))


def test_a_release_that_serves_again_after_a_rollback_does_not(tmp_path: pathlib.Path) -> None:
    """It was verified again."""
    state = dataclasses.replace(verified(AFTER), rejected=(rejected(),))
    assert state.current is not None
    record = Record(*state.current.identity, BEFORE, restarts=({"at": BEFORE, "by": "watch"},), paused_until="resumed")
    said = host(tmp_path, state, record)
    assert "gpufleet_rollout_failed_timestamp_seconds" in said
    assert f'gpufleet_watch_paused{{vllm_instance="{NAME}"}} 1\n' in said
    assert f'gpufleet_watch_restarts{{vllm_instance="{NAME}"}} 1\n' in said


def test_what_cannot_be_read_is_told_and_hides_no_other(tmp_path: pathlib.Path) -> None:
    host(tmp_path, verified(BEFORE))
    other = Store("other", str(tmp_path / "state"), str(tmp_path / "run"))
    os.makedirs(other.folder)
    pathlib.Path(other.path("state.json")).write_text("{")
    said = textfile.text(str(tmp_path / "state"), str(tmp_path / "run"), NOW)
    assert 'gpufleet_instance_stuck{vllm_instance="other"} 1\n' in said
    assert f'gpufleet_instance_stuck{{vllm_instance="{NAME}"}} 0\n' in said


def test_it_is_whole_and_for_everybody(tmp_path: pathlib.Path) -> None:
    host(tmp_path, verified(BEFORE))
    assert textfile.write(str(tmp_path / "state"), str(tmp_path / "run"), NOW) == ""
    folder = tmp_path / "run" / "metrics"
    assert [path.name for path in folder.iterdir()] == ["gpufleet.prom"]
    assert (folder / "gpufleet.prom").stat().st_mode & 0o777 == 0o644


def test_where_it_cannot_be_written_nothing_is_harmed(tmp_path: pathlib.Path) -> None:
    (tmp_path / "run").write_text("")
    assert textfile.write(str(tmp_path / "state"), str(tmp_path / "run"), NOW).startswith("metrics cannot be written")


def test_alerts_read_what_is_written() -> None:
    asked = {name for one in alerts.alerts(read()) for name in re.findall(r"\bgpufleet_\w+", one.query)}
    assert asked and asked <= set(textfile.HELP)
    assert settings.ROLE == "vllm_monitoring"
