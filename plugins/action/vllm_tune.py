# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what a tuning tries next, on the control node, and has the host keep what it has found."""

from __future__ import annotations

import datetime as dt
import os
import re
import time
import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.concealing import concealed
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.printable import all_printable, printable
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.canonical_json import plain
from ansible_collections.gpufleet.vllm.plugins.module_utils._tune import asked as of_operator
from ansible_collections.gpufleet.vllm.plugins.module_utils._tune import outcome, report, search
from ansible_collections.gpufleet.vllm.plugins.module_utils._tune import trial as trials_of
from ansible_collections.gpufleet.vllm.plugins.module_utils._tune.asked import Asked
from ansible_collections.gpufleet.vllm.plugins.module_utils._tune.goals import Values
from ansible_collections.gpufleet.vllm.plugins.module_utils._tune.search import End, Step
from ansible_collections.gpufleet.vllm.plugins.module_utils._tune.trial import Trial
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pages import written as written_to
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.told_action import as_told

MODULE = "gpufleet.vllm.vllm_tune"
# As the module's, without what the action states itself.
OPTIONS = {
    "instance": {"type": "str", "required": True},
    "goal": {"type": "str", "required": True},
    "arguments": {"type": "dict", "default": {}},
    "values": {"type": "list", "elements": "raw", "default": []},
    "steps": {"type": "int", "default": 6},
    "rounds": {"type": "int", "default": 3},
    "minutes": {"type": "int", "default": 120},
    "workload": {"type": "dict", "required": True},
    "planned": {"type": "dict", "required": True},
    "trials": {"type": "list", "elements": "dict", "default": []},
    "tried": {"type": "dict", "default": {}},
    "began": {"type": "str", "default": ""},
    "dir": {"type": "path", "default": ""},
}
# Of a plan before anything is tried: what serves is what the inventory says.
SETTLED = ("none", "live")


class ActionModule(ActionBase):  # type: ignore[misc,unused-ignore]
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(OPTIONS)
        problems: list[str] = []
        args = {name: plain(value, name, problems) for name, value in args.items()}
        if problems:
            return {**result, "failed": True, "msg": " ".join(problems)}
        host, now = str((task_vars or {}).get("inventory_hostname", "the host")), time.time()
        began = float(args["began"]) if args["began"] else now
        errors: list[str] = []
        asked, start, notes = self._asked(args, errors)
        if errors or asked is None:
            return {**result, "failed": True, "msg": " ".join(errors), "errors": errors}
        trials = [trials_of.of(one) for one in args["trials"]]
        decided: Step | End
        try:
            trials += _tried(args["tried"], args["instance"], now)
            decided = search.next_of(asked, start, trials, now - began)
        except outcome.Ended as ended:
            decided = End(search.serving(start, trials), "not_measured", printable(ended))
        if isinstance(decided, End):
            notes += _untried(asked, start, trials)
        about = _about(args, host, began, now, notes)
        found = concealed(all_printable(report.document(asked, start, trials, decided, about)))
        written, problems = _written(args["dir"], host, found, asked, trials)
        kept = self._kept(args["instance"], found, task_vars) if isinstance(decided, End) else {}
        if kept.get("failed"):
            problems.append(str(kept.get("msg")))
        told = {
            "changed": bool(kept.get("changed")),
            "step": {"values": decided.values, "stage": decided.stage, "why": decided.why}
            if isinstance(decided, Step)
            else None,
            "end": {"values": decided.values, "outcome": decided.outcome, "why": decided.why}
            if isinstance(decided, End)
            else None,
            "trials": [one.as_dict() for one in trials],
            "profile": {"engine_args": decided.values},
            "began": str(began),
            "now": str(now),
            "most": asked.most_steps,
            "would": _would(asked, start, notes),
            "said": _said(asked, start, trials, decided, notes),
            "yaml": report.yaml(args["instance"], decided.values),
            "written": written,
        }
        return {**result, **told, **({"failed": True, "msg": " ".join(problems)} if problems else {})}

    def _asked(self, args: Json, errors: list[str]) -> tuple[Asked | None, Values, list[str]]:
        """What is asked, where it begins, and what is to be said of that."""
        plan = next((one for one in args["planned"].get("plans") or () if one["instance"] == args["instance"]), None)
        workload = args["workload"]
        numbers = {name: int(workload[name]) for name in ("concurrency", "prompt_tokens")}
        asked = of_operator.read({**args, **numbers}, errors)
        if plan is None or not plan.get("release") or plan["change"] not in SETTLED:
            errors.append(
                f"{args['instance']} does not serve what the inventory says: roll that out with site.yml, then tune it."
            )
        if asked is None or errors:
            return None, {}, []
        start, notes = of_operator.start_of(asked, plan["release"]["arguments"] if plan else {}, errors)
        return asked, start, notes

    def _kept(self, instance: str, found: Json, task_vars: Json | None) -> Json:
        """The host keeps it. One that does not has been tuned all the same."""
        if self._task.check_mode or not found["trials"]:
            return {}
        return as_told(
            self._execute_module(MODULE, module_args={"instance": instance, "found": found}, task_vars=task_vars)
        )


def _tried(tried: Json, instance: str, now: float) -> list[Trial]:
    if not tried:
        return []
    seconds = max(0.0, now - float(tried["began"]))
    planned, rolled, measured = (tried.get(name) or {} for name in ("planned", "rolled", "measured"))
    return [outcome.made(tried["step"], instance, planned, rolled, measured, seconds)]


def _untried(asked: Asked, start: Values, trials: t.Sequence[Trial]) -> list[str]:
    """What was stated and never tried: the time was over, or it ended before."""
    left = search.untried(asked, start, trials)
    return [f"Of vllm_tune_values, these were not tried: {'; '.join(map(report.said, left))}."] if left else []


def _about(args: Json, host: str, began: float, now: float, notes: list[str]) -> Json:
    return {
        "host": host,
        "instance": args["instance"],
        "began": _utc(began),
        "at": _utc(now),
        "workload": args["workload"],
        "notes": notes,
    }


def _utc(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, tz=dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _written(
    folder: str, host: str, found: Json, asked: Asked, trials: t.Sequence[Trial]
) -> tuple[list[str], list[str]]:
    """The report of a tuning has one name from its beginning on: whoever interrupts it finds what was found."""
    if not folder or not found["trials"]:
        return [], []
    began = found["began"].translate({ord("-"): None, ord(":"): None})
    # A host's name is no part of a path.
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", f"{host}.{found['instance']}.tune.{began}")
    texts = {"json": written_to.document(found), "md": report.markdown(found, asked.aim, trials)}
    paths = {suffix: os.path.join(os.path.abspath(folder), f"{name}.{suffix}") for suffix in texts}
    problems = [
        text for suffix, path in paths.items() for text in written_to.write(path, "vllm_tune_dir", texts[suffix])
    ]
    return list(paths.values()), problems


def _would(asked: Asked, start: Values, notes: t.Sequence[str]) -> list[str]:
    """What a run would do: which values it tries hangs on what it measures."""
    if asked.stated:
        values = "; ".join(map(report.said, search.untried(asked, start, ())))
        nothing = "None of vllm_tune_values would be tried: they are what serves."
        tries = f"These would be tried, each as a release: {values}." if values else nothing
    else:
        ranges = ", ".join(f"{name} within {one.least:g} to {one.most:g}" for name, one in asked.ranges.items())
        tries = f"Up to {asked.steps} releases would be tried, {ranges}, by what is measured and the planner's bounds."
    decides = f"The best and what serves would then be rolled out and measured in turn, {asked.rounds} times each."
    return [
        f"For {asked.goal}, what serves would be measured first: {report.said(start)}.",
        tries,
        decides if asked.aim.is_measured else "The longest that serves would stay.",
        *notes,
    ]


def _said(
    asked: Asked, start: Values, trials: t.Sequence[Trial], decided: Step | End, notes: t.Sequence[str]
) -> list[str]:
    """For the terminal: what became of the last step, and what is next or stays."""
    told = [printable(report.line(asked.aim, trials[-1]))] if trials else list(notes)
    if isinstance(decided, End):
        return [*told, f"{report.SAID[decided.outcome].capitalize()}: {decided.why}.", *(notes if trials else [])]
    serves = report.said(search.serving(start, trials))
    return [
        *told,
        f"Next: {report.said(decided.values)} ({decided.why}).",
        f"Where this is interrupted, what is verified serves: {serves}, or what is next once that is.",
    ]
