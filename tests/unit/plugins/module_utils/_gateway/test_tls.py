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
import time
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._door import ages, certificate
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._door.pairs import made, needs_openssl
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gateway.doors import (
    Door,
    Engine,
    endpoint,
    needs_haproxy,
    until,
)

pytestmark = [needs_haproxy, needs_openssl]
HOUR, DAY = 3600, 86_400


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


@pytest.mark.parametrize("days", [10, -1])
def test_the_end_of_what_is_served_is_known_until_another_one_is(
    tmp_path: pathlib.Path, elsewhere: pathlib.Path, days: int
) -> None:
    """A new file is not served before the reload. HAProxy takes one that has expired."""
    file = elsewhere / "door.pem"
    file.write_text("".join(made(tmp_path, "first", days)))
    engine = Engine("one")
    door = Door(tmp_path, [endpoint(engine)], certificate=str(file))
    try:
        file.write_text("".join(made(tmp_path, "second", 90)))
        found = ages.served(door.places, door.runtime)
        assert found is not None and found.path == str(file)
        assert found.ends - time.time() == pytest.approx(days * DAY, abs=HOUR)
        door.reload()
        until(lambda: (ages.served(door.places, door.runtime) or found).ends > time.time() + 89 * DAY)
    finally:
        door.stop()
        engine.stop()
