# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a host's monitoring what was planned. Targets are read while Prometheus runs, rules take a reload.

promtool has to take the new files before they are put in place. Where Prometheus does not come up with them, those
before are back, and it runs with them again.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import tempfile
import time
import typing as t

from .._engine.http_client import Http, NoAnswer
from .._engine.metrics import parsed, series
from .._prepare.files import Files, NotWritten
from .._settings.names import listed
from .places import NODE_UNIT, PROMTOOL, UNIT, Places

_LISTENS = re.compile(r"--web\.listen-address=(\S+:([0-9]+))")
TAKEN, RELOADED, STARTED = (
    "prometheus_config_last_reload_successful",
    "prometheus_config_last_reload_success_timestamp_seconds",
    "process_start_time_seconds",
)
ANYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
UP_WITHIN = 60.0
EVERY = 0.5
# Times of files and of processes are not told to the same fraction.
SLACK = 2.0

Run = t.Callable[[t.Sequence[str]], "tuple[int, str]"]
Action = t.Literal["none", "live", "reload", "start"]


class NotChanged(Exception):
    """Monitoring could not be changed; the text says why and what to do. It is as it was before."""


@dataclasses.dataclass
class Ports:
    files: Files
    run: Run
    http: Http
    listening: t.Callable[[], set[int]]
    changed_at: t.Callable[[str], float]
    places: Places = dataclasses.field(default_factory=Places)
    sleep: t.Callable[[float], None] = time.sleep


class Unit(t.NamedTuple):
    """A unit as it is and as it shall be: the file of its arguments, before and after, and whether it runs."""

    name: str
    arguments: str
    before: str
    after: str
    runs: bool

    @property
    def due(self) -> bool:
        return bool(self.after) and (not self.runs or self.before != self.after)

    @property
    def address(self) -> str:
        found = _LISTENS.search(self.after)
        return f"http://{_asked(found[1])}" if found else ""


def _asked(address: str) -> str:
    """Who listens everywhere is asked on the loopback."""
    host, _colon, port = address.rpartition(":")
    return f"{ANYWHERE.get(host, host)}:{port}"


def apply(wanted: t.Mapping[str, str], ports: Ports, check: bool) -> Action:
    """What was done, or in check mode would be. Raises NotChanged and NotWritten, with nothing changed."""
    places = ports.places
    contents: dict[str, bytes | None] = {path: text.encode() for path, text in wanted.items()}
    prometheus = _unit(UNIT, places.arguments, wanted, ports)
    node = _unit(NODE_UNIT, places.node_arguments, wanted, ports)
    gone = [] if node.after else [places.node_arguments, f"{places.units}/{NODE_UNIT}"]
    contents.update(dict.fromkeys(gone))
    due = ports.files.differing(contents)
    reloads = bool({places.config, places.rules} & set(due))
    stale = "none" if check or not prometheus.runs else _stale(prometheus, ports)
    action: Action = "none"
    if prometheus.due or node.due or stale == "start" or (node.runs and not node.after):
        action = "start"
    elif reloads or stale == "reload":
        action = "reload"
    elif due:
        action = "live"
    _must_be_free(prometheus, node, ports)
    if action != "none" and not check:
        _must_be_valid(wanted, ports)
        # What is right is not written again: a file that is newer than the process tells of a run that was cut off.
        _bring(due, prometheus, node, reloads or stale == "reload", stale == "start", ports)
    return action


def _unit(name: str, arguments: str, wanted: t.Mapping[str, str], ports: Ports) -> Unit:
    before = (ports.files.read(arguments) or b"").decode("utf-8", "replace")
    runs = ports.run(["systemctl", "is-active", "--quiet", name])[0] == 0
    return Unit(name, arguments, before, wanted.get(arguments, ""), runs)


def _stale(unit: Unit, ports: Ports) -> Action:
    """Whether what runs is not what the files say, as after a run that was cut off."""
    try:
        found = series(ports.http, unit.address, 5.0, (TAKEN, RELOADED, STARTED))
    except NoAnswer:
        return "start"
    with contextlib.suppress(OSError):
        if found.get(STARTED, 0.0) + SLACK < ports.changed_at(unit.arguments):
            return "start"
        changed = max(map(ports.changed_at, (ports.places.config, ports.places.rules)))
        if not found.get(TAKEN) or found.get(RELOADED, 0.0) + SLACK < changed:
            return "reload"
    return "none"


def _must_be_free(prometheus: Unit, node: Unit, ports: Ports) -> None:
    """A Prometheus of the host's own is left alone, and its port with it."""
    names = {UNIT: "vllm_monitoring_port", NODE_UNIT: "vllm_monitoring_node_port"}
    own = {port for unit in (prometheus, node) if unit.runs for port in _ports(unit.before)}
    for unit in (prometheus, node):
        taken = (_ports(unit.after) - own) & ports.listening()
        if taken:
            raise NotChanged(
                f"Something else listens on {listed(sorted(taken))}: set {names[unit.name]} to another port"
                f"{', or to 0 where the host has a node exporter of its own' if unit is node else ''}."
            )


def _ports(text: str) -> set[int]:
    return {int(found[1]) for found in _LISTENS.findall(text)}


def _must_be_valid(wanted: t.Mapping[str, str], ports: Ports) -> None:
    """promtool reads the new files elsewhere, before they replace those that Prometheus runs with."""
    folder = ports.places.folder
    with tempfile.TemporaryDirectory(prefix="gpufleet-monitoring-") as scratch:
        for path, text in wanted.items():
            if os.path.dirname(path) == folder:
                with open(os.path.join(scratch, os.path.basename(path)), "w", encoding="utf-8") as file:
                    file.write(text.replace(f"{folder}/", f"{scratch}/"))
        config = os.path.join(scratch, os.path.basename(ports.places.config))
        code, said = ports.run([PROMTOOL, "check", "config", config])
    if code != 0:
        raise NotChanged(f"promtool does not take the configuration: {_words(said)}")


def _words(said: str) -> str:
    lines = [" ".join(line.split()) for line in said.splitlines() if "FAILED" in line or "rror" in line]
    return " ".join(lines or said.split("\n")[-3:])[:1000]


def _bring(
    due: t.Mapping[str, bytes | None], prometheus: Unit, node: Unit, reload: bool, start: bool, ports: Ports
) -> None:
    previous = ports.files.put(due)
    try:
        if prometheus.due or start:
            _started(prometheus, ports)
        elif reload:
            _must_run(["systemctl", "reload", UNIT], UNIT, ports)
        if prometheus.due or start or reload:
            _must_have_taken(prometheus, ports)
        if node.due:
            _started(node, ports)
            _must_answer(node, ports)
        elif node.runs and not node.after:
            _must_run(["systemctl", "stop", NODE_UNIT], NODE_UNIT, ports)
            _must_run(["rm", "-f", ports.places.wanted(NODE_UNIT)], NODE_UNIT, ports)
    except NotChanged as error:
        ports.files.restore(previous)
        raise NotChanged(f"{error} {_as_before(prometheus, node, ports)}") from error


def _as_before(prometheus: Unit, node: Unit, ports: Ports) -> str:
    """The files are those before; what ran then runs again."""
    told = "The files before are back."
    for unit in (prometheus, node):
        if unit.before and unit.runs:
            code, _said = ports.run(["systemctl", "restart", unit.name])
            told = told if code == 0 else f"{told} {unit.name} does not start with them either."
        elif not unit.runs:
            ports.run(["systemctl", "stop", unit.name])
            if not unit.before:
                ports.run(["rm", "-f", ports.places.wanted(unit.name)])
    return told


def _started(unit: Unit, ports: Ports) -> None:
    """Never a daemon-reload. The link has it started at boot; systemd reads a unit that it does not know by itself."""
    link = ["ln", "-sfn", f"{ports.places.units}/{unit.name}", ports.places.wanted(unit.name)]
    for step in (link, ["systemctl", "restart", unit.name]):
        _must_run(step, unit.name, ports)


def _must_run(command: t.Sequence[str], unit: str, ports: Ports) -> None:
    code, said = ports.run(command)
    if code != 0:
        _code, log = ports.run(["journalctl", "-u", unit, "-n", "20", "-o", "cat", "--no-pager"])
        raise NotChanged(f"{' '.join(command)} failed: {_words(said)} {_words(log)}".rstrip())


def _must_have_taken(unit: Unit, ports: Ports) -> None:
    """Prometheus says itself whether it runs with what it was given, once it has read what it kept."""
    wanted = max(map(ports.changed_at, (ports.places.config, ports.places.rules))) - SLACK

    def taken(page: str) -> bool:
        found = parsed(page, (TAKEN, RELOADED))
        return found.get(TAKEN) == 1 and found.get(RELOADED, 0.0) >= wanted

    _wait(unit, ports, taken)


def _must_answer(unit: Unit, ports: Ports) -> None:
    _wait(unit, ports, lambda _page: True)


def _wait(unit: Unit, ports: Ports, right: t.Callable[[str], bool]) -> None:
    for _attempt in range(int(UP_WITHIN / EVERY)):
        with contextlib.suppress(NoAnswer):
            reply = ports.http.request("GET", f"{unit.address}/metrics", 5.0)
            if reply.status == 200 and isinstance(reply.body, str) and right(reply.body):
                return
        ports.sleep(EVERY)
    raise NotChanged(f"{unit.name} did not come up within {UP_WITHIN:g} s: journalctl -u {unit.name}.")


__all__ = ["Action", "NotChanged", "NotWritten", "Ports", "apply"]
