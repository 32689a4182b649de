# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The outside world as it is here: the tests of transactions script it, and these ask the kernel."""

from __future__ import annotations

import os
import pathlib
import re
import socket

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout import host


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("127.0.0.1", True),
        ("0.0.0.0", True),
        ("192.0.2.1", False),  # addresses of documents, which no host has
        ("2001:db8::1", False),
        ("localhost.invalid", False),
        ("300.1.1.1", False),
    ],
)
def test_which_addresses_are_the_hosts(address: str, here: bool) -> None:
    assert host.binds(address) is here


def test_a_port_that_something_listens_on_is_seen_and_one_that_is_only_bound_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        seen = host.listening_ports()
        assert busy.getsockname()[1] in seen
        assert bound.getsockname()[1] not in seen


def test_free_room_is_what_root_can_write(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of the size that the filesystem counts in, those that are kept for root among them."""
    sizes = {"f_bsize": 65536, "f_frsize": 4096, "f_blocks": 10**6, "f_bfree": 2560, "f_bavail": 256}
    monkeypatch.setattr(os, "statvfs", lambda _path: type("Found", (), sizes))
    assert host.free_mib("/") == 10
    monkeypatch.undo()
    with pytest.raises(OSError, match="No such file"):
        host.free_mib(str(tmp_path / "nowhere"))


def test_the_clock_sleeps_and_prints_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = host.Clock()
    before = clock.monotonic()
    clock.sleep(0.01)
    assert clock.monotonic() - before >= 0.01
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", clock.utc())
