# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bench of downloads counts, what it makes of it, and when it gives no figures."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.bench import fetch_times
from ansible_collections.gpufleet.vllm.tests.bench.fetch_times import CURL, Cost, Wrong
from ansible_collections.gpufleet.vllm.tests.fetches.kills import MODEL
from ansible_collections.gpufleet.vllm.tests.hub.content import MIB
from ansible_collections.gpufleet.vllm.tests.hub.server import Hub

READS = """
import pathlib, sys, urllib.request
folder = pathlib.Path(sys.argv[1])
folder.mkdir(exist_ok=True)
raw = urllib.request.urlopen(sys.argv[2] + "/org/model/resolve/main/config.json").read()
(folder / "config.json").write_bytes(raw + sys.argv[3].encode())
"""


class Script:
    """A mover that reads one file, adds `more` to it, and ends with `code`."""

    name = "script"

    def __init__(self, more: str = "", code: int = 0) -> None:
        self._more, self._code = more, code

    def start(self, hub: Hub, folder: pathlib.Path) -> subprocess.Popen[bytes]:
        script = f"{READS}\nsys.exit({self._code} and 'no')"
        words = [sys.executable, "-I", "-S", "-c", script, str(folder), hub.url, self._more]
        return subprocess.Popen(words, stderr=subprocess.PIPE)

    def place(self, folder: pathlib.Path, path: str) -> pathlib.Path:
        return folder / path


@pytest.fixture
def hub() -> t.Iterator[Hub]:
    with Hub() as made:
        made.add(MODEL, {"config.json": b"{}" * 50})
        yield made


def test_bytes_requests_and_cpu_of_a_run_are_counted(hub: Hub, tmp_path: pathlib.Path) -> None:
    cost = fetch_times.measured(Script(), hub, tmp_path)
    # The hub leads to its CDN, with a line of text.
    assert (cost.asked, cost.twice) == (2, 0) and 100 <= cost.sent < 200
    assert cost.cpu > 0 and cost.seconds > 0
    fetch_times.check(Script(), hub, tmp_path)


def test_another_file_than_the_hubs_ends_it(hub: Hub, tmp_path: pathlib.Path) -> None:
    fetch_times.measured(Script("x"), hub, tmp_path)
    with pytest.raises(Wrong, match=r"script brought another config\.json than the hub has"):
        fetch_times.check(Script("x"), hub, tmp_path)


def test_a_run_that_fails_gives_no_figure(hub: Hub, tmp_path: pathlib.Path) -> None:
    with pytest.raises(Wrong, match="script ended with 1: no"):
        fetch_times.measured(Script(code=1), hub, tmp_path)


def test_a_run_that_ended_before_it_was_killed_gives_no_figure(hub: Hub, tmp_path: pathlib.Path) -> None:
    hub.models[MODEL].commits.clear()
    hub.add(MODEL, {"config.json": b"{}" * 50, "model.safetensors": bytes(MIB)})
    with pytest.raises(Wrong, match="script ended before it could be killed: take a larger --size"):
        fetch_times.cut_off(Script(), hub, tmp_path)


def test_seconds_and_cpu_are_shares_of_curl_in_the_same_round() -> None:
    def of(seconds: float, twice: int = 0) -> dict[str, Cost]:
        return dict.fromkeys(fetch_times.RUNS, Cost(seconds, seconds / 2, 3 * MIB, 4, twice))

    rounds = [{CURL: of(bare), "ours": of(bare * times, MIB)} for bare, times in ((1, 2.0), (10, 4.0), (2, 3.0))]
    lines = fetch_times.table(rounds).splitlines()
    assert lines[2] == "| first | curl | 3.0 | 0.0 | 4 | 1.00 | 1.00 |"
    assert lines[-1] == "| second | ours | 3.0 | 1.0 | 4 | 3.00 | 3.00 |"
    assert len(lines) == 2 + 2 * len(fetch_times.RUNS)
