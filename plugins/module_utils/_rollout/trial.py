# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start one release and make it prove itself: start, ready, smoke, hold. The same for a candidate and for a rollback.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import calendar
import re
import time
import typing as t
from dataclasses import dataclass, field, replace

from .._diagnosis.diagnosis import Diagnosis, diagnose, hanging
from .._diagnosis.failures import BEFORE_THE_ENGINE, NAMED
from .._diagnosis.measured import figures
from .._diagnosis.phases import phase_of
from .._docker import hardening
from .._docker.client import NOT_UNDERSTOOD, DockerError
from .._docker.container import create_body
from .._engine import live_adapters
from .._engine.expect import Expectation, expectation
from .._engine.http_client import Http
from .._engine.prove import Proof, answers, healthy, prove
from .._engine.smoke_errors import NotProved
from .._outside.documents import Json
from .._settings.rollout import Settings
from .._state.api_keys import ApiKeyMissing
from .._state.deadlines import ready_limit, timeout
from .._state.state import Entry
from . import belongings
from .drain import let_in
from .failure import MISSING_KEY_ADVICE, Failed, unexpected
from .host import Host
from .image import again
from .journal import Journal
from .stages import Stage

POLL = 1.0
# Seconds that an engine which gave no proper answer has to end: a busy host is slow to bury it.
DEATH_GRACE = 15.0
DEADLY = ("smoke.error", "smoke.no_answer", "smoke.stream_broken")


Shown = t.TypeVar("Shown")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


def epoch(at: str) -> str:
    """Seconds of the epoch for a time that Docker printed; '0' for none."""
    try:
        return str(calendar.timegm(time.strptime(at[:19], "%Y-%m-%dT%H:%M:%S")))
    except ValueError:
        return "0"


def _nobody(_entry: Entry) -> None:
    """Nobody wants to know."""


@dataclass
class Trial:
    """One attempt at one release on a host; `created` learns of the container before it starts.

    `history` are releases whose starts on this host tell how long this one may take. `loaded` are the settings by which
    a running engine was last given its adapters, `gone` learns of those that were unloaded.
    """

    host: Host
    journal: Journal
    entry: Entry
    created: t.Callable[[Entry], None] = _nobody
    history: tuple[Entry | None, ...] = ()
    started_at: str = field(default="", init=False)
    loaded: Settings = field(default_factory=Settings)
    gone: dict[str, str] = field(default_factory=dict)
    restarts_before: int = field(default=0, init=False)
    runs_already: bool = field(default=False, init=False)
    answered: float = field(default=0.0, init=False)

    def run(self) -> Entry:
        """Start the container, wait until it is ready, prove it, hold it; the entry with what was shown.

        Raises Failed with the root cause, as soon as the container exits or a limit has passed.
        """
        self.start()
        began = self.host.clock.monotonic()
        self.wait_until_ready()
        seconds = round(self.host.clock.monotonic() - began, 1)
        measured = self.entry.verified.get("measured") if self.runs_already else figures(self._log())
        proof = self.smoke()
        let_in(self.host, self.journal, str(self.entry.release["instance"]))
        self.answered = self.host.clock.monotonic()
        self.hold()
        seconds_known = self.entry.start_seconds if self.runs_already else seconds
        shown = {
            "served_model_names": list(proof.served_model_names),
            "max_model_len": proof.max_model_len,
            "warnings": list(proof.warnings),
            **({} if measured is None else {"measured": measured}),
        }
        return replace(self.entry, verified_at=self.host.clock.utc(), verified=shown, start_seconds=seconds_known)

    def start(self) -> None:
        """Start the entry's container; make it first where there is none."""
        entry, docker = self.entry, self.host.docker
        self.journal.stage(Stage.START, f"release {entry.short}")
        try:
            found = docker.container(entry.container_id) if entry.container_id else None
            self.runs_already = found is not None and bool(found["State"]["Running"])
            if found is None:
                self.entry = replace(entry, container_id=self._made())
                self.created(self.entry)
            elif not self.runs_already:
                belongings.hand_over(self.host, entry.release, found, self._selinux())
            docker.start(self.entry.container_id)
            started = docker.container(self.entry.container_id)
            if started is not None:
                # A held release that was never stopped keeps the count of its life before.
                self.started_at = str(started["State"]["StartedAt"])
                self.restarts_before = int(started.get("RestartCount") or 0)
        except DockerError as error:
            raise Failed(self._start_refused(error)) from error

    def _selinux(self) -> bool:
        """Whether Docker labels what it starts: the first schema does not ask."""
        asks = hardening.schema_of(self.entry.release) > hardening.FIRST
        return asks and hardening.has_selinux(self.host.docker.get("/info"))

    def _made(self) -> str:
        """The id of a new container. An image that was pruned meanwhile is fetched once more."""
        entry, docker = self.entry, self.host.docker
        if hardening.schema_of(entry.release) not in hardening.SCHEMAS:
            raise Failed(hardening.unknown(entry.release))
        selinux = self._selinux()
        body = create_body(entry.release, entry.digest, entry.image_id, self.host.keys.path(entry.release), selinux)
        belongings.hand_over(self.host, entry.release, docker.image(entry.image_id) or {}, selinux)
        name = str(entry.release["container"]["name"])
        try:
            return docker.create(name, body)
        except DockerError as error:
            if error.status != 404 or again(self.host, entry, self.journal) is None:
                raise
        self.journal.stage(Stage.START, f"release {entry.short}, its image was fetched once more")
        return docker.create(name, body)

    def _start_refused(self, error: DockerError) -> Diagnosis:
        text = str(error)
        if error.status in (0, NOT_UNDERSTOOD):
            return Diagnosis("docker.away", text, "Look at docker.service.")
        known = diagnose(text, release=self.entry.release)
        if known.failure_class in BEFORE_THE_ENGINE:
            return known
        if "port is already allocated" in text or "address already in use" in text:
            return Diagnosis("port.busy", text, "Choose another port, or stop what holds this one.")
        return Diagnosis("container.start", text, "Correct what Docker's message names.")

    def wait_until_ready(self) -> None:
        """Follow the log through its phases until /health answers."""
        limit = ready_limit(self.entry, self.history)
        self.journal.stage(Stage.READY, f"waiting for the engine, {limit}")
        url = self._expected().base_url
        deadline = self.host.clock.monotonic() + limit.seconds
        phase, seen = "starting", self.started_at
        while not healthy(self.host.http, url):
            self._must_run()
            seen, phase = self._follow(seen, phase)
            if self.host.clock.monotonic() >= deadline:
                raise self._failed(self._too_slow(limit.seconds, phase))
            self.journal.heartbeat(phase)
            self.host.clock.sleep(POLL)

    def _too_slow(self, seconds: float, phase: str) -> Diagnosis:
        hint = hanging(self._log())
        cause = f"not ready within {seconds:g} s (phase: {phase})" + (f"; its log says: {hint}" if hint else "")
        more = f" {NAMED['shm.hang'].advice}" if hint else ""
        return Diagnosis("ready.timeout", cause, f"Set timeouts.ready higher if the engine only needs more time.{more}")

    def _follow(self, seen: str, phase: str) -> tuple[str, str]:
        """Read what the log says after the time `seen`; the last time read, and the phase."""
        for at, text in self._lines_since(seen):
            seen, reached = at, phase_of(text)
            if reached and reached != phase:
                phase = reached
                self.journal.note(phase)
        return seen, phase

    def smoke(self) -> Proof:
        """The proof, with the engine's own words where it died of it."""
        self.journal.stage(Stage.SMOKE, "asking for an answer")
        self._bring_adapters()
        proof = self._shown(lambda: prove(self._http(), self._expected(), self.host.clock.monotonic))
        passed = "".join(f", {name}" for name in proof.checks)
        answered = f"{proof.completion_tokens} tokens" if proof.completion_tokens else proof.answer[:80]
        self.journal.note(f"{answered} in {proof.answered_in}{passed}")
        for warning in proof.warnings:
            self.journal.note(f"warning: {warning}")
        return proof

    def attend(self) -> None:
        """Go by an engine that runs as it is now: what it did before is held against nobody."""
        found = self._inspect()
        if found is not None:
            self.started_at = str(found["State"]["StartedAt"])
            self.restarts_before = int(found.get("RestartCount") or 0)

    def serve_adapters(self) -> bool:
        """Have an engine that runs on serve the entry's adapters and prove itself; whether there was anything to do."""
        done = self._bring_adapters()
        if done:
            self.smoke()
        return done

    def _bring_adapters(self) -> bool:
        """Those that are loaded after a start, or while it runs."""
        url, release, settings = self._expected().base_url, self.entry.release, self.entry.settings
        done = self._shown(lambda: live_adapters.bring(self._http(), url, release, settings, self.loaded, self.gone))
        for one in done:
            self.journal.note(f"adapter {one}")
        return bool(done)

    def _shown(self, ask: t.Callable[[], Shown]) -> Shown:
        """What the engine showed. Whatever its answer does to this program, the release is to blame for it."""
        try:
            return ask()
        except NotProved as error:
            raise self._not_proved(error) from error
        except Failed:
            raise
        except Exception as error:
            raise self._not_proved(NotProved("smoke.no_answer", unexpected(error))) from error

    def _expected(self) -> Expectation:
        return expectation(self.entry.release, self.entry.settings)

    def _http(self) -> Http:
        """What asks with the release's own API key, where it has one."""
        try:
            return self.host.keys.http(self.host.http, self.entry.release)
        except ApiKeyMissing as error:
            raise Failed(Diagnosis("api_key.missing", str(error), MISSING_KEY_ADVICE)) from error

    def hold(self) -> None:
        """The stability window: the same container, no restart, and one more answer at its end."""
        window = timeout(self.entry, "hold")
        self.journal.stage(Stage.HOLD, f"holding {window:g} s")
        end = self.host.clock.monotonic() + window
        while self.host.clock.monotonic() < end:
            self._must_run()
            self.journal.heartbeat("holding")
            self.host.clock.sleep(min(POLL, max(0.0, end - self.host.clock.monotonic())))
        self._shown(lambda: answers(self._http(), self._expected()))
        self._must_run()

    def _must_run(self) -> None:
        found = self._inspect()
        if found is None:
            raise Failed(Diagnosis("container.gone", "the container was removed by somebody else", "Try again."))
        state = found["State"]
        if int(found.get("RestartCount") or 0) > self.restarts_before:
            raise self._failed(self._diagnosed(state))
        if not state["Running"]:
            exit_code = state.get("ExitCode")
            diagnosis = self._diagnosed(state)
            cause = diagnosis.cause
            if f"exit code {exit_code})" not in cause:
                cause = f"the engine exited with code {exit_code}, its log says: {cause}"
            raise self._failed(replace(diagnosis, cause=cause))

    def _diagnosed(self, state: Json) -> Diagnosis:
        return diagnose(self._log(), state.get("ExitCode"), bool(state.get("OOMKilled")), self.entry.release)

    def _not_proved(self, error: NotProved) -> Failed:
        """An engine that dies of the question is told by its log; one that lives by its answer."""
        clock = self.host.clock
        deadline = clock.monotonic() + (DEATH_GRACE if error.failure_class in DEADLY else 0.0)
        try:
            self._must_run()
            while clock.monotonic() < deadline:
                clock.sleep(POLL)
                self._must_run()
        except Failed as died:
            return Failed(replace(died.diagnosis, cause=f"{error}; then {died.diagnosis.cause}"), died.log)
        return self._failed(Diagnosis(error.failure_class, str(error), error.advice))

    def _failed(self, diagnosis: Diagnosis) -> Failed:
        return Failed(diagnosis, self._log())

    def _inspect(self) -> Json | None:
        try:
            return self.host.docker.container(self.entry.container_id)
        except DockerError as error:
            raise Failed(Diagnosis("docker.away", str(error), "Look at docker.service.")) from error

    def _lines_since(self, seen: str) -> list[tuple[str, str]]:
        """Lines of the log after a time that Docker printed, each with its own time."""
        try:
            log = self.host.docker.logs(self.entry.container_id, epoch(seen))
        except DockerError:
            return []
        lines = [line.partition(" ") for line in log.split("\n")]
        return [(at, text) for at, _space, text in lines if at > seen and TIME.match(at)]

    def _log(self) -> str:
        """The log of this start: a container that is started again still has the lines of its life before."""
        return "\n".join(text for _at, text in self._lines_since(self.started_at))
