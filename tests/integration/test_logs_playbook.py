# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook logs.yml: what engines have written, and the report that is shown before it is written."""

from __future__ import annotations

import json
import pathlib
import stat

import pytest

from ansible_collections.gpufleet.vllm.tests.data import example_status
from ansible_collections.gpufleet.vllm.tests.integration.scripted_hosts import Fleet, Json

KEY = "correct-horse-battery"
FAILED: Json = {
    "at": "20261126T120000Z",
    "digest": "f" * 64,
    "stage": "ready",
    "failure_class": "oom",
    "cause": "CUDA out of memory",
    "advice": "Lower gpu_memory_utilization.",
    "folder": "/var/lib/gpufleet/assistant/diagnosis/20261126T120000Z-ffffffffffff",
    "log": ["torch.OutOfMemoryError"],
}
LOG: Json = {
    "instance": "assistant",
    "container": "gpufleet-assistant-0123456789ab",
    "lines": [f"2026-11-26T12:00:00Z a client came with {KEY}"],
    "problem": "",
    "failed": FAILED,
}
WELL: Json = {"logs": [LOG], "status": example_status.status("well")}
INSTANCES = [{"name": "assistant", "api_key": KEY, "env": {"HF_TOKEN": "hidden-too"}}]


def test_logs_alone_ask_for_nothing_else(tmp_path: pathlib.Path) -> None:
    ended = Fleet(tmp_path, {"gpu-1": WELL}).run("logs")
    assert ended.code == 0
    assert "a client came" in ended.said and "failed at stage ready (oom)" in ended.said
    assert "# Report for gpufleet.vllm" not in ended.said
    assert not list(tmp_path.glob("*.md"))


@pytest.mark.parametrize("check", [False, True])
def test_a_report_is_shown_and_then_written_without_secrets(tmp_path: pathlib.Path, check: bool) -> None:
    hosts = {
        "gpu-1": WELL,
        "gpu-2": {"unreachable": True},
        "gpu-3": {"logs": [LOG], "status": {"failed": True, "msg": "Half."}},
    }
    options = ("--check",) if check else ()
    ended = Fleet(tmp_path, hosts).run("logs", *options, vllm_logs_report="r.md", vllm_server_instances=INSTANCES)
    assert ended.code == 4
    shown = "# Report for gpufleet.vllm" + ended.said.partition("# Report for gpufleet.vllm")[2]
    file = tmp_path / "r.md"
    assert file.exists() is not check
    text = shown if check else file.read_text()
    assert text.rstrip() in shown
    for part in (
        "- ansible-core: 2.",
        "## gpu-1",
        "- cause: CUDA out of memory",
        "torch.OutOfMemoryError",
        "a client came with ***",
    ):
        assert part in text
    # A host in trouble is in it with what it said, and one that was not reached is not.
    assert "## gpu-3" in text and "Half." in text and "## gpu-2" not in text
    assert "gpu-3 did not tell all: Half." in ended.said
    assert "hidden-too" not in text and KEY not in text
    if not check:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "stated",
    [
        # As -e has them where somebody types them as one text.
        json.dumps(INSTANCES),
        # What cannot be read of one hides nothing of the others.
        [{**INSTANCES[0], "model": "{{ nowhere_at_all }}"}],
    ],
)
def test_secrets_are_known_however_the_inventory_has_them(tmp_path: pathlib.Path, stated: object) -> None:
    ended = Fleet(tmp_path, {"gpu-1": WELL}).run("logs", vllm_logs_report="r.md", vllm_server_instances=stated)
    assert ended.code == 0
    text = (tmp_path / "r.md").read_text()
    assert '"name": "assistant"' in text and "a client came with ***" in text
    assert "hidden-too" not in text and KEY not in text


def test_a_folder_that_is_not_there_is_told(tmp_path: pathlib.Path) -> None:
    ended = Fleet(tmp_path, {"gpu-1": WELL}).run("logs", vllm_logs_report="nowhere/r.md")
    assert ended.code == 2 and "nowhere" in ended.said
