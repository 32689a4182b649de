# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the plans of all hosts together on the control node: a table, a JSON file and a page."""

from __future__ import annotations

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.canonical_json import plain
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pages.report_action import ReportAction
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.plan_page import fleet, page, summary


class ActionModule(ReportAction):
    """The plans of all hosts."""

    FILES = (("approval", fleet.approved),)
    HINT = "A page of all this: -e vllm_plan_html=plan.html"

    def gathered(self, args: Json, now: str, problems: list[str]) -> Json:
        found = fleet.gather(plain(args["results"], "results", problems), now)
        if args["approval"] and not fleet.approvals(found):
            # An empty one would be none, and hold nothing against anybody.
            problems.append(
                "approval: no host can be planned with an image that is stated, so nothing is written to "
                f"{args['approval']}."
            )
            args["approval"] = ""
        return found

    def summary(self, gathered: Json) -> str:
        return summary.summary(gathered)

    def page(self, gathered: Json) -> str:
        return page.render(gathered)
