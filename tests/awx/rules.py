# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX asks of surveys, and how it goes through a workflow.

Written anew from what AWX 24.6.1 does in `awx/api/views` and in `awx/main/scheduler/dag_workflow.py`.
"""

from __future__ import annotations

import typing as t

Json = dict[str, t.Any]
# The types of a survey, each with the Python types of a default.
KINDS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "textarea": (str,),
    "password": (str,),
    "multiplechoice": (str,),
    "multiselect": (list, str),
    "integer": (int,),
    "float": (float, int),
}
KEYS = {"type": str, "question_name": str, "variable": str, "required": bool}


def survey_problems(survey: Json) -> list[str]:
    """Why AWX would refuse a survey."""
    found = [
        f"{key} is missing or no {kind.__name__}"
        for key, kind in (("name", str), ("description", str), ("spec", list))
        if not isinstance(survey.get(key), kind)
    ]
    if found or not survey["spec"]:
        return found or ["spec is empty"]
    for at, question in enumerate(survey["spec"]):
        wrong = [key for key, kind in KEYS.items() if not isinstance(question.get(key), kind)]
        found += [f"question {at}: {key} is missing or no {KEYS[key].__name__}" for key in wrong]
        if not wrong:
            found += [f"{question['variable']}: {problem}" for problem in _question_problems(question)]
    names = [question.get("variable") for question in survey["spec"]]
    return found + [
        f"{name} is asked for twice" for name in sorted({str(one) for one in names if names.count(one) > 1})
    ]


def _question_problems(question: Json) -> t.Iterator[str]:
    kind, default = question["type"], question.get("default", "")
    if kind not in KINDS:
        yield f"no type {kind}"
        return
    if default != "" and (not isinstance(default, KINDS[kind]) or isinstance(default, bool)):
        yield f"the default {default!r} does not fit {kind}"
    for bound in ("min", "max"):
        if question.get(bound) is not None and not isinstance(question[bound], int):
            yield f"{bound} is no integer"
            return
    low, high = question.get("min"), question.get("max")
    if low is not None and high is not None and low > high:
        yield f"min {low} is above max {high}"
    # Of a text it is the length, of a number the value.
    size = len(default) if isinstance(default, str) else default
    if (
        default != ""
        and isinstance(size, (int, float))
        and ((low or size) > size or size > (size if high is None else high))
    ):
        yield f"the default {default!r} is beyond min or max"
    if kind in ("multiplechoice", "multiselect"):
        choices = question.get("choices")
        if not choices:
            yield "no choices"
        elif default and not set([default] if isinstance(default, str) else default) <= set(choices):
            yield f"the default {default!r} is no choice"


def walk(nodes: t.Sequence[Json], failing: t.Collection[str]) -> tuple[set[str], bool]:
    """Run a workflow in which these nodes fail: the nodes that ran, and whether AWX calls the workflow failed."""
    by_name = {node["identifier"]: node for node in nodes}
    linked = {name for node in nodes for name in _behind(node, "success_nodes", "failure_nodes", "always_nodes")}
    ran: set[str] = set()
    waiting = sorted(set(by_name) - linked)
    while waiting:
        name = waiting.pop()
        if name in ran:
            continue
        ran.add(name)
        waiting += _behind(by_name[name], "failure_nodes" if name in failing else "success_nodes", "always_nodes")
    lost = [name for name in ran & set(failing) if not _behind(by_name[name], "failure_nodes", "always_nodes")]
    return ran, bool(lost)


def _behind(node: Json, *links: str) -> list[str]:
    return [name for link in links for name in node.get(link, [])]
