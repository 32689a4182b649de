# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong in a transaction, and the paragraph that an operator reads about it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import traceback
from dataclasses import dataclass

from .._diagnosis import failures
from .._diagnosis.diagnosis import Diagnosis
from .._outside.printable import printable
from .._state.state import Entry, Rejection
from . import classes

# Failures of the moment, not of the release: the same release may be tried again without being asked to.
OF_THE_MOMENT = failures.OF_THE_MOMENT | classes.OF_THE_MOMENT

MISSING_KEY_ADVICE = "Run the playbook again: it brings the key."


class Refused(Exception):
    """Preflight says no: nothing was touched."""

    def __init__(self, failure_class: str, cause: str, advice: str) -> None:
        super().__init__(cause)
        self.diagnosis = Diagnosis(failure_class, cause, advice)


class Failed(Exception):
    """A stage after the breadcrumb failed: the rollback begins. `log` is the engine's log where there is one."""

    def __init__(self, diagnosis: Diagnosis, log: str = "") -> None:
        super().__init__(diagnosis.cause)
        self.diagnosis = diagnosis
        self.log = log


@dataclass(frozen=True)
class Fault:
    """A failure with the stage that it happened in, ready to be told."""

    stage: str
    diagnosis: Diagnosis
    elapsed: float

    @property
    def what(self) -> str:
        after = f" after {self.elapsed:.0f} s" if self.elapsed >= 1 else ""
        return f"at stage {self.stage}{after} ({self.diagnosis.failure_class}): {self.diagnosis.cause.rstrip('.')}."

    @property
    def advice(self) -> str:
        return self.diagnosis.advice


def unexpected(error: Exception) -> str:
    """An error that nobody has thought of, in words that somebody who is to mend it can use."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    return printable(f"an unexpected error, please report it: {error!r}{where}")[:500]


def rejects(failure_class: str) -> bool:
    """Whether a failure of this class says something about the release itself."""
    return failure_class not in OF_THE_MOMENT


def refused_text(instance: str, diagnosis: Diagnosis, rolled_back: bool = False) -> str:
    cause = diagnosis.cause.rstrip(".")
    when = "after a rollout that was cut off had been rolled back" if rolled_back else "before anything was touched"
    return f"{instance}: refused {when} ({diagnosis.failure_class}): {cause}. {diagnosis.advice}"


def broken_text(instance: str, stage: str, diagnosis: Diagnosis) -> str:
    cause = diagnosis.cause.rstrip(".")
    return f"{instance}: broke off at stage {stage} ({diagnosis.failure_class}): {cause}. {diagnosis.advice}"


def rejected_before(digest: str, rejection: Rejection) -> Diagnosis:
    return Diagnosis(
        "rejected",
        f"release {digest[:12]} was tried at {rejection.at} and failed ({rejection.failure_class}): {rejection.cause}",
        f"{rejection.advice} To try the same again, set vllm_server_retry=true.",
    )


def fallen_text(bad: Entry, fault: Fault) -> str:
    """The sentence about a release in whose place the next step of its fallback is tried."""
    return f"Release {_named(bad)} failed {fault.what} "


def fallback_text(instance: str, fallen: str, serving: Entry) -> str:
    """The paragraph when a step of its fallback serves in the place of the planned release."""
    return (
        f"{instance}: {fallen}Release {_named(serving)} serves in its place, proved. "
        "Change the plan, or set vllm_server_retry=true to try the planned one again."
    )


def stopped_text(instance: str, fallen: str, bad: Entry, fault: Fault, held: Entry | None, kept: str) -> str:
    """The paragraph when a failed release was stopped with no rollback, as vllm_server_on_failure asks."""
    where = f" The log is kept in {kept}." if kept else ""
    back = (
        f"Release {held.short} is kept: playbooks/rollback.yml puts it back."
        if held is not None
        else "There was no release before it."
    )
    return (
        f"{instance}: {fallen}Release {_named(bad)} failed {fault.what} It was stopped and nothing serves, as "
        f"vllm_server_on_failure says. {back} {fault.advice}{where}"
    )


def _named(entry: Entry) -> str:
    return f"{entry.short} (fallback: {entry.fallback})" if entry.fallback else entry.short


def rolled_back_text(
    instance: str, bad: Entry, fault: Fault, serving: Entry | None, kept: str, fallen: str = ""
) -> str:
    """The paragraph after a release was rolled back; `fallen` tells of those that it was tried in the place of."""
    now = (
        f"Release {serving.short}{_of_another(serving, instance)} serves again, proved like a new one."
        if serving is not None
        else "There was no release before it: nothing of it is left running."
    )
    where = f" The log is kept in {kept}." if kept else ""
    failed = f"{fallen}Release {_named(bad)}" if fallen else f"release {_named(bad)}"
    return f"{instance}: {failed} failed {fault.what} It was rolled back. {now} {fault.advice}{where}"


def _of_another(serving: Entry, instance: str) -> str:
    name = serving.release["instance"]
    return "" if name == instance else f" of {name}"


def failed_text(instance: str, bad: Entry, fault: Fault, back: Fault, held: str, kept: str) -> str:
    """The paragraph when the rollback failed as well."""
    where = f" The log is kept in {kept}." if kept else ""
    return (
        f"{instance}: release {bad.short} failed {fault.what} The rollback to {held} failed {back.what} "
        f"Nothing is sure to serve, and no third release is tried. {back.advice}{where}"
    )


def not_cleared_text(instance: str, bad: Entry, fault: Fault, back: Fault, kept: str) -> str:
    """The paragraph when a release failed, none was there before it, and Docker did not get rid of it."""
    where = f" The log is kept in {kept}." if kept else ""
    return (
        f"{instance}: release {bad.short} failed {fault.what} There was no release before it, and it may still run: "
        f"clearing it away failed {back.what} {back.advice} The next release removes it, and so does "
        f"`docker rm --force {bad.release['container']['name']}`.{where}"
    )


def not_repaired_text(instance: str, current: Entry, fault: Fault, kept: str) -> str:
    where = f" The log is kept in {kept}." if kept else ""
    return (
        f"{instance}: the verified release {current.short} was started again and failed {fault.what} "
        f"{fault.advice}{where} playbooks/rollback.yml puts the release before it back, where one is kept."
    )
