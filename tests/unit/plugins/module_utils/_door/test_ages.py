# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Since when the door has a key, whatever else is changed, and what its certificate says."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._door import ages, certificate
from ansible_collections.gpufleet.vllm.plugins.module_utils._door.places import Places, file_of_map
from ansible_collections.gpufleet.vllm.plugins.module_utils._door.runtime import DoorError

TOLD = """Filename: /etc/ssl/private/models.pem
Status: Used
Serial: 2A
notBefore: Nov 17 08:00:00 2026 GMT
notAfter: Dec  7 08:00:00 2026 GMT
Algorithm: EC256
"""


class Runtime:
    def __init__(self, said: str) -> None:
        self.said = said
        self.asked: list[tuple[str, ...]] = []

    def ask(self, *words: str) -> str:
        self.asked.append(words)
        if not self.said:
            raise DoorError("it is not there")
        return self.said


def places(folder: pathlib.Path, **maps: dict[str, str]) -> Places:
    at = Places(str(folder), str(folder), "")
    for name, entries in maps.items():
        pathlib.Path(at.map(name)).write_text(file_of_map(entries))
    return at


def test_a_key_that_is_there_keeps_its_time_and_a_new_one_gets_now() -> None:
    first = ages.since("", ["AA", "BB"], 1000.9)
    assert first == {"AA": "1000", "BB": "1000"}
    assert ages.since(file_of_map(first), ["BB", "CC"], 2000) == {"BB": "1000", "CC": "2000"}


@pytest.mark.parametrize("before", ["AA", "AA soon", "AA -5", "AA 1 2", "\0", "AA \u0661", f"AA {'9' * 400}"])
def test_a_time_that_is_none_is_now(before: str) -> None:
    assert ages.since(before, ["AA"], 7) == {"AA": "7"}


def test_a_key_that_came_in_the_future_came_just_now() -> None:
    """A clock that ran ahead would keep a key young for as long. One that is set back a little changes nothing."""
    assert ages.since("AA 2000000", ["AA"], 1_000_000) == {"AA": "1000000"}
    assert ages.since("AA 1000060", ["AA"], 1_000_000) == {"AA": "1000060"}


def test_a_client_is_as_old_as_the_oldest_of_its_keys(tmp_path: pathlib.Path) -> None:
    at = places(
        tmp_path,
        keys={"AA": "web", "BB": "web", "CC": "batch", "DD": "new"},
        since={"AA": "2000", "BB": "1000", "CC": "1500"},
    )
    assert ages.clients(at) == {"web": 1000.0, "batch": 1500.0}


def test_a_time_that_is_none_is_not_told(tmp_path: pathlib.Path) -> None:
    at = places(tmp_path, keys={"AA": "web", "BB": "batch"}, since={"AA": "9" * 400, "BB": "\u0661"})
    assert ages.clients(at) == {}


def test_a_host_without_a_door_has_nothing(tmp_path: pathlib.Path) -> None:
    runtime = Runtime(TOLD)
    assert ages.clients(places(tmp_path)) == {}
    assert ages.served(places(tmp_path), t.cast("t.Any", runtime)) is None
    assert runtime.asked == []


@pytest.mark.parametrize(("said", "ends"), [(TOLD, 1796630400.0), ("", None), ("Can't display it", None)])
def test_what_is_served_is_what_haproxy_says(tmp_path: pathlib.Path, said: str, ends: float | None) -> None:
    at = places(tmp_path)
    pathlib.Path(at.config).write_text(
        "frontend door\n    bind 0.0.0.0:443 ssl crt /etc/ssl/private/models.pem alpn h2\n"
    )
    runtime = Runtime(said)
    found = ages.served(at, t.cast("t.Any", runtime))
    assert found == (None if ends is None else ages.Certificate("/etc/ssl/private/models.pem", ends))
    assert runtime.asked == [("show", "ssl", "cert", "/etc/ssl/private/models.pem")]


@pytest.mark.parametrize("said", ["notAfter: soon", "notAfter: ", "notAfter: Dec 47 08:00:00 2026 GMT"])
def test_an_end_that_is_no_time_is_not_known(said: str) -> None:
    assert certificate.ends(said) is None
