# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings settings into daemon.json and into the running daemon, or leaves both as they were.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import time
import typing as t

from .._docker import docker_info
from .._docker.client import DockerError
from .._docker.shapes import records, text, texts
from .._outside.documents import Json
from .._prepare.files import Files, NotProved, NotWritten
from .._settings.masking import has_secret
from . import config_file, daemon_json, limits, next_boot
from .observed import PATH, RECORD, recorded

PREVIOUS = "/etc/docker/daemon.json.previous"
# What we set may hold a password, as that of a proxy.
PRIVATE = {RECORD: 0o600}
UNITS = ("docker.service", "docker.socket")

PATIENCE = 60  # seconds that a daemon may take to answer after its start
RELOAD_PATIENCE = 15  # seconds until the daemon says that it has reloaded
LAST_WORDS = 4  # lines of the daemon's log


class Refused(Exception):
    """The settings are not in place, and everything is as it was unless the text says otherwise."""


class Daemon(t.Protocol):
    """The part of the Docker Engine API that is read."""

    def get(self, path: str) -> t.Any: ...

    def reloaded_since(self, since: float) -> bool: ...


class Ports(t.NamedTuple):
    """The host: its files, its daemon, status and output of a command, and time in seconds."""

    files: Files
    daemon: Daemon
    run: next_boot.Run
    now: t.Callable[[], float] = time.time
    sleep: t.Callable[[float], None] = time.sleep


class State(t.NamedTuple):
    """The daemon as it runs: `running` are its running containers by id, with their names."""

    answers: bool
    live_restore: bool
    containers: int
    running: dict[str, str]
    swarm: bool = False


class Applied(t.NamedTuple):
    """What was done, `none`, `reload`, `restart` or `start`, and the file before and after."""

    action: str
    before: bytes
    after: bytes


def apply(
    settings: Json, take_over: t.Collection[str], stop_containers: bool, ports: Ports, check_mode: bool
) -> Applied:
    """Bring the settings into effect. Raises Refused."""
    before = ports.files.read(PATH) or b""
    try:
        current = config_file.parsed(before, PATH)
    except config_file.BadFile as error:
        raise Refused(f"{error}.") from error
    record = recorded(ports.files.read)
    merged = daemon_json.merge(current, record["ours"], settings, take_over)
    if merged.conflicts:
        raise Refused(daemon_json.told(merged.conflicts, PATH))
    state = observe(ports.daemon)
    same = merged.config == current
    after = before if same else config_file.rendered(merged.config).encode()
    action = _action(current, merged.config, record["pending"], state)
    if same and action == "none":
        if not check_mode and merged.ours != record["ours"]:
            ports.files.put({RECORD: _record(merged.ours, False)}, modes=PRIVATE)
        return Applied("none", before, after)
    in_swarm = state.swarm or (not state.answers and next_boot.has_a_swarm(merged.config, ports.files.read))
    _gates(current, merged.config, action, state, in_swarm, stop_containers)
    objection = limits.objection(merged.config, ports.files.read)
    if objection:
        raise Refused(f"{objection} Nothing was changed.")
    objection = "" if same else next_boot.objection(after.decode(), ports.run, ports.files.read)
    if objection:
        raise Refused(f"{objection} Nothing was changed.")
    if not check_mode:
        _carry_out(_Change(before, after, merged, record["ours"], action, state), ports)
    return Applied(action, before, after)


class _Change(t.NamedTuple):
    before: bytes
    after: bytes
    merged: daemon_json.Merged
    had: Json
    action: str
    state: State


def observe(daemon: Daemon) -> State:
    try:
        said = docker_info.read(daemon.get("/info"))
        listed = records(daemon.get("/containers/json"))
    except DockerError:
        return State(False, False, 0, {})
    running = {text(one.get("Id")): "".join(texts(one.get("Names"))[:1]).lstrip("/") for one in listed}
    return State(True, said.live_restore, said.containers, running, said.swarm)


def _action(current: Json, config: Json, pending: bool, state: State) -> str:
    if not state.answers:
        return "start"
    if pending:
        return "restart"
    if current == config:
        return "none"
    if state.swarm and "live-restore" not in config:
        # The daemon keeps it until its next boot, which is all that it must not be there for.
        current = {key: value for key, value in current.items() if key != "live-restore"}
    return "restart" if daemon_json.needs_restart(current, config) else "reload"


def _live(config: Json) -> bool:
    return config.get("live-restore") is True


def _gates(current: Json, config: Json, action: str, state: State, in_swarm: bool, stop_containers: bool) -> None:
    moved = current.get("data-root", "/var/lib/docker") != config.get("data-root", "/var/lib/docker")
    if moved and state.containers:
        raise Refused(
            f"data-root would move to {config.get('data-root', '/var/lib/docker')} and Docker has {state.containers} "
            "containers, which it would not find there: remove them first, or leave data-root as it is."
        )
    if in_swarm and config.get("live-restore") is True and (action in ("restart", "start") or not _live(current)):
        raise Refused(
            f"{PATH} would say live-restore, and this host is a node of a swarm, where Docker does not start with it: "
            "set container_runtime_live_restore to false and remove live-restore from the file, or leave the swarm "
            "(docker swarm leave)."
        )
    survives = not in_swarm and (state.live_restore or _live(config))
    if action == "restart" and state.running and not survives and not stop_containers:
        keep = "" if in_swarm else "set container_runtime_live_restore to true, or "
        raise Refused(
            f"Docker has to be restarted, which would stop {', '.join(sorted(state.running.values()))}: {keep}allow it "
            "with container_runtime_stop_containers."
        )


def _carry_out(change: _Change, ports: Ports) -> None:
    wanted = {PREVIOUS: change.before or None, PATH: change.after, RECORD: _record(change.had, True)}
    if change.before == change.after:
        wanted = {RECORD: wanted[RECORD]}
    try:
        ports.files.put_proved(wanted, lambda: _taken_over(change, ports), _modes(change, ports.files))
        ports.files.put({RECORD: _record(change.merged.ours, False)}, modes=PRIVATE)
    except NotWritten as error:
        raise Refused(f"{error}. Everything is as it was.") from error
    except NotProved as error:
        raise Refused(f"{error} {_came_back(change, ports)}") from error
    lost = {id_: name for id_, name in change.state.running.items() if id_ not in observe(ports.daemon).running}
    if lost and change.action != "start":
        raise Refused(
            f"Docker runs with the new settings, and {', '.join(sorted(lost.values()))} stopped when it was restarted: "
            "start them again."
        )


def _modes(change: _Change, files: Files) -> dict[str, int]:
    """A copy is read by nobody who may not read the file, and a password that we write, or copy, by nobody but root."""
    secret = has_secret(config_file.parsed(change.before, PATH))
    modes = {**PRIVATE, PREVIOUS: (None if secret else files.mode(PATH)) or PRIVATE[RECORD]}
    return {**modes, PATH: PRIVATE[RECORD]} if has_secret(change.merged.ours) else modes


def _taken_over(change: _Change, ports: Ports) -> str:
    """Have the daemon take the file over, and say what is wrong if it does not."""
    if change.action == "reload":
        return _reload(ports)
    # What a reload takes over includes live-restore, so that the restart leaves containers alone.
    survive = change.merged.config.get("live-restore") is True and not change.state.live_restore
    if change.action == "restart" and change.state.running and survive:
        wrong = _reload(ports)
        if wrong:
            return wrong
    return _restart(ports)


def _reload(ports: Ports) -> str:
    since = ports.now()
    status, said = ports.run(["systemctl", "reload", "docker.service"])
    if status:
        return f"Docker could not be told to reload: {_last(said, 2)}"
    while ports.now() - since < RELOAD_PATIENCE:
        if ports.daemon.reloaded_since(since):
            return ""
        ports.sleep(0.2)
    return f"Docker did not take the settings over: {_log_since(since, ports)}"


def _restart(ports: Ports) -> str:
    since = ports.now()
    # Not a reload of systemd, which takes GPUs from containers that run under NVIDIA's legacy hook.
    ports.run(["systemctl", "enable", "--no-reload", "docker.service"])
    # Restarts of the last minute count against us, and docker.service takes only three.
    ports.run(["systemctl", "reset-failed", *UNITS])
    status, _said = ports.run(["systemctl", "restart", "docker.service"])
    while not status and ports.now() - since < PATIENCE:
        if observe(ports.daemon).answers:
            return ""
        ports.sleep(0.5)
    return f"Docker did not come back with the new settings: {_log_since(since, ports)}"


def _came_back(change: _Change, ports: Ports) -> str:
    """What became of the host after the previous file was put back."""
    if change.action == "reload":
        ports.run(["systemctl", "reload", "docker.service"])
        return "The previous daemon.json is back."
    if not _restart(ports):
        return "The previous daemon.json is back, and Docker runs with it."
    if change.action == "start":
        return "The previous daemon.json is back. Docker did not run before, and does not run with it either."
    return "The previous daemon.json is back, and Docker does not come back with it either: look into its log."


def _log_since(since: float, ports: Ports) -> str:
    command = ["journalctl", "--unit", "docker.service", f"--since=@{int(since)}", "--output=cat", "--no-pager"]
    _status, said = ports.run(command)
    lines = [
        line for line in said.splitlines() if "level=fatal" in line or "level=error" in line or "failed to" in line
    ]
    return _last("\n".join(lines) or said, LAST_WORDS)


def _last(said: str, lines: int) -> str:
    told = list(dict.fromkeys(line.strip() for line in said.splitlines() if line.strip()))
    return " ".join(told[-lines:]) or "it said nothing."


def _record(ours: Json, pending: bool) -> bytes:
    about = "Settings of daemon.json that gpufleet.vllm made. It gives them up when no variable asks for them any more."
    return (json.dumps({"about": about, "ours": ours, "pending": pending}, indent=4) + "\n").encode()
