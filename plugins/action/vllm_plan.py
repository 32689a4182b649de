# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans a host's vLLM servers on the control node, without a connection. Documented in plugins/modules/vllm_plan.py."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.gpufleet.vllm.plugins.module_utils._findings.findings import Findings
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.printable import printable_lines
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import (
    overview,
    planner,
    promotion_plans,
    report,
    turns,
    upgrade,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.changes import approval
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.changes.plan import Plan, Promotion
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import inputs
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.canonical_json import plain
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import data_files, schema_files

OPTIONS = frozenset(
    {
        "active",
        "advisories",
        "apply_hardening",
        "approved",
        "catalogue",
        "class_engine_args",
        "class_limits",
        "environment_engine_args",
        "facts",
        "files",
        "fingerprints",
        "host_class",
        "image",
        "instances",
        "promotion",
        "models",
        "only_plan",
        "profiles",
        "promote",
        "readings",
        "remove_unlisted",
        "retry",
        "schemas",
        "settings",
        "target",
        "unknown_arguments",
        "version",
    }
)
# What says how planning goes, not what is planned.
NOT_PLANNED_BY = frozenset({"approved", "only_plan", "promote", "readings", "schemas"})
DATA_FILES = ("advisories", "catalogue")
STATE_IT = "state vllm_server_image and vllm_server_version in the inventory, and run plan.yml again."
display = Display()


def _unsaid(outcome: planner.Outcome) -> list[str]:
    """Warnings of the host: those of an instance stand in its block."""
    said = {text for plan in (*outcome.plans, *outcome.drafts) for text in plan["warnings"]}
    return [text for text in outcome.warnings if text not in said]


class ActionModule(ActionBase):  # type: ignore[misc,unused-ignore]
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = OPTIONS

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        host = str((task_vars or {}).get("inventory_hostname", "the host"))
        errors: list[str] = []
        only_plan, promote = (inputs.switch(self._task.args.get(key), key, errors) for key in ("only_plan", "promote"))
        outcome, about, promotions, upgraded, switches, image = self._plan(errors, promote, only_plan)
        unlike = [] if promote or outcome.errors else self._unlike(outcome, host, image)
        if unlike:
            outcome = dataclasses.replace(outcome, plans=(), drafts=outcome.plans, diff=(), errors=tuple(unlike))
        shown = bool(outcome.blocks) and (outcome.changed or only_plan or promote or self._task.check_mode)
        if shown:
            display.display(printable_lines("\n".join(f"[{host}] {block}" for block in outcome.blocks)))
        if upgraded:
            display.display(printable_lines(f"[{host}] " + "\n".join(upgrade.lines(upgraded))))
        result |= {
            "changed": outcome.changed and not only_plan and not promote,
            "warnings": _unsaid(outcome) if shown else list(outcome.warnings),
            "plans": list(outcome.plans),
            "advisories": list(outcome.advisories),
            **({"promotions": promotions} if promote else {}),
        }
        if only_plan:
            result |= {"host": about, "errors": list(outcome.errors), "drafts": list(outcome.drafts)}
            result |= {"upgrade": upgraded, "turns": switches}
        if outcome.errors:
            message = approval.refusal(host, unlike) if unlike else report.failure(host, outcome.errors)
            return result | {"failed": not only_plan, "msg": message, "errors": list(outcome.errors)}
        return result | {
            "diff": list(outcome.diff),
            **({} if image else {"approval": approval.approval(outcome.plans)}),
            "provable": [plan["instance"] for plan in outcome.plans if self._is_provable(plan)],
        }

    def _unlike(self, outcome: planner.Outcome, host: str, image: str) -> list[str]:
        """In what these plans differ from those that were approved, where any were."""
        problems: list[str] = []
        if image and self._task.args.get("approved"):
            return [f"It is planned with {image}, which nobody states: {STATE_IT}"]
        approved = approval.read(plain(self._task.args.get("approved"), "approved", problems), host, problems)
        return problems + (approval.differences(approved, outcome.plans) if approved is not None else [])

    def _is_provable(self, plan: Plan) -> bool:
        """What serves when the play has ended: in check mode nothing that is not there yet."""
        return plan["active"] and (not self._task.check_mode or plan["change"] in ("none", "live"))

    def _plan(
        self, errors: list[str], promote: bool, only_plan: bool
    ) -> tuple[planner.Outcome, dict[str, t.Any], list[Promotion], dict[str, t.Any], list[dict[str, t.Any]], str]:
        """The last is an image that only a plan to be read has: no run would roll it out."""
        args = self._task.args
        try:
            history, readings = schema_files.load(str(args.get("schemas", "")), str(args.get("readings") or ""))
            documents = {name: data_files.read(str(args.get(name) or ""), name) for name in DATA_FILES}
        except (schema_files.BadSchemaError, data_files.BadDataError) as error:
            return planner.Outcome(errors=(*errors, str(error))), {}, [], {}, [], ""
        given = {key: value for key, value in args.items() if key not in NOT_PLANNED_BY} | documents
        read = dataclasses.replace(inputs.read(given, history, readings, errors), promote=promote)
        promotions: list[Promotion] = []
        upgrading = only_plan and upgrade.wanted(read)
        stated, read = read.image, upgrade.target(read) if upgrading else read
        outcome = planner.plan_host(read, errors)
        if promote:
            outcome, promotions = promotion_plans.plan(read, outcome)
        switches = turns.switches(planner.listed_instances(read, Findings()), read) if only_plan else []
        compared = upgrade.compare(read, outcome) if upgrading else {}
        another = read.image if read.image != stated else ""
        return outcome, overview.host(read), promotions, compared, switches, another
