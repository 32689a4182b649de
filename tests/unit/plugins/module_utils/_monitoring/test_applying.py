# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What planned monitoring makes of a host's: nothing, other targets, a reload, a start, or a refusal."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import Http, NoAnswer, Reply
from ansible_collections.gpufleet.vllm.plugins.module_utils._monitoring import configuration, targets
from ansible_collections.gpufleet.vllm.plugins.module_utils._monitoring.applying import NotChanged, Ports, apply
from ansible_collections.gpufleet.vllm.plugins.module_utils._monitoring.places import NODE_UNIT, PROMTOOL, UNIT, Places
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.files import Files
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._monitoring.planned import (
    ONE,
    needs_promtool,
    read,
)

AT = Places()


def wanted(port: int = 8000, **changed: t.Any) -> dict[str, str]:
    own = read(**changed)
    errors: list[str] = []
    host = ONE._replace(instances=[{"name": "assistant", "model": "org/m", "port": port}])
    found = configuration.of_host(own, targets.targets(own, [host], errors))
    assert errors == []
    return found


class Asked(Http):
    """Prometheus and node exporter, as they answer for their metrics."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.host = host

    def request(self, method: str, url: str, timeout: float, body: t.Any = None) -> Reply:
        if self.host.dead:
            raise NoAnswer("nobody there")
        return Reply(200, f"{self.host.page}go_goroutines 1\n")


class Host:
    """A host on which nothing of ours is, unless a test says otherwise."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root, self.runs, self.fails, self.dead = root, set[str](), "", False
        self.busy: set[int] = set()
        self.commands: list[str] = []
        self.clock, self.reloaded, self.began, self.takes = 1000.0, 0.0, 0.0, 1
        self.files = Files(str(root))

    @property
    def page(self) -> str:
        return (
            f"prometheus_config_last_reload_successful {self.takes}\n"
            f"prometheus_config_last_reload_success_timestamp_seconds {self.reloaded}\n"
            f"process_start_time_seconds {self.began}\n"
        )

    def run(self, command: t.Sequence[str]) -> tuple[int, str]:
        line = " ".join(command)
        if line.startswith("systemctl is-active"):
            return (0 if command[-1] in self.runs else 3), ""
        self.commands.append(line)
        if self.fails and self.fails in line:
            return 1, "  FAILED: that is wrong"
        if line.startswith("systemctl restart"):
            self.runs.add(command[-1])
        if line.startswith("systemctl stop"):
            self.runs.discard(command[-1])
        if line == f"systemctl restart {UNIT}":
            self.began = self.reloaded = self.clock
        if line == f"systemctl reload {UNIT}":
            self.reloaded = self.clock
        return 0, ""

    def apply(self, files: dict[str, str], check: bool = False) -> str:
        before = {path: self.files.read(path) for path in files}
        ports = Ports(
            self.files, self.run, Asked(self), lambda: self.busy, self.changed_at, AT, sleep=lambda _seconds: None
        )
        self.clock += 100
        self.commands.clear()
        done = apply(files, ports, check)
        for path, content in before.items():
            if self.files.read(path) != content:
                os.utime(f"{self.root}{path}", (self.clock, self.clock))
        return done

    def changed_at(self, path: str) -> float:
        found = os.path.getmtime(f"{self.root}{path}")
        return self.clock if found > 10**8 else found


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    return Host(tmp_path)


def test_a_host_that_has_nothing_gets_all_and_then_nothing(host: Host) -> None:
    assert host.apply(wanted(), check=True) == "start"
    assert not (host.root / "etc").exists() and host.commands == []
    assert host.apply(wanted()) == "start"
    assert host.runs == {UNIT, NODE_UNIT}
    assert f"ln -sfn {AT.units}/{UNIT} {AT.wanted(UNIT)}" in host.commands
    assert not any("daemon-reload" in line for line in host.commands)
    assert host.apply(wanted()) == "none"
    assert host.commands == []


def test_other_targets_are_read_while_it_runs(host: Host) -> None:
    host.apply(wanted())
    assert host.apply(wanted(8001)) == "live"
    assert host.commands == [line for line in host.commands if line.startswith(PROMTOOL)]
    assert host.apply(wanted(8001)) == "none"
    (group,) = json.loads((host.root / AT.targets("vllm").lstrip("/")).read_text())
    assert group["targets"] == ["127.0.0.1:8001"]


def test_other_rules_are_a_reload(host: Host) -> None:
    host.apply(wanted())
    assert host.apply(wanted(kv_cache_percent=80)) == "reload"
    assert f"systemctl reload {UNIT}" in host.commands


def test_other_arguments_are_a_start(host: Host) -> None:
    host.apply(wanted())
    assert host.apply(wanted(retention_days=30)) == "start"
    assert [line for line in host.commands if "restart" in line] == [f"systemctl restart {UNIT}"]


def test_a_node_exporter_that_is_not_wanted_goes(host: Host) -> None:
    host.apply(wanted())
    assert host.apply(wanted(node_port=0)) == "start"
    assert host.runs == {UNIT}
    assert host.files.read(f"{AT.units}/{NODE_UNIT}") is None
    assert host.apply(wanted(node_port=0)) == "none"


@pytest.mark.parametrize(("what", "done"), [("reloaded", "reload"), ("began", "start"), ("takes", "reload")])
def test_what_was_cut_off_is_done(host: Host, what: str, done: str) -> None:
    """Files are as planned, and Prometheus does not run with them."""
    host.apply(wanted())
    setattr(host, what, 0)
    if what == "takes":
        with pytest.raises(NotChanged, match="did not come up"):
            host.apply(wanted())
    else:
        assert host.apply(wanted()) == done
        assert host.apply(wanted()) == "none"


def test_one_that_died_is_started(host: Host) -> None:
    host.apply(wanted())
    host.runs.discard(UNIT)
    assert host.apply(wanted()) == "start"


def test_what_promtool_does_not_take_replaces_nothing(host: Host) -> None:
    host.apply(wanted())
    host.fails = "promtool"
    with pytest.raises(NotChanged, match="promtool does not take the configuration: FAILED: that is wrong"):
        host.apply(wanted(kv_cache_percent=80))
    assert host.files.differing({path: text.encode() for path, text in wanted().items()}) == {}


@pytest.mark.parametrize("fails", ["reload", "dead"])
def test_where_it_does_not_come_up_the_files_before_are_back(host: Host, fails: str) -> None:
    host.apply(wanted())
    host.fails, host.dead = ("systemctl reload", False) if fails == "reload" else ("", True)
    with pytest.raises(NotChanged, match="The files before are back"):
        host.apply(wanted(kv_cache_percent=80))
    assert host.files.differing({path: text.encode() for path, text in wanted().items()}) == {}
    assert f"systemctl restart {UNIT}" in host.commands


def test_a_first_start_that_fails_leaves_nothing(host: Host) -> None:
    host.dead = True
    with pytest.raises(NotChanged, match="did not come up"):
        host.apply(wanted())
    assert host.runs == set()
    assert host.files.read(AT.config) is None


def test_a_port_that_somebody_has_is_refused(host: Host) -> None:
    host.busy = {9100}
    with pytest.raises(NotChanged, match="listens on 9100: set vllm_monitoring_node_port"):
        host.apply(wanted())
    assert host.files.read(AT.config) is None
    host.busy = {9090}
    with pytest.raises(NotChanged, match="listens on 9090: set vllm_monitoring_port"):
        host.apply(wanted(), check=True)


def test_a_port_that_is_ours_is_not_somebodys(host: Host) -> None:
    host.apply(wanted())
    host.busy = {9090, 9100}
    assert host.apply(wanted(retention_days=30)) == "start"


@needs_promtool
def test_promtool_takes_what_is_planned_and_not_what_is_broken(tmp_path: pathlib.Path) -> None:
    for query, right in (("sum by", True), ("sum bye", False)):
        files = wanted(alertmanagers=["[::1]:9093"], bind="::1")
        folder = tmp_path / str(right)
        folder.mkdir()
        for path, content in files.items():
            moved = content.replace(f"{AT.folder}/", f"{folder}/").replace("sum by", query)
            (folder / os.path.basename(path)).write_text(moved)
        ran = subprocess.run(
            ["promtool", "check", "config", str(folder / "prometheus.yml")], capture_output=True, check=False
        )
        assert (ran.returncode == 0) is right, ran.stdout + ran.stderr
