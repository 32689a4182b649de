# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listening TCP sockets."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker import sockets
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gpu.doubles import Tree

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def line(local: str, state: str = "0A") -> str:
    return f"   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 1 1 0 100 0 0 10 0\n"


def tcp(tree: Tree, *lines: str, version: str = "") -> str:
    return str(tree.write(f"proc/net/tcp{version}", HEAD + "".join(lines)).root)


@pytest.mark.parametrize(
    ("version", "local", "byteorder", "address", "port"),
    [
        ("", "0100007F:1F40", "little", "127.0.0.1", 8000),
        ("", "7F000001:1F40", "big", "127.0.0.1", 8000),
        ("", "00000000:0016", "little", "0.0.0.0", 22),
        ("", "0B00A8C0:2382", "little", "192.168.0.11", 9090),
        ("6", "00000000000000000000000000000000:0016", "little", "::", 22),
        ("6", "00000000000000000000000001000000:1F40", "little", "::1", 8000),
        ("6", "00000000000000000000000000000001:1F40", "big", "::1", 8000),
        ("6", "B80D01200000000067452301EFCDAB89:1F40", "little", "2001:db8::123:4567:89ab:cdef", 8000),
    ],
)
def test_one_socket(tree: Tree, version: str, local: str, byteorder: str, address: str, port: int) -> None:
    assert sockets.listening(tcp(tree, line(local), version=version), byteorder) == [{"address": address, "port": port}]


def test_only_listening_ones_each_once_by_port(tree: Tree) -> None:
    tcp(tree, line("00000000000000000000000000000000:0050"), version="6")
    root = tcp(tree, line("0100007F:1F40"), line("0100007F:1F41", "01"), line("0100007F:1F40"), line("00000000:0016"))
    assert [(each["address"], each["port"]) for each in sockets.listening(root, "little")] == [
        ("0.0.0.0", 22),
        ("::", 80),
        ("127.0.0.1", 8000),
    ]


def test_no_tables(tree: Tree) -> None:
    assert sockets.listening(str(tree.root)) == []


def test_a_real_socket_of_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address, port = server.getsockname()
        assert {"address": str(ipaddress.ip_address(address)), "port": port} in sockets.listening()
