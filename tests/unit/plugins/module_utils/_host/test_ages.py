# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says of its keys and of its door's certificate, to node exporter and to `status`."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._door.places import Places, file_of_map
from ansible_collections.gpufleet.vllm.plugins.module_utils._host import ages, textfile
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.api_keys import ApiKeys
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import State
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import NAME, entry

NOW = 1_795_700_000.0
DAY = 86_400


class Runtime:
    """An HAProxy that serves a certificate that ends then."""

    def __init__(self, ends: str) -> None:
        self.ends = ends

    def ask(self, *_words: str) -> str:
        return f"Status: Used\nnotAfter: {self.ends}\n"


def door(folder: pathlib.Path, key_days: int, ends: str) -> ages.Door:
    at = Places(str(folder), str(folder), "")
    pathlib.Path(at.map("keys")).write_text(file_of_map({"AA": "web"}))
    pathlib.Path(at.map("since")).write_text(file_of_map({"AA": str(int(NOW) - key_days * DAY)}))
    pathlib.Path(at.config).write_text("    bind 127.0.0.1:443 ssl crt /etc/models.pem alpn h2\n")
    return ages.Door(at, t.cast("t.Any", Runtime(ends)))


def host(folder: pathlib.Path, key_days: int | None) -> Store:
    """An instance whose key came so many days ago."""
    store = Store(NAME, str(folder / "state"), str(folder / "run"))
    os.makedirs(store.folder)
    one = entry(1024)
    release: t.Any = {**one.release, "api_key": {"fingerprint": "f" * 64}} if key_days is not None else one.release
    if key_days is not None:
        keys = ApiKeys(store.state_dir)
        keys.keep(release, ["sk-0123456789abcdef"])
        os.utime(keys.path(release), (NOW, NOW - key_days * DAY))
    store.save(State(NAME, current=dataclasses.replace(one, release=release)))
    return store


# 1795700000 is 2026-11-26T13:33:20Z.
@pytest.mark.parametrize(
    ("ends", "told"),
    [
        (
            "Dec  6 13:33:20 2026 GMT",
            ["The door's certificate ends in 10 days, at 2026-12-06T13:33:20Z: put a new one"],
        ),
        ("Nov 27 13:33:20 2026 GMT", ["The door's certificate ends in 1 day, at"]),
        ("Nov 25 13:33:20 2026 GMT", ["The door's certificate has ended at 2026-11-25T13:33:20Z: put a new one at"]),
        ("Dec 27 13:33:20 2026 GMT", []),
        ("never", []),
    ],
)
def test_a_certificate_that_ends_soon_is_told(tmp_path: pathlib.Path, ends: str, told: list[str]) -> None:
    found = ages.told([], door(tmp_path, 0, ends), NOW)
    assert len(found) == len(told)
    assert all(one.startswith(begins) and "/etc/models.pem" in one for one, begins in zip(found, told, strict=True))


def test_old_keys_are_told_and_none_is_shown(tmp_path: pathlib.Path) -> None:
    found = ages.told([host(tmp_path, 400)], door(tmp_path, 370, "never"), NOW)
    assert found == [
        f"The API key of the instance {NAME} is 400 days old: rotate it.",
        "The API key of the client web is 370 days old: rotate it.",
    ]


def test_of_many_old_keys_the_oldest_are_told(tmp_path: pathlib.Path) -> None:
    at = door(tmp_path, 0, "never")
    clients = {f"{number:02}": f"c{number}" for number in range(40)}
    pathlib.Path(at.places.map("keys")).write_text(file_of_map(clients))
    times = {digest: str(int(NOW) - (370 + int(digest)) * DAY) for digest in clients}
    pathlib.Path(at.places.map("since")).write_text(file_of_map(times))
    found = ages.told([], at, NOW)
    assert found[0] == "The API key of the client c39 is 409 days old: rotate it."
    assert found[5:] == ["35 more are older than 365 days: /run/gpufleet/metrics has them."]


def test_young_keys_and_none_are_not_told(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert ages.told([host(tmp_path / "a", 364)], door(tmp_path / "a", 3, "never"), NOW) == []
    assert ages.told([host(tmp_path / "b", None)], ages.HERE, NOW) == []


@pytest.mark.parametrize("role", ["held", "resting"])
def test_a_key_has_its_age_while_another_release_serves(tmp_path: pathlib.Path, role: str) -> None:
    """Of a release that is held while another one is tried, and of a member that waits for its turn."""
    store = host(tmp_path, 400)
    state = store.load()
    away = state.rested() if role == "resting" else state.with_candidate(entry(2048), "")
    assert away.current is None
    store.save(away)
    assert [key.since for key in ages.of_instance(store, store.load())] == [NOW - 400 * DAY]


def test_a_state_that_cannot_be_read_has_no_age(tmp_path: pathlib.Path) -> None:
    store = host(tmp_path, 400)
    pathlib.Path(store.path("state.json")).write_text("{")
    assert ages.told([store], ages.HERE, NOW) == []


def test_node_exporter_gets_them_as_numbers(tmp_path: pathlib.Path) -> None:
    host(tmp_path, 400)
    at = door(tmp_path, 370, "Dec  6 13:33:20 2026 GMT")
    said = textfile.text(str(tmp_path / "state"), str(tmp_path / "run"), NOW, at)
    since = "gpufleet_api_key_since_timestamp_seconds"
    assert f'{since}{{kind="client",key="web"}} {NOW - 370 * DAY:.0f}\n' in said
    assert f'{since}{{kind="instance",key="{NAME}"}} {NOW - 400 * DAY:.0f}\n' in said
    assert f'gpufleet_door_certificate_ends_timestamp_seconds{{path="/etc/models.pem"}} {NOW + 10 * DAY:.0f}\n' in said
    assert "sk-" not in said and "AA" not in said
