# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a planned door makes of a host's: nothing, a change while it runs, a reload, a start, or a refusal."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._door import applying, unit
from ansible_collections.gpufleet.vllm.plugins.module_utils._door.applying import NotChanged, Ports, Wanted, apply
from ansible_collections.gpufleet.vllm.plugins.module_utils._door.runtime import DoorError, Kept, Runtime
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.files import Files

CONFIG, KEYS = "/etc/gpufleet/gateway/haproxy.cfg", "/etc/gpufleet/gateway/keys.map"
# A map that the configuration does not name, of which HAProxy knows nothing.
UNNAMED = "/etc/gpufleet/gateway/engines.map"
TEXT = """frontend door
    bind 127.0.0.1:8080
    http-request set-var(txn.key) http_auth_bearer,sha2(256),hex,map_str(/etc/gpufleet/gateway/keys.map)

backend model-a
    balance leastconn
    server gpu-1:a 127.0.0.1:8000 check inter 30s
    server gpu-2:a 10.0.0.2:8000 check inter 30s
    server waiting-room unix@/run/x.sock backup

listen model-a.waits
    server gpu-1:a 127.0.0.1:8000 track model-a/gpu-1:a
    server gpu-2:a 10.0.0.2:8000 track model-a/gpu-2:a
"""


class FakeRuntime(Runtime):
    """HAProxy as it was started with a configuration."""

    def __init__(self, text: str) -> None:
        super().__init__("/nowhere")
        self.kept = [
            Kept(one.backend, one.name, one.address, one.port, True, 1 if one.off else 0)
            for one in applying.servers(text)
        ]
        self.held: dict[str, dict[str, str]] = {KEYS: {"A": "web"}}
        self.told: list[tuple[str, ...]] = []
        self.dead = False

    def servers(self) -> list[Kept]:
        if self.dead:
            raise DoorError("nobody there")
        return self.kept

    def entries(self, path: str) -> dict[str, str]:
        return dict(self.held[path])

    def do(self, *words: str) -> None:
        self.told.append(words)


class Host:
    """A host with a door that runs, unless a test says otherwise."""

    def __init__(self, root: pathlib.Path, text: str = TEXT) -> None:
        self.root, self.runs, self.fails, self.version = root, True, "", "HAProxy version 2.6.12-1 2026/10/17"
        self.commands: list[str] = []
        self.busy: set[int] = {8080}
        self.files = Files(str(root))
        self.runtime = FakeRuntime(text)
        if text:
            self.files.put({CONFIG: text.encode(), KEYS: b"A web\n", unit.UNIT_FILE: b"unit\n"})

    def run(self, command: t.Sequence[str]) -> tuple[int, str]:
        line = " ".join(command)
        self.commands.append(line)
        if line == "haproxy -v":
            return 0, self.version
        if "is-active" in line:
            return (0 if self.runs else 3), ""
        return (1, "[ALERT] that is wrong") if self.fails and self.fails in line else (0, "")

    def apply(self, text: str = TEXT, keys: str = "A web\n", check: bool = False) -> str:
        wanted = Wanted(
            CONFIG,
            {KEYS: keys.encode(), unit.UNIT_FILE: b"unit\n", CONFIG: text.encode()},
            {KEYS: dict(line.split() for line in keys.splitlines()), UNNAMED: {}},
        )
        ports = Ports(self.files, self.run, self.runtime, lambda: self.busy, lambda _seconds: None)
        return apply(wanted, ports, check)

    def begun(self) -> list[str]:
        return [line for line in self.commands if line.startswith(("systemctl re", "systemctl start"))]


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    return Host(tmp_path)


def test_a_door_as_planned_is_left_alone(host: Host) -> None:
    assert host.apply() == "none"
    assert (host.begun(), host.runtime.told) == ([], [])


def test_a_key_changes_while_it_runs_and_the_new_one_comes_first(host: Host) -> None:
    assert host.apply(keys="B web\n") == "live"
    assert host.begun() == []
    assert host.runtime.told == [("add", "map", KEYS, "B", "web"), ("del", "map", KEYS, "A")]
    assert (host.files.read(KEYS), host.files.mode(KEYS)) == (b"B web\n", 0o400)


def test_an_address_and_a_server_left_out_change_while_it_runs(host: Host) -> None:
    text = TEXT.replace("10.0.0.2:8000", "10.0.0.3:9000").replace(
        "server gpu-1:a 127.0.0.1:8000 check inter 30s", "server gpu-1:a 127.0.0.1:8000 check inter 30s disabled"
    )
    assert host.apply(text) == "live"
    assert host.begun() == []
    assert host.runtime.told == [
        ("set", "server", "model-a/gpu-1:a", "state", "maint"),
        ("set", "server", "model-a/gpu-2:a", "addr", "10.0.0.3", "port", "9000"),
        ("set", "server", "model-a.waits/gpu-2:a", "addr", "10.0.0.3", "port", "9000"),
    ]


def test_another_server_is_a_reload_which_keeps_what_was_asked_at_the_socket(host: Host) -> None:
    drained = host.runtime.kept[0]._replace(admin=8)
    host.runtime.kept[0] = drained
    ports_seen: list[str] = []

    def run(command: t.Sequence[str]) -> tuple[int, str]:
        if "reload" in command:
            host.runtime.kept[0] = drained._replace(admin=0)
        ports_seen.append(" ".join(command))
        return Host.run(host, command)

    host.run = run  # type: ignore[method-assign]
    assert host.apply(TEXT + "    server gpu-3:a 10.0.0.4:8000 track model-a/gpu-3:a\n") == "reload"
    assert f"systemctl reload {unit.UNIT}" in ports_seen
    assert not any("daemon-reload" in line for line in ports_seen)
    assert host.runtime.told == [("set", "server", "model-a/gpu-1:a", "state", "drain")]


def test_what_the_inventory_had_left_out_is_back_after_a_reload(tmp_path: pathlib.Path) -> None:
    before = TEXT.replace("8000 check inter 30s", "8000 check inter 30s disabled")
    host = Host(tmp_path, before)
    host.runtime.kept = [one._replace(admin=1) for one in host.runtime.kept]
    assert host.apply(TEXT.replace("leastconn", "roundrobin")) == "reload"
    assert host.runtime.told == []


def test_check_mode_touches_nothing(host: Host) -> None:
    for text, action in ((TEXT, "live"), (TEXT.replace("leastconn", "roundrobin"), "reload")):
        assert host.apply(text, keys="B web\n", check=True) == action
    assert (host.begun(), host.runtime.told, host.files.read(KEYS)) == ([], [], b"A web\n")


def test_what_haproxy_does_not_take_replaces_nothing(host: Host) -> None:
    host.fails = "haproxy -c"
    with pytest.raises(NotChanged, match=r"does not take the configuration: \[ALERT\] that is wrong"):
        host.apply(TEXT.replace("leastconn", "nonsense"))
    assert host.files.read(CONFIG) == TEXT.encode()
    assert host.begun() == []


def test_what_does_not_start_gives_way_to_the_door_before(host: Host) -> None:
    host.fails = "systemctl reload"
    with pytest.raises(NotChanged, match=r"The door before is back\.$"):
        host.apply(TEXT.replace("leastconn", "roundrobin"))
    assert host.files.read(CONFIG) == TEXT.encode()
    assert host.begun()[-1] == f"systemctl restart {unit.UNIT}"


def test_a_first_door_that_does_not_come_up_leaves_nothing(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, "")
    host.runs, host.busy, host.runtime.dead = False, set(), True
    with pytest.raises(NotChanged, match="There is no door yet"):
        host.apply()
    assert host.files.read(CONFIG) is None


def test_a_port_that_somebody_else_has_is_refused_before_anything_is_written(host: Host) -> None:
    host.busy = {8080, 9999}
    with pytest.raises(NotChanged, match="Something else listens on 9999"):
        host.apply(TEXT.replace(":8080", ":9999"))
    host.runs = False
    with pytest.raises(NotChanged, match="Something else listens on 8080"):
        host.apply()
    assert host.files.read(CONFIG) == TEXT.encode()


@pytest.mark.parametrize(
    ("version", "told"), [("HAProxy version 2.4.22", "needs 2.6 or newer"), ("sh: no", "does not say its version")]
)
def test_an_haproxy_that_is_too_old_is_refused(host: Host, version: str, told: str) -> None:
    host.version = version
    with pytest.raises(NotChanged, match=told):
        host.apply()
