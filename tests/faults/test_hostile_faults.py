# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program in the engine's place that means harm, or that broke as badly."""

from __future__ import annotations

import time

from ansible_collections.gpufleet.vllm.tests.faults import images
from ansible_collections.gpufleet.vllm.tests.faults.host import FILES, UNIT, WATCH_SERVICE, Host, Json
from ansible_collections.gpufleet.vllm.tests.faults.matrix import Row
from ansible_collections.gpufleet.vllm.tests.faults.play import Play
from ansible_collections.gpufleet.vllm.tests.faults.wanted import ASSISTANT, merged, never_seen, wanted

IMPATIENT = {"prompt": "Say hello.", "max_tokens": 8, "deadline": 10}
KINDS = {
    "endless": "it sends more than 1 MiB",
    "deep": "it is nested deeper than 64 levels",
    "dripping": "got no answer within 10 s",
    "odd": "the number 1e400, which is too large",
}
# What the units say of memory and tasks, as the kernel counts them.
LIMITS = {"memory": 512 * 1024 * 1024, "pids": 64}
# The timer ticks every 30 s; a look is due at each.
ATTENTIVE = {"interval": 1, "deadline": 5, "failure_threshold": 2, "restarts": 9}
SECOND = "second"
PLAN = "gpufleet.vllm.plan"


def pushed() -> str:
    return f"{images.REGISTRY}/{images.hostile((FILES / 'hostile.py').read_bytes())}"


def shows_nothing_that_steers(play: Play) -> None:
    odd = [character for character in play.said if not character.isprintable()]
    assert not odd, f"{odd} in {play.log}"


def test_f33_hostile_answers(row: Row) -> None:
    """Answers without depth, end or haste, and metrics without end: each release is rolled back, and rejected."""
    image = pushed()
    for kind, words in KINDS.items():
        bad = row.changed(env={"HOSTILE": kind}, smoke=IMPATIENT)
        began, row.mark = time.monotonic(), row.host.mark()
        with row.asking():
            play = row.start(bad, vllm_server_image=image)
            with row.frozen(play, "smoke"):
                assert row.host.limits(UNIT) == LIMITS
            row.ended(play)
        row.note(f"{kind}: {time.monotonic() - began:.0f} s")
        row.put_back(play, "smoke.no_answer", words)
        shows_nothing_that_steers(play)
    row.is_refused(bad, vllm_server_image=image)


def looked_at(host: Host, instance: str) -> Json:
    """What `status` says of an instance's watch."""
    return dict(host.told("status", instance)["watch"])


def test_f33_turns_hostile(row: Row) -> None:
    """A verified neighbour stops answering, byte by byte: the watch, status and the plan go on with the other one."""
    turns = never_seen(
        merged(ASSISTANT, {"name": SECOND, "port": 8001, "env": {"HOSTILE": "turns"}, "watch": ATTENTIVE})
    )
    served, image = row.changed(), pushed()
    play = row.ended(row.start(None, **wanted(served, turns, vllm_server_image=image)))
    assert play.code == 0, play.log
    shows_nothing_that_steers(play)
    row.is_good_now(served, vllm_server_image=image)
    row.mark = row.host.mark()
    with row.asking():
        before = looked_at(row.host, "assistant")["last_look"]
        row.host.run("docker", "kill", "--signal=USR1", f"vllm-{SECOND}")
        row.host.wait_until("under watch", lambda: row.host.limits(WATCH_SERVICE) == LIMITS)
        row.host.wait_until("restarted", lambda: bool(looked_at(row.host, SECOND)["restarts"]))
        row.host.wait_until("at rest", lambda: row.host.told("status", SECOND)["healthy"])
        row.host.wait_until("looked at", lambda: looked_at(row.host, "assistant")["last_look"] != before)
        row.host.run("docker", "kill", "--signal=USR1", f"vllm-{SECOND}")
        planned = row.ended(Play(PLAN, [row.host.name], wanted(served, turns, vllm_server_image=image)))
        assert planned.code == 0, planned.log
        gone = row.roll_out(None, vllm_server_remove_unlisted=True)
    assert gone.code == 0, gone.log
    assert f"vllm-{SECOND}" not in row.host.containers()
    row.nothing_touched()
