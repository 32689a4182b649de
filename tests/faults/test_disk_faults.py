# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that fills up while something is under way: at the diagnosis, at the state, at the clients' files."""

from __future__ import annotations

import contextlib
import time
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.faults import images
from ansible_collections.gpufleet.vllm.tests.faults.host import CONTAINER, FILES, INSTANCE, STATE_DIR
from ansible_collections.gpufleet.vllm.tests.faults.matrix import Row
from ansible_collections.gpufleet.vllm.tests.faults.play import Play

UNASKED = {"vllm_server_unknown_arguments": "warn", "vllm_server_ask_parser": False}
STATE_FOLDER, CLIENT_FOLDER = "/var/lib/gpufleet", "/etc/gpufleet"
STATE = f"{STATE_DIR}/state.json"
DIAGNOSIS = f"{STATE_DIR}/diagnosis"
KEPT = "/root/small-disk"
KIB, MIB = 1024, 1024 * 1024
# What is kept of a log, and some; of a small disk, what is left for a state and no log.
LOG_AT_MOST = 5 * MIB
ROOM_FOR_A_STATE = 512 * KIB
# The timer ticks every 30 s; a look is due at each.
ATTENTIVE = {"interval": 1, "deadline": 5, "failure_threshold": 2, "restarts": 9}


class SmallDisk:
    """A folder of the host as a file system of its own, which takes nothing more once it is `filled`."""

    def __init__(self, row: Row, folder: str) -> None:
        self.host, self.ballast = row.host, f"{folder}/ballast"

    def fill(self, left: int = 0) -> None:
        """Fill it up to the last so many bytes."""
        self.host.run("sh", "-c", f"dd if=/dev/zero of={self.ballast} bs=4k 2>/dev/null; true")
        if left:
            self.host.run("truncate", f"--size=-{left}", self.ballast)

    def make_room(self) -> None:
        self.host.run("rm", "--force", self.ballast)

    def left_behind(self, folder: str) -> list[str]:
        """Files that are not whole."""
        return self.host.run("find", folder, "-name", "*.new").split()


@contextlib.contextmanager
def small_disk(row: Row, folder: str, size: str) -> t.Iterator[SmallDisk]:
    """For as long as this lasts; what the folder holds in the end is there afterwards too."""
    host = row.host
    host.run("sh", "-c", f"rm -rf {KEPT} && cp -a {folder} {KEPT}")
    host.run("mount", "-t", "tmpfs", "-o", f"size={size}", "small", folder)
    host.run("cp", "--archive", f"{KEPT}/.", folder)
    disk = SmallDisk(row, folder)
    try:
        yield disk
    finally:
        host.run("systemctl", "stop", "gpufleet-watch.timer")
        disk.make_room()
        host.at_rest()
        host.run("sh", "-c", f"rm -r {KEPT} && cp -a {folder} {KEPT}")
        host.wait_until("unmounted", lambda: host.succeeds("umount", folder))
        host.run("sh", "-c", f"cp -a {KEPT}/. {folder}/ && rm -r {KEPT}")
        host.run("systemctl", "start", "gpufleet-watch.timer")


def dies(row: Row, play: Play, disk: SmallDisk, left: int = 0) -> None:
    """The candidate's engine ends by itself, and the disk is full before its transaction looks."""
    with row.frozen(play, "ready"):
        row.host.wait_until("dead", lambda: not row.host.containers()[CONTAINER]["State"]["Running"])
        disk.fill(left)


def rejected(row: Row) -> list[str]:
    return [one["failure_class"] for one in row.host.state()["rejected"]]


def test_f34_full_at_the_diagnosis(row: Row) -> None:
    """No room for the log of a loud engine: rolled back and rejected, and nothing half is left; with room, its tail."""
    image = f"{images.REGISTRY}/{images.hostile((FILES / 'hostile.py').read_bytes())}"
    row.host.run("rm", "--recursive", "--force", DIAGNOSIS)
    with small_disk(row, STATE_FOLDER, "80m") as disk:
        bad = row.changed(env={"HOSTILE": "loud"})
        with row.asking():
            play = row.start(bad, vllm_server_image=image)
            dies(row, play, disk, left=ROOM_FOR_A_STATE)
            row.ended(play)
        row.put_back(play, "flag.unknown", "unrecognized arguments: --loud")
        assert row.outcome()["facts"]["log"] == ""
        assert rejected(row)[-1] == "flag.unknown"
        assert disk.left_behind(STATE_FOLDER) == []
        assert row.host.run("find", DIAGNOSIS, "-mindepth", "1", check=False) == ""
        disk.make_room()
        with row.asking():
            again = row.roll_out(bad, vllm_server_image=image, vllm_server_retry=True)
        row.put_back(again, "flag.unknown", "The log is kept in")
        size = int(row.host.run("stat", "--format=%s", f"{row.outcome()['facts']['log']}/engine.log"))
        assert 0 < size < LOG_AT_MOST, f"{size} bytes were kept"
        row.note(f"kept {size // KIB} KiB of a log of 20 MB")
    row.is_refused(bad, vllm_server_image=image)


@pytest.mark.parametrize("reboot", [False, True], ids=["the watch writes it down", "forgotten, and rolled back again"])
def test_f34_full_at_the_state(row: Row, reboot: bool) -> None:
    """No room for what became of a bad release: the old one serves, and it is written down once there is some."""
    bad = row.changed(engine_args={"no_such_flag": 1})
    with small_disk(row, STATE_FOLDER, "80m") as disk, row.asking():
        row.host.run("rm", "--recursive", "--force", DIAGNOSIS)  # else its logs would make room
        play = row.start(bad, **UNASKED)
        dies(row, play, disk)
        row.ended(play)
        row.refused(play, "(flag.unknown)", "It was rolled back.", "The disk did not take what became of it")
        assert row.host.serving() == row.good.digest and row.host.generates()
        assert row.host.state()["candidate"], "the file says more than the disk took"
        known = row.host.told("status", INSTANCE)
        assert (known["healthy"], known["current"]["digest"]) == (True, row.good.digest)
        assert known["rejected"][-1]["failure_class"] == "flag.unknown"
        if reboot:
            row.host.run("rm", "--recursive", "/run/gpufleet/unsaved")
        disk.make_room()
        row.host.wait_until("written down", lambda: not row.host.state()["candidate"])
        row.host.at_rest()
        assert disk.left_behind(STATE_FOLDER) == []
    row.only_while_down()
    row.serves(row.good.digest)
    if reboot:  # what the file knows is that something was unfinished, and no more
        bad = row.changed(engine_args={"no_such_flag": 1})
        row.rolled_back(row.roll_out(bad, **UNASKED), bad, "flag.unknown", **UNASKED)
    else:
        row.is_refused(bad, **UNASKED)


FULL_AT_THE_COMMIT = {"state": (STATE_FOLDER, "80m"), "clients' files": (CLIENT_FOLDER, "256k")}


@pytest.mark.parametrize("what", FULL_AT_THE_COMMIT)
def test_f34_full_at_the_commit(row: Row, what: str) -> None:
    """No room for what a proved release is committed with: rolled back, not blamed, and one rerun converges."""
    folder, size = FULL_AT_THE_COMMIT[what]
    length = 1024 + 768 - row.good.wanted["vllm_server_instances"][0]["engine_args"]["max_model_len"]
    changed = row.changed(engine_args={"max_model_len": length})
    clients = row.host.read(f"{CLIENT_FOLDER}/{INSTANCE}/client.json")
    with small_disk(row, folder, size) as disk:
        row.host.run("rm", "--recursive", "--force", DIAGNOSIS)
        with row.asking():
            play = row.start(changed)
            with row.frozen(play, "hold"):
                disk.fill()
            row.ended(play)
        row.refused(play, "(disk.full)", f"{folder}", "No space left on device", "It was rolled back.")
        row.only_while_down()
        assert row.host.serving() == row.good.digest and row.host.generates()
        assert row.host.read(f"{CLIENT_FOLDER}/{INSTANCE}/client.json") == clients
        disk.make_room()
        row.host.wait_until("written down", lambda: not row.host.state()["candidate"])
        row.host.at_rest()
        assert disk.left_behind(folder) == []
    row.serves(row.good.digest)
    assert row.host.read(f"{CLIENT_FOLDER}/{INSTANCE}/client.json") == clients
    row.converges(changed)


@pytest.mark.parametrize("who", ["the watch", "a run"])
def test_f34_full_and_the_server_dies(row: Row, who: str) -> None:
    """The server is stopped while the disk is full: the watch brings it back, or one run does, and both can tell."""
    served = row.good.wanted["vllm_server_instances"][0]
    if who == "the watch":  # looks more often, which touches no engine
        assert row.roll_out({**served, "watch": ATTENTIVE}).code == 0
    with small_disk(row, STATE_FOLDER, "80m") as disk, row.asking():
        row.host.run("rm", "--recursive", "--force", DIAGNOSIS)
        disk.fill()
        since = time.time()
        if who == "a run":
            row.host.run("systemctl", "stop", "gpufleet-watch.timer")
        row.host.run("docker", "stop", CONTAINER)
        if who == "a run":
            play = row.roll_out(None)
            assert play.code == 0, play.log
            row.says(play, "serves again", "The disk did not take what became of it")
            row.host.run("systemctl", "start", "gpufleet-watch.timer")
        row.host.wait_until("back", lambda: bool(row.host.generates(limit=5)))
        row.host.at_rest()
        until = time.time()
        assert row.host.told("status", INSTANCE)["healthy"]
        disk.make_room()
        row.host.wait_until("written down", lambda: row.host.verified_container() == row.host.serving_container())
        assert disk.left_behind(STATE_FOLDER) == []
    outside = row.answers.outside(since - 1, until + 1)
    assert not outside, f"{len(outside)} questions failed, such as {outside[0]}"
    row.serves(row.good.digest)
    assert row.roll_out(None).code == 0
    row.has_nothing_to_do()
