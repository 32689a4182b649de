# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A port that is closed to what comes from elsewhere, in a kernel: what a neighbour sees of it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._door import entrance

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(tool) for tool in ("iptables", "ip", "unshare")),
    reason="it takes root, iptables and iproute2",
)
# A host in a network of its own, with a neighbour behind a pair of interfaces.
HOST = """
set -e
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
pair() {
  ip netns add "$NAME-$1"
  ip link add name "to-$1" type veth peer name inner
  ip link set inner netns "$NAME-$1"
  ip addr add "$2.1/24" dev "to-$1"
  ip link set "to-$1" up
  ip netns exec "$NAME-$1" ip addr add "$2.2/24" dev inner
  ip netns exec "$NAME-$1" ip link set inner up
  ip netns exec "$NAME-$1" ip route add default via "$2.1"
}
pair neighbour 10.9.8
"""
START = """
exec "$PYTHON" "$PROBE"
"""
# It turns its port 8000 to a container's, as Docker does, and its port 8001 is a server of its own. The neighbour has a
# server as well.
TURNS = """
pair container 10.9.7
turned="-p tcp --dport 8000 -j DNAT --to-destination 10.9.7.2:8000"
iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL $turned
iptables -t nat -A OUTPUT -m addrtype --dst-type LOCAL ! -d 127.0.0.0/8 $turned
"""
PROBE = """
import os, socket, subprocess, sys
from entrance import Entrance
server = "import socket, time; s = socket.create_server(('', 8000)); print(flush=True); time.sleep(60)"
asks = '''
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 5).close()
    print("in")
except ConnectionRefusedError:
    print("refused")
'''
def within(name, *words):
    there = ["ip", "netns", "exec", f"{os.environ['NAME']}-{name}"] if name else []
    return [*there, sys.executable, "-c", *words]
def ask(name, *where):
    return subprocess.run(within(name, asks, *where), capture_output=True, text=True, check=True).stdout.strip()
def look(said):
    print(
        said,
        ask("neighbour", "10.9.8.1", "8000"),
        ask("neighbour", "10.9.8.1", "8001"),
        ask("", "10.9.8.1", "8000"),
        ask("", "10.9.8.1", "8001"),
        ask("container", "10.9.8.2", "8000"),
    )
servers = [subprocess.Popen(within(name, server), stdout=subprocess.PIPE) for name in ("neighbour", "container")]
try:
    for one in servers:
        one.stdout.readline()
    own = socket.create_server(("0.0.0.0", 8001), backlog=16)
    entrance = Entrance()
    look("before")
    look(entrance.close("a", "0.0.0.0", 8000) or "closed")
    look(entrance.close("a", "10.9.8.1", 8001) or "its own closed")
    look(entrance.close("a", "10.9.7.1", 8000) or "another address closed")
    look(entrance.open("a") or "open")
    entrance.now = lambda: 0.0
    look(entrance.close("a", "0.0.0.0", 8000) or "closed long ago")
finally:
    for one in servers:
        one.kill()
"""


# A connection that was there before anything of the host tracked connections.
STAYS = """
import os, socket, subprocess, sys
from entrance import Entrance
server = socket.create_server(("0.0.0.0", 8000))
asks = '''
import socket
with socket.create_connection(("10.9.8.1", 8000), 60) as there:
    print("in", flush=True)
    input()
    there.sendall(b"more")
    print(there.recv(9).decode())
'''
command = ["ip", "netns", "exec", f"{os.environ['NAME']}-neighbour", sys.executable, "-c", asks]
neighbour = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
there, _address = server.accept()
there.settimeout(60)
print(neighbour.stdout.readline().strip(), Entrance().close("a", "0.0.0.0", 8000) or "closed", flush=True)
neighbour.stdin.write("go on\\n")
neighbour.stdin.flush()
print(there.recv(9).decode(), flush=True)
there.sendall(b"answered")
print(neighbour.communicate(timeout=60)[0].strip())
"""


def seen(tmp_path: pathlib.Path, script: str, program: str) -> tuple[list[str], str]:
    """What a program on such a host printed, and its complaints."""
    probe = tmp_path / "probe.py"
    probe.write_text(program)
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
            ["unshare", "--net", "sh", "-c", HOST + script + START],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        for other in ("neighbour", "container"):
            with contextlib.suppress(OSError):
                subprocess.run(["ip", "netns", "delete", f"{name}-{other}"], capture_output=True, check=False)
    if any(words in done.stderr for words in ("Operation not permitted", "Read-only file system")):
        pytest.skip("no network of one's own may be made here")
    return done.stdout.splitlines(), done.stderr


@needs_root
def test_a_neighbour_is_refused_and_the_host_itself_is_not(tmp_path: pathlib.Path) -> None:
    lines, amiss = seen(tmp_path, TURNS, PROBE)
    # The neighbour to the container and to the host, the host to both, and the container to the neighbour.
    assert lines == [
        "before in in in in in",
        "closed refused in in in in",
        "its own closed in refused in in in",
        "another address closed in in in in in",
        "open in in in in in",
        "closed long ago in in in in in",
    ], amiss


@needs_root
def test_a_connection_that_is_there_stays_where_nothing_tracked_it(tmp_path: pathlib.Path) -> None:
    lines, amiss = seen(tmp_path, "", STAYS)
    assert lines == ["in closed", "more", "answered"], amiss
