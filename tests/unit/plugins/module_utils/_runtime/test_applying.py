# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings are brought into a running daemon, or everything is as it was."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.files import Files
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime import applying
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime.observed import PATH, RECORD

LIVE = {"live-restore": True}
LOGS = {"log-opts": {"max-size": "50m"}}


class Host:
    """A host whose daemon takes what it finds in daemon.json when it is started or told to reload."""

    def __init__(self, root: pathlib.Path, config: t.Any = None, running: t.Sequence[str] = ()) -> None:
        self.root = root
        self.files = Files(str(root))
        self.config = config or {}
        if config is not None:
            self.files.put({PATH: json.dumps(config).encode()})
        self.running = list(running)
        self.up = True
        self.ran: list[str] = []
        self.clock = 0.0
        self.reloads = 0
        # Settings with which it does not start, with which it does not reload, and which it knows beforehand.
        self.fatal: set[str] = set()
        self.silent: set[str] = set()
        self.invalid: set[str] = set()
        self.can_validate = True
        # What docker.service gives the daemon on its command line, and the state of its node in a swarm.
        self.flags: list[str] = []
        self.swarm = "inactive"

    def run(self, command: list[str], stdin: str = "") -> tuple[int, str]:
        name = " ".join(command[:2])
        self.ran.append(name)
        if name == "dockerd --validate":
            return self._validate(json.loads(stdin), command[2:-2])
        if name == "systemctl show":
            words = "\0".join(["/usr/bin/dockerd", *self.flags, ""])
            self.files.put({"/proc/77/cmdline": words.encode()})
            return 0, "77\n" if self.up else "0\n"
        if name == "systemctl restart":
            return self._restart()
        if name == "systemctl reload" and not self.silent & set(self.on_disk()):
            self.config = {
                **self.config,
                **{key: self.on_disk()[key] for key in self.on_disk() if key == "live-restore"},
            }
            self.reloads += 1
        if name == "journalctl --unit":
            return 0, 'level=info msg="Starting up"\nlevel=fatal msg="unknown storage driver"\nfailed to start daemon\n'
        return 0, ""

    def on_disk(self) -> dict[str, t.Any]:
        return t.cast(dict[str, t.Any], json.loads(self.files.read(PATH) or b"{}"))

    def _validate(self, config: dict[str, t.Any], flags: t.Sequence[str]) -> tuple[int, str]:
        if not self.can_validate:
            return 125, "unknown flag: --validate"
        twice = [key for key in config if f"--{key}" in flags]
        if twice:
            return 1, f"the following directives are specified both as a flag and in the configuration file: {twice[0]}"
        wrong = self.invalid & set(config)
        return (1, f"unable to configure the Docker daemon: {wrong.pop()}") if wrong else (0, "configuration OK")

    def _restart(self) -> tuple[int, str]:
        if not self.config.get("live-restore"):
            self.running.clear()
        self.config = self.on_disk()
        in_swarm = self.swarm != "inactive" and "live-restore" in self.config
        self.up = not self.fatal & set(self.config) and not in_swarm
        return (0, "") if self.up else (1, "Job for docker.service failed.")

    def get(self, path: str) -> t.Any:
        if not self.up:
            raise DockerError(0, "refused")
        if path == "/info":
            live = bool(self.config.get("live-restore"))
            swarm = {"LocalNodeState": self.swarm}
            return {"LiveRestoreEnabled": live, "Containers": len(self.running), "Swarm": swarm}
        return [{"Id": name, "Names": [f"/{name}"]} for name in self.running]

    def reloaded_since(self, since: float) -> bool:
        return self.reloads > 0

    def now(self) -> float:
        return self.clock

    def sleep(self, seconds: float) -> None:
        self.clock += seconds

    def apply(
        self,
        settings: dict[str, t.Any],
        take_over: t.Sequence[str] = (),
        stop_containers: bool = False,
        check_mode: bool = False,
    ) -> str:
        ports = applying.Ports(self.files, self, self.run, self.now, self.sleep)
        return applying.apply(settings, take_over, stop_containers, ports, check_mode).action

    def contents(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in (self.root / "etc").rglob("*") if path.is_file()}

    def did(self, name: str) -> int:
        return self.ran.count(name)


@pytest.mark.parametrize(
    ("settings", "action"),
    [(LIVE, "reload"), (LOGS, "restart"), ({**LIVE, **LOGS}, "restart")],
)
def test_check_real_check_again_real_again(tmp_path: pathlib.Path, settings: dict[str, t.Any], action: str) -> None:
    host = Host(tmp_path, {"labels": ["theirs"]})
    before = host.contents()
    assert host.apply(settings, check_mode=True) == action
    assert (host.contents(), host.ran) == (before, ["systemctl show", "dockerd --validate"])

    assert host.apply(settings) == action
    assert host.on_disk() == {"labels": ["theirs"], **settings}
    assert json.loads(host.files.read(RECORD) or b"")["ours"] == settings
    assert json.loads(host.files.read(RECORD) or b"")["pending"] is False
    assert host.did(f"systemctl {action}") == 1

    host.ran.clear()
    assert host.apply(settings, check_mode=True) == host.apply(settings) == "none"
    assert host.ran == []


def test_a_daemon_that_is_new_is_started(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path)
    host.up = False
    assert host.apply(LIVE) == "start"
    assert (host.up, host.on_disk()) == (True, LIVE)


def test_a_daemon_that_stopped_is_started_with_the_file_as_it_is(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path)
    host.apply(LIVE)
    host.up = False
    assert host.apply(LIVE) == "start"
    assert host.up


def test_containers_survive_a_restart_because_live_restore_is_reloaded_first(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, {}, ["assistant"])
    assert host.apply({**LIVE, **LOGS}) == "restart"
    assert host.running == ["assistant"]
    assert host.ran.index("systemctl reload") < host.ran.index("systemctl restart")


def test_a_restart_that_would_stop_containers_has_to_be_allowed(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, {}, ["assistant"])
    before = host.contents()
    with pytest.raises(applying.Refused, match="which would stop assistant: set container_runtime_live_restore"):
        host.apply(LOGS)
    assert (host.contents(), host.running) == (before, ["assistant"])
    with pytest.raises(applying.Refused, match="runs with the new settings, and assistant stopped"):
        host.apply(LOGS, stop_containers=True)


def test_a_change_that_was_begun_is_finished(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, LIVE)
    host.files.put({RECORD: json.dumps({"ours": {}, "pending": True}).encode()})
    assert host.apply(LIVE) == "restart"
    assert host.apply(LIVE) == "none"


def test_a_daemon_that_cannot_validate_shows_it_by_its_start(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path)
    host.can_validate, host.fatal = False, {"storage-driver"}
    with pytest.raises(applying.Refused, match="Docker did not come back"):
        host.apply({"storage-driver": "none"})


@pytest.mark.parametrize("settings", [{"storage-driver": "none"}, {**LIVE, "storage-driver": "none"}])
def test_a_daemon_that_does_not_come_back_gets_its_file_back(
    tmp_path: pathlib.Path, settings: dict[str, t.Any]
) -> None:
    host = Host(tmp_path, {"labels": ["theirs"], **LIVE}, ["assistant"])
    host.fatal = {"storage-driver"}
    before = host.contents()
    with pytest.raises(applying.Refused) as refused:
        host.apply(settings)
    assert "unknown storage driver" in str(refused.value)
    assert "The previous daemon.json is back, and Docker runs with it." in str(refused.value)
    assert (host.up, host.running, host.contents()) == (True, ["assistant"], before)


def test_a_reload_that_is_not_taken_over_is_put_back(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, {})
    host.silent = {"live-restore"}
    before = host.contents()
    with pytest.raises(applying.Refused, match=r"did not take the settings over: .*The previous daemon.json is back"):
        host.apply(LIVE)
    assert host.contents() == before


def test_a_daemon_that_did_not_run_before_and_does_not_now(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, {"labels": ["theirs"]})
    host.up, host.fatal = False, {"labels"}
    with pytest.raises(applying.Refused, match="did not run before, and does not run with it either"):
        host.apply(LIVE)


@pytest.mark.parametrize(
    ("config", "settings", "says"),
    [
        ({"live-restore": False}, LIVE, "live-restore is false and shall be true. Nothing was changed."),
        ({"exec-opts": ["a=1"]}, {"exec-opts": ["a=2"]}, r"exec-opts\[a=1\] is set"),
        ({}, {"nope": 1}, "Docker would not take the settings: unable to configure the Docker daemon: nope"),
        ({}, {"data-root": "/srv"}, "data-root would move to /srv and Docker has 1 containers"),
        (
            {},
            {**LIVE, "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 1048576, "Soft": 1048576}}},
            "this host cannot go beyond 20000: no container would start",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(
    tmp_path: pathlib.Path, config: dict[str, t.Any], settings: dict[str, t.Any], says: str
) -> None:
    host = Host(tmp_path, config, ["assistant"])
    host.invalid = {"nope"}
    host.files.put(
        {
            "/proc/1/status": b"Name:\tsystemd\nCapBnd:\t00000000a82425fb\n",
            "/proc/1/limits": b"Max open files            20000                20000                files\n",
        }
    )
    before = host.contents()
    with pytest.raises(applying.Refused, match=says):
        host.apply({**LIVE, **settings} if "nope" in settings else settings)
    assert host.contents() == before
    assert host.running == ["assistant"]
    assert host.did("systemctl restart") + host.did("systemctl reload") == 0


def test_a_file_that_is_no_json_is_left_alone(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path)
    host.files.put({PATH: b"{nonsense"})
    with pytest.raises(applying.Refused, match="is no valid JSON"):
        host.apply(LIVE)
    assert (host.files.read(PATH), host.ran) == (b"{nonsense", [])


@pytest.mark.parametrize("flags", [["-H", "fd://", "--live-restore"], ["--live-restore", "--config-file", PATH]])
def test_a_key_that_is_a_flag_too_is_refused_before_the_next_boot_finds_it(
    tmp_path: pathlib.Path, flags: list[str]
) -> None:
    host = Host(tmp_path, {})
    host.flags = flags
    before = host.contents()
    with pytest.raises(applying.Refused, match="both as a flag and in the configuration file: live-restore"):
        host.apply(LIVE, check_mode=True)
    assert host.contents() == before


@pytest.mark.parametrize("flags", [["--config-file", "/srv/d.json"], ["--config-file=/srv/d.json", "-H", "fd://"]])
def test_a_daemon_that_reads_another_file(tmp_path: pathlib.Path, flags: list[str]) -> None:
    host = Host(tmp_path, {})
    host.flags = flags
    with pytest.raises(applying.Refused, match=r"with --config-file /srv/d.json, so that it does not read /etc/docker"):
        host.apply(LIVE, check_mode=True)


@pytest.mark.parametrize("up", [True, False])
def test_live_restore_is_not_set_on_a_node_of_a_swarm(tmp_path: pathlib.Path, up: bool) -> None:
    host = Host(tmp_path, {})
    host.up = up
    host.swarm = "active"
    host.files.put({"/var/lib/docker/swarm/docker-state.json": b"{}"})
    before = host.contents()
    with pytest.raises(
        applying.Refused, match=r"a node of a swarm, where Docker does not start with it: .*swarm leave"
    ):
        host.apply(LIVE)
    assert (host.contents(), host.up) == (before, up)


def test_no_restart_where_somebody_elses_live_restore_would_keep_a_node_of_a_swarm_down(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, LIVE)
    host.swarm = "active"
    with pytest.raises(applying.Refused, match="where Docker does not start with it"):
        host.apply(LOGS, stop_containers=True)
    assert (host.up, host.on_disk()) == (True, LIVE)


def test_our_live_restore_goes_without_a_restart_when_a_host_joins_a_swarm(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, {}, ["assistant"])
    host.apply(LIVE)
    host.swarm = "active"
    assert host.apply({}) == "reload"
    assert (host.running, host.on_disk()) == (["assistant"], {})
    # It would come back at the next boot.
    assert host._restart()[0] == 0


def test_what_a_restart_would_stop_on_a_node_of_a_swarm_is_named_with_the_one_way_out(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, {}, ["task"])
    host.swarm = "active"
    with pytest.raises(applying.Refused, match="would stop task: allow it with container_runtime_stop_containers"):
        host.apply(LOGS)
