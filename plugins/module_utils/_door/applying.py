# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a host's door what was planned: what can change while it runs is changed so, a reload is the last resort.

HAProxy has to take the new files before they are put in place. Where it does not come up with them, those before are
back, and it runs with them again.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import os
import re
import tempfile
import time
import typing as t

from .._prepare.files import Files, NotWritten
from .._settings.names import listed
from . import certificate
from .runtime import DoorError, Runtime
from .unit import UNIT, UNIT_FILE, WANTED

OLDEST = (2, 6)
_VERSION = re.compile(r"version ([0-9]+)\.([0-9]+)")
# `server NAME ADDRESS:PORT ...`, with `disabled` at its end where it is kept in maintenance.
_SERVER = re.compile(
    r"^    server (?P<name>\S+:\S+) (?P<address>\S+):(?P<port>[0-9]+)(?P<rest> .*?)(?P<off> disabled)?$"
)
_BIND = re.compile(r"^    bind \S+:([0-9]+)", re.MULTILINE)
_SECTION = re.compile(r"^(?:backend|listen) (\S+)$")
UP_WITHIN = 15.0

Run = t.Callable[[t.Sequence[str]], "tuple[int, str]"]
Action = t.Literal["none", "live", "reload", "start"]


class NotChanged(Exception):
    """The door could not be changed; the text says why and what to do. It is as it was before."""


class Line(t.NamedTuple):
    """A server of a configuration."""

    backend: str
    name: str
    address: str
    port: int
    off: bool


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Files by path, the configuration among them, and maps by path with their entries."""

    config: str
    files: t.Mapping[str, bytes]
    maps: t.Mapping[str, t.Mapping[str, str]]

    @property
    def held(self) -> dict[str, t.Mapping[str, str]]:
        """The maps that HAProxy has: one that its configuration does not name, as without any key, it does not know."""
        text = self.files[self.config].decode()
        return {path: entries for path, entries in self.maps.items() if path in text}


@dataclasses.dataclass
class Ports:
    files: Files
    run: Run
    runtime: Runtime
    listening: t.Callable[[], set[int]]
    sleep: t.Callable[[float], None] = time.sleep


def servers(text: str) -> list[Line]:
    """The servers of instances, of every backend."""
    found, section = [], ""
    for line in text.splitlines():
        head = _SECTION.match(line)
        section = head[1] if head else section
        one = _SERVER.match(line)
        if one:
            address = one["address"].strip("[]")
            found.append(Line(section, one["name"], address, int(one["port"]), bool(one["off"])))
    return found


def shape(text: str) -> str:
    """The configuration without what changes while it runs: addresses of servers, and which are in maintenance."""
    return "\n".join(_SERVER.sub(r"    server \g<name> *\g<rest>", line) for line in text.splitlines())


def apply(wanted: Wanted, ports: Ports, check: bool) -> Action:
    """What was done, or in check mode would be. Raises NotChanged and NotWritten, with nothing changed."""
    _must_be_new_enough(ports)
    due = ports.files.differing(wanted.files)
    before = (ports.files.read(wanted.config) or b"").decode("utf-8", "replace")
    after = wanted.files[wanted.config].decode()
    action: Action = "none"
    runs = ports.run(["systemctl", "is-active", "--quiet", UNIT])[0] == 0
    at = certificate.path_in(after)
    renewed = bool(at) and not (runs and _is_served(at, ports))
    if renewed:
        _must_serve(at)
    if not runs:
        action = "start"
    elif shape(before) != shape(after) or renewed:
        action = "reload"
    elif due or (not check and _stale(wanted, ports)):
        action = "live"
    taken = (_bound(after) - (_bound(before) if runs else set())) & ports.listening()
    if taken:
        numbers = listed(sorted(taken))
        raise NotChanged(f"Something else listens on {numbers}: set vllm_gateway_port or vllm_gateway_metrics_port.")
    if action != "none" and not check:
        _must_be_valid(wanted, ports)
        _bring(wanted, ports, action, before)
    return action


def _bound(text: str) -> set[int]:
    return {int(port) for port in _BIND.findall(text)}


def _must_be_new_enough(ports: Ports) -> None:
    _code, said = ports.run(["haproxy", "-v"])
    found = _VERSION.search(said)
    if found is None:
        raise NotChanged("haproxy does not say its version: install the distribution's haproxy, 2.6 or newer.")
    if (int(found[1]), int(found[2])) < OLDEST:
        raise NotChanged(
            f"haproxy is {found[1]}.{found[2]}, and the door needs 2.6 or newer: Debian 12 and 13 have it."
        )


def _must_serve(path: str) -> None:
    """One that is served already is not judged again: that it has expired must not hold up a change of keys."""
    try:
        certificate.must_serve(path)
    except certificate.Unusable as error:
        right = "put a PEM file with a valid certificate, those that signed it, and its private key there"
        raise NotChanged(f"vllm_gateway_certificate is {path}, and {error}: {right}.") from error


def _is_served(path: str, ports: Ports) -> bool:
    """Whether what HAProxy serves is what is at the path by now; one that does not say is left alone."""
    try:
        return certificate.is_served(path, ports.runtime.ask("show", "ssl", "cert", path))
    except DoorError:
        return True
    except certificate.Unusable:
        return False


def _stale(wanted: Wanted, ports: Ports) -> bool:
    """Whether what runs is not what the files say, as after a run that was cut off."""
    try:
        return any(ports.runtime.entries(path) != dict(entries) for path, entries in wanted.held.items())
    except DoorError:
        return True


def _must_be_valid(wanted: Wanted, ports: Ports) -> None:
    """HAProxy reads the new files elsewhere, before they replace those that it runs with."""
    folder = os.path.dirname(wanted.config)
    with tempfile.TemporaryDirectory(prefix="gpufleet-gateway-") as scratch:
        for path, content in wanted.files.items():
            if os.path.dirname(path) == folder:
                with open(os.path.join(scratch, os.path.basename(path)), "wb") as file:
                    file.write(content.replace(f"{folder}/".encode(), f"{scratch}/".encode()))
        code, said = ports.run(["haproxy", "-c", "-f", os.path.join(scratch, os.path.basename(wanted.config))])
    if code != 0:
        raise NotChanged(f"HAProxy does not take the configuration: {_words(said)}")


def _bring(wanted: Wanted, ports: Ports, action: Action, before: str) -> None:
    asked = _asked(ports, before)
    # Engines' keys are among them in clear: root reads them before HAProxy becomes its user.
    modes = {path: 0o400 for path in wanted.files if path.endswith(".map")}
    previous = ports.files.put(wanted.files, modes=modes)
    try:
        if action == "live":
            _live(wanted, ports, before)
        else:
            _restart(ports, action)
            _put_back(asked, ports)
    except (NotChanged, DoorError) as error:
        ports.files.restore(previous)
        raise NotChanged(f"{error} {_as_before(ports, action, bool(before))}") from error


def _as_before(ports: Ports, action: Action, had_one: bool) -> str:
    if action == "live":
        return "The files before are back."
    if not had_one:
        return "There is no door yet."
    try:
        _restart(ports, "start")
    except NotChanged as error:
        return f"The files before are back, and the door does not come up with them either: {error}"
    return "The door before is back."


def _words(said: str) -> str:
    """What of HAProxy's words tells what is wrong."""
    lines = [" ".join(line.split()) for line in said.splitlines() if "[ALERT]" in line] or said.split("\n")[-3:]
    return " ".join(lines)[:1000]


def _live(wanted: Wanted, ports: Ports, before: str) -> None:
    """Without a reload: maps, addresses, and servers that are taken out or back."""
    for path, entries in wanted.held.items():
        ports.runtime.bring(path, entries)
    was = {(line.backend, line.name): line for line in servers(before)}
    runs = {(one.backend, one.server): one for one in ports.runtime.servers()}
    for line in servers(wanted.files[wanted.config].decode()):
        one = runs.get((line.backend, line.name))
        if one is None:
            raise NotChanged(f"HAProxy has no server {line.name}: systemctl restart {UNIT}.")
        if (one.address, one.port) != (line.address, line.port):
            ports.runtime.set_address(line.backend, line.name, line.address, line.port)
        if line.off != was.get((line.backend, line.name), line).off:
            ports.runtime.set_state(line.backend, line.name, "maint" if line.off else "ready")


def _asked(ports: Ports, before: str) -> dict[tuple[str, str], str]:
    """What was asked of servers at the socket: a rollout's drain, or an operator's maintenance, outlasts a reload."""
    stated = {(line.backend, line.name) for line in servers(before) if line.off}
    try:
        found = ports.runtime.servers()
    except DoorError:
        return {}
    asked = {(one.backend, one.server): one.state for one in found if one.state != "ready"}
    return {server: state for server, state in asked.items() if server not in stated}


def _put_back(asked: t.Mapping[tuple[str, str], str], ports: Ports) -> None:
    for one in ports.runtime.servers():
        state = asked.get((one.backend, one.server))
        if state is not None and one.state == "ready" and not one.backend.endswith(".waits"):
            ports.runtime.set_state(one.backend, one.server, state)


def _restart(ports: Ports, action: Action) -> None:
    """Never a daemon-reload, which takes the GPUs from containers that run under NVIDIA's legacy hook.

    The link has the unit started at boot, and systemd reads a unit that it does not know yet by itself.
    """
    begun = ["systemctl", "reload", UNIT] if action == "reload" else ["systemctl", "restart", UNIT]
    for step in (["ln", "-sfn", UNIT_FILE, WANTED], begun):
        code, said = ports.run(step)
        if code != 0:
            _code, log = ports.run(["journalctl", "-u", UNIT, "-n", "20", "-o", "cat", "--no-pager"])
            raise NotChanged(f"{' '.join(step)} failed: {_words(said)} {_words(log)}")
    for _attempt in range(int(UP_WITHIN / 0.5)):
        try:
            ports.runtime.servers()
            return
        except DoorError:
            ports.sleep(0.5)
    raise NotChanged(f"The door did not come up within {UP_WITHIN:g} s: journalctl -u {UNIT}.")


__all__ = ["Action", "NotChanged", "NotWritten", "Ports", "Wanted", "apply", "servers", "shape"]
