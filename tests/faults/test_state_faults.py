# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host knows is lost, damaged or contradicted by hand; what it falls back on is gone."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.faults import images
from ansible_collections.gpufleet.vllm.tests.faults.host import CONTAINER, STATE_DIR
from ansible_collections.gpufleet.vllm.tests.faults.matrix import Row
from ansible_collections.gpufleet.vllm.tests.faults.wanted import ASSISTANT, merged, never_seen, wanted

# Neither the planner nor the image's own parser stands between an unknown argument and the engine.
UNASKED = {"vllm_server_unknown_arguments": "warn", "vllm_server_ask_parser": False}
STATE = f"{STATE_DIR}/state.json"


def test_f16_rollback_fails(row: Row) -> None:
    """The image before is gone and its registry out of reach: no second rollback, and what is missing is said."""
    bad = row.changed(engine_args={"no_such_flag": 1})
    image = row.host.state()["current"]["image_id"]
    with row.asking(), row.host.out_of_reach(images.REGISTRY.partition(":")[0]) as cut_off:
        play = row.start(bad, **UNASKED)
        with row.frozen(play, "ready"):
            row.host.wait_until("dead", lambda: not row.host.containers()[CONTAINER]["State"]["Running"])
            row.host.run("docker", "rm", "--force", f"{CONTAINER}-held")
            row.host.run("docker", "rmi", "--force", image)
            cut_off()
        row.ended(play)
    row.only_while_down()
    assert play.code == 2
    row.says(play, "The rollback to release", "failed at stage pull", "No such image", "no third release is tried")
    assert [line["stage"] for line in row.host.stages(row.mark)].count("rollback") == 1
    assert row.outcome()["outcome"] == "failed"
    assert row.host.state()["failed"]
    assert row.host.serving() == ""
    row.is_refused(bad, **UNASKED)
    # One run of what the inventory says puts it right: the image is pulled, the release made from its own document.
    repaired = row.roll_out(None)
    assert repaired.code == 0, repaired.log
    row.serves(row.good.digest)
    row.has_nothing_to_do()


def test_f17_first_release_is_bad(row: Row) -> None:
    """There is no release before it: the bad one is gone, its log kept, and the instance beside it never paused."""
    changes = {"name": "second", "port": 8001, "engine_args": {"tokenizer": "/models/none"}}
    second = never_seen(merged(ASSISTANT, changes))
    both = wanted(row.good.wanted["vllm_server_instances"][0], second)
    with row.asking():
        play = row.roll_out(None, **both)
    row.no_question_failed()
    row.refused(play, "There was no release before it: nothing of it is left running.")
    known = row.host.state("second")
    assert [known[role] for role in ("current", "candidate", "held")] == [None, None, None]
    assert not [name for name in row.host.containers() if name.startswith("vllm-second")]
    assert row.host.succeeds("sh", "-c", "grep -q /models/none /var/lib/gpufleet/second/diagnosis/*/engine.log")
    again = row.roll_out(None, **both)
    assert (again.code, again.changed(row.host.name)) == (2, 0)
    row.says(again, "exactly this release was tried at")
    row.host.run("rm", "--recursive", "/var/lib/gpufleet/second")
    row.serves(row.good.digest)
    row.has_nothing_to_do()


def test_f18_another_container_runs(row: Row) -> None:
    """Somebody runs another container in the place of the verified one: one run repairs it, with no rollback."""
    found = row.host.containers()[CONTAINER]
    row.host.run("docker", "rm", "--force", CONTAINER)
    labels = ("--label=io.gpufleet.instance=assistant", "--label=io.gpufleet.digest=" + "0" * 64)
    row.host.run(
        "docker", "run", "--detach", f"--name={CONTAINER}", *labels, "--entrypoint=sleep", found["Image"], "9999"
    )
    play = row.roll_out(None)
    assert play.code == 0, play.log
    row.says(play, "assistant: repair")
    assert "rollback" not in [line["stage"] for line in row.host.stages(row.mark)]
    row.serves(row.good.digest)
    row.has_nothing_to_do()


def corrupted(text: str) -> str:
    return text.replace('"verified_at": "2', '"verified_at": "3', 1)


def truncated(text: str) -> str:
    return text[: len(text) // 2]


def newer(text: str) -> str:
    return json.dumps({**json.loads(text), "schema": 99})


def test_f27_state_file_lost(row: Row) -> None:
    """The state file is corrupt, truncated or missing: rebuilt from labels, said aloud. A newer one is let be."""
    before, text = row.host.containers()[CONTAINER]["Id"], row.host.read(STATE)
    with row.asking():
        _replace(row, STATE, newer(text))
        play = row.roll_out(None)
        assert play.code != 0, play.log
        row.says(play, "a newer gpufleet.vllm wrote it, use that one")
        assert row.host.read(STATE) == newer(text)
        for damaged in (corrupted(text), truncated(text), None):
            _replace(row, STATE, damaged)
            play = row.roll_out(None)
            assert play.code == 0, play.log
            row.says(play, f"{STATE}: it", "rebuilt from the labels of its containers")
            row.has_nothing_to_do()
        row.host.write(STATE, text)
    assert row.host.containers()[CONTAINER]["Id"] == before
    row.nothing_touched()


def test_f27_nothing_tells_the_state(row: Row) -> None:
    """State file and client file are both missing: refused, and never taken for a host that has nothing."""
    client = "/etc/gpufleet/assistant/client.json"
    state, told = row.host.read(STATE), row.host.read(client)
    with row.asking():
        _replace(row, STATE, None)
        _replace(row, client, None)
        play = row.roll_out(row.changed())
        row.host.write(STATE, state)
        row.host.write(client, told)
    row.refused(play, "its state on the host is not known", "its client file is missing as well")
    row.nothing_touched()


def _replace(row: Row, path: str, text: str | None) -> None:
    """Write another text, or none at all."""
    if text is None:
        row.host.run("rm", path)
    else:
        assert text != row.host.read(path)
        row.host.write(path, text)


def test_f27_rollout_on_a_damaged_state_file(row: Row) -> None:
    """A change on top of a damaged state file: the file is written anew, the damaged one is kept."""
    changed = row.changed()
    row.host.write(STATE, truncated(row.host.read(STATE)))
    with row.asking():
        play = row.roll_out(changed)
    assert play.code == 0, play.log
    row.only_while_down()
    row.is_good_now(changed)
    assert row.host.succeeds("test", "-s", f"{STATE}.damaged")
    row.has_nothing_to_do()


DRIFTS: dict[str, tuple[tuple[str, ...], str]] = {
    "container removed": (("docker", "rm", "--force", CONTAINER), "its container is gone"),
    "container stopped": (("docker", "stop", CONTAINER), "its container is exited"),
    "restart policy": (("docker", "update", "--restart=no", CONTAINER), "its restart policy is no"),
    "client file": (("rm", "/etc/gpufleet/assistant/client.json"), "client"),
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_f28_drift_by_hand(row: Row, drift: str) -> None:
    """Changed by hand: --check says exactly what, one run repairs it."""
    command, said = DRIFTS[drift]
    row.host.run(*command)
    predicted = row.roll_out(None, "--check")
    assert predicted.code == 0
    row.says(predicted, said)
    repaired = row.roll_out(None)
    assert (repaired.code, repaired.changed(row.host.name)) == (0, predicted.changed(row.host.name)), repaired.log
    assert row.host.succeeds("test", "-s", "/etc/gpufleet/assistant/client.json")
    row.serves(row.good.digest)
    row.has_nothing_to_do()


@pytest.fixture(params=["full", "read-only"])
def unwritable(row: Row, request: pytest.FixtureRequest) -> t.Iterator[str]:
    """The state folder lies on a file system of its own, which is full or read-only."""
    folder = "/var/lib/gpufleet"
    row.host.run("cp", "--archive", folder, "/root/gpufleet.kept")
    row.host.run("mount", "-t", "tmpfs", "-o", "size=4m", "state", folder)
    row.host.run("cp", "--archive", "/root/gpufleet.kept/.", folder)
    row.mark = row.host.mark()
    if request.param == "full":
        row.host.run("sh", "-c", f"dd if=/dev/zero of={folder}/ballast bs=4k 2>/dev/null; true")
    else:
        row.host.run("mount", "-o", "remount,ro", folder)
    yield request.param
    row.host.run("umount", folder)
    row.host.run("rm", "--recursive", "/root/gpufleet.kept")


def test_f25_state_folder_not_writable(row: Row, unwritable: str) -> None:
    """The state folder is full or read-only: refused before the stop, and the state file is intact byte for byte."""
    before = row.host.read(STATE)
    # A log that is kept makes room for what is written first, and no more.
    kept = row.host.succeeds("sh", "-c", f"ls {STATE_DIR}/diagnosis/*/engine.log")
    with row.asking():
        play = row.roll_out(row.changed())
    failure_class, why = {
        "full": ("disk.full", f"{STATE_DIR} has 0 MiB free"),
        "full, no log": ("state.unwritable", f"{STATE_DIR} cannot be written: No space left on device"),
        "read-only": ("state.unwritable", f"{STATE_DIR} cannot be written: Read-only file system"),
    }[unwritable if kept or unwritable != "full" else "full, no log"]
    row.refused(play, f"refused before anything was touched ({failure_class})", why)
    assert row.host.read(STATE) == before
    row.nothing_touched()
