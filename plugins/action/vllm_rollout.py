# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts each planned change on its host and follows it to its end. The host carries it out, or takes it back."""

from __future__ import annotations

import json
import shlex
import tempfile
import time
import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.api_key import stated
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.journal import GOOD_OUTCOMES
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.units import PROGRAM, unit_name
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.host_program import build
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.piped_action import PipedAction

MODULE = "gpufleet.vllm.vllm_rollout"
MODULE_UTILS = Path(__file__).resolve().parent.parent / "module_utils"
FOLLOW_WAIT = 10
LOST_LIMIT = 600
LOST_PAUSE = 5

# What gives ports and GPUs back comes first.
ORDER = ("remove", "live", "repair", "restart", "create")
KINDS = {"remove": "remove", "live": "live", "repair": "repair", "restart": "rollout", "create": "rollout"}

OPTIONS = {
    "plans": {"type": "list", "elements": "dict", "default": []},
    "rollback": {"type": "list", "elements": "str", "default": []},
    "retry": {"type": "bool", "default": False},
    "instances": {"type": "list", "elements": "dict", "default": [], "no_log": True},
}

Json = dict[str, t.Any]
# Where a module that broke leaves a traceback; from ansible-core 2.19 `exception` is an object without one.
LAST_WORDS = ("exception", "module_stderr", "module_stdout")


def requests(plans: t.Sequence[Json], rollback: t.Sequence[str], retry: bool) -> list[tuple[str, Json]]:
    """The requests for the host, in the order in which they are carried out: (instance, request)."""
    due = sorted((plan for plan in plans if plan["change"] != "none"), key=lambda plan: ORDER.index(plan["change"]))
    documents = ("digest", "release", "client", "settings", "rungs")
    planned = [
        (
            str(plan["instance"]),
            {"kind": KINDS[plan["change"]], "retry": retry, "plan": {name: plan.get(name) for name in documents}},
        )
        for plan in due
    ]
    return planned + [(name, {"kind": "rollback"}) for name in rollback]


def _why(started: Json) -> str:
    """Why the module did not start the rollout; a module that broke says it in its last words."""
    said = next((text for text in map(started.get, LAST_WORDS) if isinstance(text, str) and text), "")
    last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "")
    told = str(started.get("msg") or "the rollout did not start")
    return f"{told} ({last})" if last and last not in told else told


class ActionModule(PipedAction):
    """One host: its changes one after another; the first that fails stops the rest."""

    TRANSFERS_FILES = True

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        _result, args = self.validate_argument_spec(OPTIONS)
        due = requests(args["plans"], args["rollback"], args["retry"])
        result.update(changed=False, results=[], warnings=[])
        if self._task.check_mode:
            return {**result, "changed": bool(due)}
        self._api_keys = stated(args["instances"])
        self._host = str((task_vars or {}).get("inventory_hostname", "the host"))
        for at, (instance, request) in enumerate(due):
            outcome = self._carry_out(instance, request, task_vars or {})
            message = outcome.pop("message")
            if outcome["outcome"] == "fallback":
                result.setdefault("warnings", []).append(message)
            result["results"].append(outcome)
            result["warnings"] += [f"{instance}: {warning}" for warning in outcome.get("warnings", [])]
            result["changed"] = result["changed"] or outcome["outcome"] != "refused"
            if outcome["outcome"] not in GOOD_OUTCOMES:
                left = ", ".join(name for name, _request in due[at + 1 :])
                untouched = f" Not tried after that: {left}." if left else ""
                return {**result, "failed": True, "msg": message + untouched}
        return result

    def _carry_out(self, instance: str, request: Json, task_vars: Json) -> Json:
        started = self._start(instance, request, task_vars)
        if started.get("failed"):
            return {"instance": instance, "outcome": "refused", "message": f"{instance}: {_why(started)}"}
        line = self._follow(instance, started["offset"])
        return {"instance": instance, "outcome": line["outcome"], "message": line["detail"], **line["facts"]}

    def _start(self, instance: str, request: Json, task_vars: Json) -> Json:
        """Have the module start the unit; bring the program first where the host has another one, or none."""
        program = build(MODULE_UTILS)
        args = {"instance": instance, "request": request, "program_digest": program.digest}
        started = self._execute(args, task_vars)
        if started.get("program_needed"):
            source = self._bring(program.content)
            started = self._execute({**args, "program_source": source}, task_vars)
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return started

    def _execute(self, args: Json, task_vars: Json) -> Json:
        keys = self._api_keys.get(args["instance"])
        if keys:
            return self._execute_piped(MODULE, {**args, "api_key": keys}, task_vars)
        return t.cast(Json, self._execute_module(MODULE, module_args=args, task_vars=task_vars))

    def _bring(self, content: bytes) -> str:
        folder = self._connection._shell.tmpdir or self._make_tmp_path()
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            target = self._connection._shell.join_path(folder, "gpufleet-host")
            self._transfer_file(file.name, target)
        return str(target)

    def _follow(self, instance: str, offset: int) -> Json:
        """Show each stage as it is reached, until the unit has ended; the last line."""
        last: Json = {}
        while True:
            news = self._news(instance, offset)
            offset = news["offset"]
            for line in news["lines"]:
                self._show(line)
                last = line if "outcome" in line else last
            if not news["active"] and not news["lines"]:
                break
        if last:
            return last
        message = (
            f"{instance}: the rollout ended without a word; look at `journalctl -u {unit_name(instance)}` on the host."
        )
        return {"outcome": "failed", "detail": message, "facts": {}}

    def _news(self, instance: str, offset: int) -> Json:
        command = shlex.join([PROGRAM, "follow", instance, "--offset", str(offset), "--wait", str(FOLLOW_WAIT)])
        lost_since = None
        while True:
            try:
                answer = self._low_level_execute_command(command)
            except AnsibleConnectionFailure:
                lost_since = lost_since or time.monotonic()
                if time.monotonic() - lost_since > LOST_LIMIT:
                    raise
                self._display.display(f"{instance}: the host is out of reach and goes on by itself; trying again")
                time.sleep(LOST_PAUSE)
                continue
            if answer["rc"] != 0:
                raise AnsibleActionFail(f"{instance}: following the rollout failed: {answer['stderr'].strip()}")
            return t.cast(Json, json.loads(answer["stdout"]))

    def _show(self, line: Json) -> None:
        """A failure is told by the task's own message."""
        if self._task.no_log or line.get("outcome", GOOD_OUTCOMES[0]) not in GOOD_OUTCOMES:
            return
        detail = line["detail"].removeprefix(f"{line['instance']}: ")
        told = f"[{self._host}] {line['instance']}  {line['elapsed']:6.1f} s  {line['stage']:<10}  {detail}"
        self._display.display(told.rstrip())
