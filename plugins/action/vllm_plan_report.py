# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the plans of all hosts together on the control node: a table, a JSON file and a page."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.printable import printable_lines
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.canonical_json import plain
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pages import written as written_to
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.plan_page import fleet, page, summary

HINT = "A page of all this: -e vllm_plan_html=plan.html"
display = Display()


class ActionModule(ActionBase):  # type: ignore[misc,unused-ignore]
    """Once for all hosts. It changes no host, and writes what it is asked to write in check mode too."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(
            {
                "results": {"type": "dict", "required": True},
                "html": {"type": "path", "default": ""},
                "json": {"type": "path", "default": ""},
            }
        )
        problems: list[str] = []
        gathered = fleet.gather(plain(args["results"], "results", problems), written_to.now())
        display.display(printable_lines(summary.summary(gathered)))
        makers = (("json", written_to.document), ("html", page.render))
        written, amiss = written_to.files(makers, args, gathered)
        problems += amiss
        if problems:
            return {**result, "failed": True, "msg": " ".join(problems)}
        said = [f"Written: {path}" for path in written.values()]
        display.display("\n".join(said if args["html"] else [*said, HINT]))
        return {**result, "changed": False, "totals": gathered["totals"], **written}
