# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A row of the matrix: a fault is put into a host that serves, and everything that has to be true is looked at."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math
import time
import typing as t
from dataclasses import asdict, dataclass, field

from ansible_collections.gpufleet.vllm.tests.faults.host import CONTAINER, STATE_DIRS, UNIT, Host
from ansible_collections.gpufleet.vllm.tests.faults.play import Play
from ansible_collections.gpufleet.vllm.tests.faults.prober import Answers, Prober
from ansible_collections.gpufleet.vllm.tests.faults.wanted import ASSISTANT, Json, merged, never_seen, wanted

SITE = "gpufleet.vllm.site"
FAILED = 2  # ansible-playbook: a task failed
# Seconds by which a question may fail before the stage that stops the server is written, or after the last one.
SLACK = 2.0
# Outcomes of a transaction after which nothing serves by itself.
NOTHING_SERVES = ("failed", "stopped")
# Of the stage log of an instance, shown where a row fails.
LINES = 40


@dataclass
class Record:
    """What a row shows, for the table and the report."""

    fault: str
    test: str
    what: str
    exit_codes: list[int] = field(default_factory=list)
    serves: str = ""
    answer: str = ""
    state: str = ""
    asked: int = 0
    failed: int = 0
    longest_gap: float = 0.0
    second_run: str = ""
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    passed: bool = False
    error: str = ""
    # Of a random kill: what was killed, and the stage at which.
    struck: tuple[str, str] | None = None

    def as_dict(self) -> Json:
        return asdict(self)


@dataclass
class Good:
    """What a host serves while rows try to break it."""

    wanted: Json
    digest: str


def epoch(at: str) -> float:
    """Seconds of the epoch of a stage line's time."""
    return dt.datetime.strptime(at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC).timestamp()


class Row:
    """One fault on one host that serves a good release."""

    def __init__(self, record: Record, host: Host, good: Good) -> None:
        self.record, self.host, self.good = record, host, good
        self.mark = host.mark()
        self.began = time.time()

    def note(self, text: str) -> None:
        self.record.notes.append(text)

    # What is asked for

    def changed(self, **changes: t.Any) -> Json:
        """The instance that serves, changed, as a release that was never tried before."""
        return never_seen(merged(self.good.wanted["vllm_server_instances"][0], changes))

    def start(self, instance: Json | None, *options: str, **variables: t.Any) -> Play:
        """Begin to roll the instance out; without one, what serves already."""
        asked = {**self.good.wanted, **variables} if instance is None else wanted(instance, **variables)
        return Play(SITE, [self.host.name], asked, options)

    def planned(self, instance: Json) -> Play:
        """Begin to roll the instance out; when this returns, the plan is made and the host has not begun."""
        play = Play(SITE, [self.host.name], wanted(instance), standstill=True)
        play.stands_still()
        return play

    def roll_out(self, instance: Json | None, *options: str, **variables: t.Any) -> Play:
        """Roll the instance out and wait for the end of the play."""
        return self.ended(self.start(instance, *options, **variables))

    def ended(self, play: Play) -> Play:
        play.wait()
        self.record.exit_codes.append(play.code)
        return play

    # While it happens

    def at(self, play: Play, stage: str, *command: str) -> None:
        """Wait until the play's transaction is at a stage, then run a command on the host at once."""
        self.host.at_stage(self.mark, stage, *command, while_true=lambda: play.runs)

    @contextlib.contextmanager
    def frozen(self, play: Play, stage: str) -> t.Iterator[None]:
        """The transaction stands still from a stage on, until the fault is in place."""
        self.at(play, stage, "systemctl", "kill", "--signal=STOP", UNIT)
        try:
            yield
        finally:
            self.host.signal("CONT")

    @contextlib.contextmanager
    def asking(self) -> t.Iterator[None]:
        """Questions are asked five times a second for as long as this lasts."""
        prober = Prober(self.host)
        with prober:
            yield
        answers = prober.answers()
        assert not answers.too_few(), answers.too_few()
        self.record.asked += len(answers.lines)
        self.record.failed += len(answers.failed)
        self.record.longest_gap = max(self.record.longest_gap, answers.longest_gap)
        self.answers: Answers = answers

    # What has to be true then

    def serves(self, digest: str) -> None:
        """This release runs, generates, and is the verified one; nothing is half done."""
        state = self.host.state()
        self.record.serves = self.host.serving()[:12]
        self.record.answer = self.host.generates()
        self.record.state = _shown(state)
        assert self.record.serves == digest[:12], f"{self.record.serves or 'nothing'} serves, not {digest[:12]}"
        assert self.record.answer, "it does not generate"
        assert state["current"]["digest"] == digest, self.record.state
        assert state["candidate"] is None and state["held"] is None and state["failed"] == "", self.record.state
        policy = self.host.containers()[CONTAINER]["HostConfig"]["RestartPolicy"]["Name"]
        assert policy == "unless-stopped", f"its restart policy is {policy}"

    def says(self, play: Play, *texts: str) -> None:
        missing = [text for text in texts if " ".join(text.split()) not in play.said]
        assert not missing, f"{missing} not said; {play.log} holds what was"

    def no_question_failed(self) -> None:
        failed = self.answers.failed
        assert not failed, f"{len(failed)} of {len(self.answers.lines)} questions failed, such as {failed[0]}"

    def only_while_down(self, since: float | None = None) -> None:
        """Questions failed only between the stop, or the time `since` of the fault, and the last word.

        Where that word is that nothing serves, they may fail from then on.
        """
        lines = self.host.stages(self.mark)
        stops = [epoch(line["at"]) for line in lines if line["stage"] in ("stop", "rollback")]
        ends = [
            math.inf if line["outcome"] in NOTHING_SERVES else epoch(line["at"]) for line in lines if "outcome" in line
        ]
        begin = min([*stops, *([since] if since else [])], default=time.time())
        outside = self.answers.outside(begin - SLACK, (ends or [time.time()])[-1] + SLACK)
        assert not outside, f"{len(outside)} questions failed while something had to serve, such as {outside[0]}"

    def refused(self, play: Play, *texts: str) -> None:
        """The play failed, and said why."""
        assert play.code == FAILED, f"exit code {play.code}; {play.log}"
        self.says(play, *texts)

    def nothing_touched(self) -> None:
        """No question failed, the good release never paused, and one more run of it has nothing to do."""
        self.no_question_failed()
        self.untouched()

    def untouched(self) -> None:
        """The same, whatever became of the questions."""
        assert all(line["stage"] not in ("stop", "start") for line in self.host.stages(self.mark)), "it was stopped"
        self.serves(self.good.digest)
        self.has_nothing_to_do()

    def rolled_back(self, play: Play, bad: Json, failure_class: str, *texts: str, **variables: t.Any) -> None:
        """The release failed with this class, the good one serves again, and the same is refused from now on."""
        self.put_back(play, failure_class, *texts)
        self.is_refused(bad, **variables)

    def put_back(self, play: Play, failure_class: str, *texts: str) -> None:
        """The play failed with this class, and the good release serves again."""
        self.refused(play, f"({failure_class})", "It was rolled back.", *texts)
        self.only_while_down()
        self.serves(self.good.digest)
        assert self.outcome()["facts"]["failure"]["failure_class"] == failure_class

    def is_refused(self, bad: Json, **variables: t.Any) -> None:
        """The same is refused before anything happens."""
        again = self.roll_out(bad, **variables)
        changed = again.changed(self.host.name)
        self.record.second_run = f"refused, changed={changed}"
        assert (again.code, changed) == (FAILED, 0), f"second run: exit code {again.code}, changed={changed}"
        self.says(again, "exactly this release was tried at", "vllm_server_retry=true")

    def has_nothing_to_do(self, instance: Json | None = None, **variables: t.Any) -> None:
        """One more run of what serves changes nothing."""
        again = self.roll_out(instance, **variables)
        changed = again.changed(self.host.name)
        self.record.second_run = f"changed={changed}"
        assert (again.code, changed) == (0, 0), f"second run: exit code {again.code}, changed={changed}; {again.log}"

    def converges(self, instance: Json, **variables: t.Any) -> None:
        """One more run serves what was wanted, and the one after that has nothing to do."""
        play = self.roll_out(instance, **variables)
        assert play.code == 0, f"the rerun ended with {play.code}; {play.log}"
        self.is_good_now(instance, **variables)
        self.has_nothing_to_do()

    def is_good_now(self, instance: Json, **variables: t.Any) -> None:
        """What was wanted serves, and is what the rows after this one compare with."""
        digest = self.host.verified()
        assert digest != self.good.digest, "the release before it still serves"
        self.serves(digest)
        self.good.wanted, self.good.digest = wanted(instance, **variables), digest

    def told(self) -> str:
        """Every stage line of the row's transactions, of all instances."""
        lines = self.host.run("sh", "-c", f"tail --quiet --lines={LINES} {STATE_DIRS}/stages.jsonl", check=False)
        return "\n".join(line for line in lines.splitlines() if epoch(json.loads(line)["at"]) >= self.began - SLACK)

    def outcome(self) -> Json:
        """The last word of the last transaction."""
        return [line for line in self.host.stages(self.mark) if "outcome" in line][-1]


def _shown(state: Json) -> str:
    """A state in a few words."""
    roles = [
        f"{role} {entry['digest'][:12]}" for role in ("current", "candidate", "held") if (entry := state.get(role))
    ]
    rejected = state.get("rejected") or []
    last = [f"rejected {rejected[-1]['digest'][:12]} ({rejected[-1]['failure_class']})"] if rejected else []
    return ", ".join([*roles, *last, *(["failed"] if state.get("failed") else [])]) or "nothing"


def settled(host: Host, good: Good | None) -> tuple[Good, str]:
    """A host that serves a good release; what had to be put right first, '' when nothing had."""
    host.at_rest()
    if good is not None and _serves(host, good.digest):
        return good, ""
    asked = good.wanted if good is not None else wanted(ASSISTANT)
    play = Play(SITE, [host.name], {**asked, "vllm_server_retry": True}).wait()
    assert play.code == 0, f"{host.name} could not be brought to a good release; {play.log}"
    return Good(asked, host.verified()), "repaired before the row" if good is not None else ""


def _serves(host: Host, digest: str) -> bool:
    state = host.state()
    unfinished = state.get("candidate") or state.get("failed")
    return not unfinished and host.verified() == host.serving() == digest and bool(host.generates())
