# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A door with a certificate: served for real, and renewed while it is asked."""

from __future__ import annotations

import concurrent.futures
import pathlib
import ssl
import tempfile
import threading
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._door import certificate
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._door.pairs import made, needs_openssl
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gateway.doors import (
    Door,
    Engine,
    endpoint,
    needs_haproxy,
    until,
)

pytestmark = [needs_haproxy, needs_openssl]


@pytest.fixture
def elsewhere() -> t.Iterator[pathlib.Path]:
    """The door's unit sees nothing below /tmp, and so no certificate may be there."""
    with tempfile.TemporaryDirectory(prefix="gpufleet-", dir="/dev/shm") as folder:
        yield pathlib.Path(folder)


def served(door: Door) -> str:
    return ssl.get_server_certificate(("127.0.0.1", door.port))


def told(door: Door, file: pathlib.Path) -> str:
    return door.runtime.ask("show", "ssl", "cert", str(file))


def test_a_certificate_is_served_and_renewed_without_a_request_lost(
    tmp_path: pathlib.Path, elsewhere: pathlib.Path
) -> None:
    (first, key), (second, other) = made(tmp_path, "first"), made(tmp_path, "second")
    file = elsewhere / "door.pem"
    file.write_text(first + key)
    engine = Engine("one")
    door = Door(tmp_path, [endpoint(engine)], certificate=str(file))
    ended = threading.Event()

    def steady() -> list[int]:
        found = []
        while not ended.is_set():
            found.append(door.chat()[0])
        return found

    try:
        assert served(door).strip() == first.strip()
        assert certificate.is_served(str(file), told(door, file))
        with concurrent.futures.ThreadPoolExecutor() as pool:
            try:
                asking = pool.submit(steady)
                until(lambda: len(engine.asked) > 3)
                file.write_text(second + other)
                assert not certificate.is_served(str(file), told(door, file))
                door.reload()
                until(lambda: served(door).strip() == second.strip())
                before = len(engine.asked)
                until(lambda: len(engine.asked) > before + 3)
            finally:
                ended.set()
            assert set(asking.result()) == {200}
        assert certificate.is_served(str(file), told(door, file))
    finally:
        door.stop()
        engine.stop()
