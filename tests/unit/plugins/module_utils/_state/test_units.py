# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of systemd."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._state import units


def test_a_rollout_is_a_unit_that_recovers_whenever_it_ends() -> None:
    assert units.start_command("assistant", "rollout", 900) == [
        "systemd-run",
        "--quiet",
        "--collect",
        "--unit=gpufleet-rollout@assistant.service",
        "--description=vLLM instance assistant: rollout",
        "--property=Type=exec",
        "--property=MemoryMax=512M",
        "--property=TasksMax=64",
        "--property=RuntimeMaxSec=900",
        "--property=TimeoutStopSec=900",
        "--property=ExecStopPost=/usr/local/lib/gpufleet/gpufleet-host recover assistant --after-end",
        "/usr/local/lib/gpufleet/gpufleet-host",
        "rollout",
        "assistant",
    ]


def test_a_recovery_takes_the_same_lock_and_does_not_recover_itself() -> None:
    command = units.start_command("assistant", "recover", 900)
    assert "--unit=gpufleet-rollout@assistant.service" in command
    assert not [part for part in command if "ExecStopPost" in part]


@pytest.mark.parametrize("lives", [True, False])
def test_the_units_file_is_the_lock(tmp_path: pathlib.Path, lives: bool) -> None:
    folder = tmp_path / "run/systemd/transient"
    folder.mkdir(parents=True)
    (folder / f"gpufleet-rollout@{'assistant' if lives else 'another'}.service").touch()
    assert units.running("assistant", str(tmp_path)) is lives


@pytest.mark.parametrize(
    ("code", "locked", "words"),
    [
        (1, True, "another rollout of assistant is running"),
        (1, False, "systemd did not start gpufleet-rollout@assistant.service: no bus"),
    ],
)
def test_not_started(monkeypatch: pytest.MonkeyPatch, code: int, locked: bool, words: str) -> None:
    monkeypatch.setattr(units, "running", lambda _instance: locked)
    with pytest.raises(units.UnitProblem, match=words):
        units.start(lambda _command: (code, "", "no\n  bus\n"), "assistant", "rollout", 900)


def test_started() -> None:
    asked: list[t.Sequence[str]] = []

    def run(command: t.Sequence[str]) -> tuple[int, str, str]:
        asked.append(command)
        return 0, "", ""

    units.start(run, "assistant", "rollout", 900)
    assert asked == [units.start_command("assistant", "rollout", 900)]


def test_the_watch_waits_for_the_recovery_at_boot() -> None:
    assert "After=docker.service gpufleet-recover.service\n" in units.WATCH_SERVICE_TEXT
    # Only of a oneshot does After= wait for the end.
    assert "Type=oneshot\n" in units.BOOT_UNIT_TEXT
    assert "ExecStart=/usr/local/lib/gpufleet/gpufleet-host watch\n" in units.WATCH_SERVICE_TEXT


@pytest.mark.parametrize("text", [units.BOOT_UNIT_TEXT, units.WATCH_SERVICE_TEXT])
def test_no_unit_of_ours_may_take_the_hosts_memory(text: str) -> None:
    service = text.partition("[Service]\n")[2].partition("\n[")[0]
    assert {"MemoryMax=512M", "TasksMax=64"} <= set(service.splitlines())


def test_what_is_wanted_is_installed() -> None:
    for target, name in units.WANTED.items():
        assert f"WantedBy={target}\n" in units.INSTALLED[name]


def test_the_unit_at_boot() -> None:
    assert "After=docker.service\n" in units.BOOT_UNIT_TEXT
    assert "ExecStart=/usr/local/lib/gpufleet/gpufleet-host recover --all\n" in units.BOOT_UNIT_TEXT
