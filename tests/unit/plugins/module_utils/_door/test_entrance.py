# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A port that is closed to what comes from elsewhere: the words that iptables gets, and a kernel that keeps them."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._door import entrance
from ansible_collections.gpufleet.vllm.plugins.module_utils._door.entrance import Entrance


class Tables:
    """iptables that keeps rules by chain; REFUSES words in a rule."""

    def __init__(self, *refuses: str) -> None:
        self.refuses = refuses
        self.rules: dict[tuple[str, str], list[str]] = {}

    def run(self, command: t.Sequence[str]) -> tuple[int, str]:
        tool, _wait, _seconds, verb, chain, *words = command
        kept = self.rules.setdefault(
            (tool, chain), [f"-P {chain} ACCEPT", f'-A {chain} -m comment --comment "a \'b" -j X']
        )
        if verb == "-S":
            return 0, "\n".join(kept)
        if verb == "-D":
            kept.remove(f"-A {chain} {shlex.join(words)}")
            return 0, ""
        if any(word in self.refuses for word in words):
            return 2, f"no {self.refuses[0]}"
        kept.append(f"-A {chain} {shlex.join(words[1:])}")
        return 0, ""

    def ours(self) -> list[str]:
        return [
            f"{tool} {rule}" for (tool, _chain), rules in self.rules.items() for rule in rules if "gpufleet" in rule
        ]


def test_both_chains_refuse_new_connections_to_the_port_until_it_is_opened() -> None:
    tables = Tables()
    one = Entrance(tables.run, lambda: 0.0)
    assert one.close("a", "0.0.0.0", 8000) == ""
    rule = (
        "! -i lo -p tcp -m conntrack --ctstate NEW --ctorigdstport 8000 -m time --datestop 1970-01-01T02:00:00 "
        "-m comment --comment 'gpufleet drains a' -j REJECT --reject-with tcp-reset"
    )
    quoted = rule.replace("! -i", "'!' -i")
    assert tables.ours() == [f"iptables -A INPUT {quoted}", f"iptables -A FORWARD {quoted}"]
    assert one.close("a", "0.0.0.0", 8000) == "" and len(tables.ours()) == 2, "never twice"
    assert one.close("b", "::", 8001) == ""
    assert [line.split()[0] for line in tables.ours()] == ["iptables"] * 2 + ["ip6tables"] * 2
    assert one.open("a") == ""
    assert len(tables.ours()) == 2, "that of another instance stays"
    assert one.open("b") == ""
    assert tables.ours() == []


def test_a_kernel_without_times_has_the_rule_without_an_end() -> None:
    tables = Tables("time")
    assert Entrance(tables.run).close("a", "10.0.0.1", 8000) == ""
    assert len(tables.ours()) == 2 and "datestop" not in "".join(tables.ours())


def test_what_cannot_be_closed_is_told_and_nothing_is_left_half_closed() -> None:
    tables = Tables("REJECT")
    assert Entrance(tables.run).close("a", "0.0.0.0", 8000) == "no REJECT"
    half = Tables()

    def only_input(command: t.Sequence[str]) -> tuple[int, str]:
        return (3, "no chain") if command[3] == "-I" and command[4] == "FORWARD" else half.run(command)

    assert Entrance(only_input).close("a", "0.0.0.0", 8000) == "no chain"
    assert half.ours() == []


def test_a_host_without_iptables_is_told_of() -> None:
    def missing(command: t.Sequence[str]) -> tuple[int, str]:
        return entrance.run([f"/nowhere/{command[0]}"])

    assert Entrance(missing).close("a", "0.0.0.0", 8000) == "/nowhere/iptables is not there"
    assert Entrance(missing).open("a") == ""


needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(tool) for tool in ("iptables", "ip", "unshare")),
    reason="it takes root, iptables and iproute2",
)
# A host in a network of its own, its neighbour behind a pair of interfaces, and what the neighbour sees of a server.
SCRIPT = """
set -e
ip link set lo up
ip link add here type veth peer name there
ip netns add "$NAME"
ip link set there netns "$NAME"
ip addr add 10.9.8.1/24 dev here
ip link set here up
ip netns exec "$NAME" ip addr add 10.9.8.2/24 dev there
ip netns exec "$NAME" ip link set there up
exec "$PYTHON" "$PROBE"
"""
PROBE = """
import os, socket, subprocess, sys
from entrance import Entrance
server = socket.create_server(("0.0.0.0", 8000), backlog=16)
program = '''
import socket, sys
try:
    socket.create_connection(("10.9.8.1", int(sys.argv[1])), 5).close()
    print("in")
except ConnectionRefusedError:
    print("refused")
'''
def neighbour(port=8000):
    command = ["ip", "netns", "exec", os.environ["NAME"], sys.executable, "-c", program, str(port)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
other = socket.create_server(("0.0.0.0", 8001), backlog=16)
one = Entrance()
print(neighbour())
print(one.close("a", "0.0.0.0", 8000) or "closed")
print(neighbour(), neighbour(8001))
socket.create_connection(("127.0.0.1", 8000), 5).close()
print(one.open("a") or "open")
print(neighbour())
one.now = lambda: 0.0
print(one.close("a", "0.0.0.0", 8000) or "closed long ago")
print(neighbour())
"""


@needs_root
def test_a_neighbour_is_refused_and_the_host_itself_is_not(tmp_path: pathlib.Path) -> None:
    probe = tmp_path / "probe.py"
    probe.write_text(PROBE)
    name = f"gpufleet-{os.getpid()}"
    environment = {
        **os.environ,
        "NAME": name,
        "PROBE": str(probe),
        "PYTHON": sys.executable,
        "PYTHONPATH": os.path.dirname(entrance.__file__),
    }
    try:
        done = subprocess.run(
            ["unshare", "--net", "sh", "-c", SCRIPT],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        with contextlib.suppress(OSError):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
    if "Operation not permitted" in done.stderr:
        pytest.skip("no network of one's own may be made here")
    assert done.stdout.splitlines() == [
        "in", "closed", "refused in", "open", "in", "closed long ago", "in",
    ], done.stderr  # fmt: skip
