# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts each planned change on its host and follows it to its end. The host carries it out, or rolls it back."""

from __future__ import annotations

import time
import typing as t

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside import documents
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.printable import all_printable, printable
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.changes.plan import Promotion
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory.api_key import stated
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.journal import GOOD_OUTCOMES
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.request import Result, StageLine
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.units import unit_name
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import brought_files, rollout_requests
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.program_action import (
    FOLLOW_WAIT,
    LOST_LIMIT,
    ProgramAction,
)
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.rollout_requests import Due, Promoted, Updated
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.told_action import as_told

MODULE = "gpufleet.vllm.vllm_rollout"
# No unreachable host: nothing that stands in a rescue would run for one.
LOST = (
    "{}: the host has been out of reach for {} s. It finishes the rollout or rolls it back by itself; look at it with "
    "playbooks/verify.yml."
)

# ansible-core 2.22 masks each value of a no_log option, down to a port's number, wherever it is said: so
# `instances` is raw, and no message about a wrong type quotes a key.
OPTIONS = {
    "plans": {"type": "list", "elements": "dict", "default": []},
    "rollback": {"type": "list", "elements": "str", "default": []},
    "turns": {"type": "list", "elements": "dict", "default": []},
    "retry": {"type": "bool", "default": False},
    "instances": {"type": "raw", "default": []},
    "roll_back": {"type": "list", "elements": "dict", "default": []},
    "because": {"type": "str", "default": ""},
    "itself": {"type": "bool", "default": False},
    "blame": {"type": "bool", "default": True},
    "promotions": {"type": "list", "elements": "dict", "default": []},
}

NEWS: documents.Shape = {
    "lines": [{"instance": str, "elapsed": float, "stage": str, "detail": str, "outcome?": str, "facts?": {}}],
    "offset": int,
    "active": bool,
}


class News(t.TypedDict):
    """What `gpufleet-host follow` prints: lines behind an offset, the one behind them, whether the unit still runs."""

    lines: list[StageLine]
    offset: int
    active: bool


# Where a module that broke leaves a traceback; `exception` may be an object without one.
LAST_WORDS = ("exception", "module_stderr", "module_stdout")


def _why(started: Json) -> str:
    """Why the module did not start the rollout; a module that broke says it in its last words."""
    said = next((text for text in map(started.get, LAST_WORDS) if isinstance(text, str) and text), "")
    last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "")
    told = str(started.get("msg") or "the rollout did not start")
    return f"{told} ({last})" if last and last not in told else told


def _keys(instances: t.Any) -> dict[str, list[str]]:
    """The API keys by instance. Raises AnsibleActionFail where these are no instances."""
    if not isinstance(instances, (list, tuple)) or not all(isinstance(one, dict) for one in instances):
        raise AnsibleActionFail(
            "instances must be a list of mappings, as vllm_plan takes it: correct it. It is not shown here, because it "
            "may hold API keys."
        )
    return stated(instances)


def _news_of(instance: str, text: str) -> News:
    """What `follow` printed, in the shape that it has and fit for a terminal. A line of the log is one here too."""
    try:
        news = documents.parse(text)
        problem = documents.misfit(news, NEWS, "the answer")
    except ValueError as error:
        problem = printable(error)
    if problem:
        raise AnsibleActionFail(
            f"{instance}: following the rollout failed, what the host says is not understood: {problem}"
        )
    lines: t.Any = [{"facts": {}, **all_printable(line), "detail": printable(line["detail"])} for line in news["lines"]]
    return {"lines": lines, "offset": news["offset"], "active": news["active"]}


class ActionModule(ProgramAction):
    """One host: its changes one after another."""

    TRANSFERS_FILES = True

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        _result, args = self.validate_argument_spec(OPTIONS)
        self._api_keys = _keys(args["instances"])
        result.update(changed=False, results=[], updated=[], warnings=[])
        due = rollout_requests.planned(args["plans"], args["retry"], args["itself"])
        due += rollout_requests.rollbacks(args["rollback"])
        due += rollout_requests.switches(args["turns"], args["retry"])
        if self._task.check_mode:
            promoting = any(promotion["plans"] for promotion in args["promotions"])
            return {**result, "changed": bool(due or args["roll_back"] or promoting), "promoted": []}
        self._vars = task_vars or {}
        self._host = str(self._task.delegate_to or self._vars.get("inventory_hostname", "the host"))
        if args["roll_back"]:
            return self._roll_back(args["roll_back"], args["because"], args["blame"], result)
        if args["promotions"]:
            return self._promote(args["promotions"], args["retry"], result)
        return self._go_forward(due, result)

    def _go_forward(self, due: t.Sequence[Due], result: Json) -> Json:
        """One after another; the first that fails stops the rest, and with it an exchange of ports is rolled back."""
        steps: list[tuple[Due, Result]] = []
        for at, one in enumerate(due):
            steps = [step for step in steps if step[0].exchange == one.exchange]
            message = self._carry_out(one, result)
            outcome = result["results"][-1]
            if outcome["outcome"] not in GOOD_OUTCOMES:
                message += self._undo(steps, outcome, result)
                names = dict.fromkeys(later.instance for later in due[at + 1 :] if later.instance != one.instance)
                untouched = f" Not tried after that: {', '.join(names)}." if names else ""
                return {**result, "failed": True, "msg": message + untouched}
            change = rollout_requests.updated(one, outcome)
            result["updated"] += [change] if change else []
            steps += [(one, outcome)] if one.exchange else []
        return result

    def _undo(self, steps: t.Sequence[tuple[Due, Result]], failed: Result, result: Json) -> str:
        """Roll back what an exchange of ports has done before one of its steps failed, the last first; what to say."""
        if not steps:
            return ""
        names = {step.instance for step, _outcome in steps}
        result["updated"] = [one for one in result["updated"] if one["instance"] not in names]
        if failed["outcome"] == "lost":
            return f" The exchange of ports is half done ({', '.join(sorted(names))}): the next run goes on with it."
        told = []
        for step, outcome in reversed(steps):
            back = rollout_requests.undone(step, outcome)
            if back is not None:
                message = self._carry_out(back, result)
                good = result["results"][-1]["outcome"] in GOOD_OUTCOMES
                told.append(f"{'Rolled back' if good else 'Not rolled back'}: {message}")
        return " ".join(["", "The exchange of ports was given up.", *told])

    def _roll_back(self, updated: t.Sequence[Updated], because: str, blame: bool, result: Json) -> Json:
        """The last change first; one that does not go back keeps no other from going."""
        told, failed = [], False
        for before in reversed(updated):
            one = rollout_requests.rollback(before, because, blame)
            if one is None:
                told.append(rollout_requests.stays(before))
                continue
            try:
                message = self._carry_out(one, result)
            except AnsibleConnectionFailure as error:
                told.append(f"{one.instance}: not rolled back, the host is out of reach ({error}).")
                failed = True
                continue
            back = result["results"][-1]["outcome"] in GOOD_OUTCOMES
            told.append(f"{'Rolled back' if back else 'Not rolled back'}: {message}")
            failed = failed or not back
        return {**result, "failed": failed, "msg": " ".join(told)}

    def _promote(self, promotions: t.Sequence[Promotion], retry: bool, result: Json) -> Json:
        """Each instance profile by profile, as far as they hold. One that does not hold is an answer and no failure."""
        promoted: list[Promoted] = []
        told: list[str] = []
        for promotion in promotions:
            reached, why = promotion["stands_on"], rollout_requests.ended_early(promotion)
            for profile, one in rollout_requests.promotion_steps(promotion, retry):
                message = self._carry_out(one, result)
                outcome = result["results"][-1]
                if outcome["outcome"] in GOOD_OUTCOMES:
                    reached = profile
                    continue
                if not reached or not rollout_requests.does_not_hold(outcome):
                    return {**result, "promoted": promoted, "failed": True, "msg": " ".join([*told, message])}
                why = f"{profile} does not hold: {message}"
                break
            instance, profiles = promotion["instance"], promotion["promotion"]
            promoted.append({"instance": instance, "promotion": profiles, "profile": reached, "why": why})
            told.append(rollout_requests.stands(promoted[-1]))
        return {**result, "promoted": promoted, "msg": told}

    def _carry_out(self, one: Due, result: Json) -> str:
        """Start one request and follow it to its end, which goes to the results; the paragraph about it."""
        started = self._start(one, self._vars)
        outcome: Result = {"instance": one.instance, "outcome": "refused"}
        if started.get("failed"):
            message = f"{one.instance}: {_why(started)}"
        else:
            line = self._follow(one.instance, started["offset"])
            outcome = {**outcome, **line["facts"], "outcome": line["outcome"]}
            if "elapsed" in line:
                outcome["seconds"] = line["elapsed"]
            message = line["detail"]
        result["results"].append(outcome)
        touched = outcome["outcome"] != "refused" or outcome.get("rolled_back", False)
        result["changed"] = result["changed"] or touched
        result["warnings"] += [f"{one.instance}: {printable(warning)}" for warning in outcome.get("warnings", [])]
        if outcome["outcome"] == "fallback":
            result["warnings"].append(message)
        return message

    def _start(self, one: Due, task_vars: Json) -> Json:
        """Have the module start the unit; bring the program first where the host has another one, or none."""
        args: Json = {"instance": one.instance, "request": one.request}
        if one.files:
            try:
                args["files"] = brought_files.carried(one.files)
            except brought_files.GoneError as error:
                return {"failed": True, "msg": str(error)}
        return self._with_program(lambda asked: self._execute(asked, task_vars), args)

    def _execute(self, args: Json, task_vars: Json) -> Json:
        keys = self._api_keys.get(args["instance"])
        if keys:
            return as_told(self._execute_piped(MODULE, {**args, "api_key": keys}, task_vars))
        return as_told(self._execute_module(MODULE, module_args=args, task_vars=task_vars))

    def _follow(self, instance: str, offset: int) -> StageLine:
        """Show each stage as it is reached, until the unit has ended; the last line."""
        last: StageLine = {}
        while True:
            try:
                news = self._news(instance, offset)
            except AnsibleConnectionFailure:
                return {"outcome": "lost", "detail": LOST.format(instance, LOST_LIMIT), "facts": {}}
            offset = news["offset"]
            for line in news["lines"]:
                self._show(line)
                last = line if "outcome" in line else last
            if not news["active"] and not news["lines"]:
                break
        if last:
            return last
        message = (
            f"{instance}: the rollout ended without a word; look at `journalctl -u {unit_name(instance)}` on the host. "
            "What it left unfinished is rolled back by the host's watch within a minute, or by the next run."
        )
        return {"outcome": "failed", "detail": message, "facts": {}}

    def _news(self, instance: str, offset: int) -> News:
        words = ["follow", instance, "--offset", str(offset), "--wait", str(FOLLOW_WAIT)]
        return _news_of(instance, self._said_by_host(words, instance, "the rollout", time))

    def _show(self, line: StageLine) -> None:
        """A failure is told by the task's own message."""
        if self._task.no_log or line.get("outcome", GOOD_OUTCOMES[0]) not in GOOD_OUTCOMES:
            return
        detail = line["detail"].removeprefix(f"{line['instance']}: ")
        told = f"[{self._host}] {line['instance']}  {line['elapsed']:6.1f} s  {line['stage']:<10}  {detail}"
        self._display.display(told.rstrip())
