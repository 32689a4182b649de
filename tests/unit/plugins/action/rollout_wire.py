# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host as the action vllm_rollout sees it, and what it answers."""

from __future__ import annotations

import json
import typing as t

from ansible.errors import AnsibleConnectionFailure

Json = dict[str, t.Any]


def plan(instance: str, change: str) -> Json:
    return {
        "instance": instance,
        "change": change,
        "digest": "d",
        "release": {},
        "client": {},
        "settings": {},
        "fallbacks": [],
        "let_through": [],
        "warnings": ["x"],
    }


def ended(outcome: str, detail: str = "The end.", **facts: t.Any) -> Json:
    return {"instance": "a", "elapsed": 9.0, "stage": "commit", "detail": detail, "outcome": outcome, "facts": facts}


def reached(stage: str) -> Json:
    return {"instance": "a", "elapsed": 1.0, "stage": stage, "detail": "going"}


def news(*lines: Json, active: bool = False, offset: int = 0) -> Json:
    return {"rc": 0, "stdout": json.dumps({"lines": lines, "offset": offset, "active": active}), "stderr": ""}


class Wire:
    """The host as the action sees it: answers of the module and of `follow`, in order."""

    def __init__(self, follow: t.Sequence[Json | Exception] = (), program_there: bool = True) -> None:
        self.follow = list(follow)
        self.program_there = program_there
        self.refusal = ""
        self.out_of_reach = ""
        self.module_calls: list[Json] = []
        self.commands: list[str] = []
        self.brought: list[str] = []
        self.shown: list[str] = []
        self.paused = 0.0
        self.piped: list[bool] = []
        self.pipes = True
        self.order: list[str] = []

    def execute_module(self, name: str, module_args: Json, task_vars: Json) -> Json:
        if module_args["instance"] == self.out_of_reach:
            raise AnsibleConnectionFailure("gone")
        self.module_calls.append({"module": name, **module_args})
        self.order.append(f"start {module_args['instance']}")
        if not self.program_there and "program_source" not in module_args:
            return {"changed": False, "program_needed": True}
        if self.refusal:
            return {"failed": True, "msg": self.refusal}
        return {"changed": True, "offset": 17}

    def execute_command(self, command: str) -> Json:
        self.commands.append(command)
        self.order.append(f"follow {command.split()[2]}")
        answer = self.follow.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def started(self) -> list[tuple[str, str]]:
        return [(call["instance"], call["request"]["kind"]) for call in self.module_calls]


def pause(wire: Wire) -> t.Callable[[float], None]:
    def sleep(seconds: float) -> None:
        wire.paused += seconds

    return sleep


def good(instances: int) -> list[Json | Exception]:
    return [answer for _at in range(instances) for answer in (news(ended("verified")), news())]
