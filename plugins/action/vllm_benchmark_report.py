# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a benchmark, or the rounds of a comparison, together on the control node: lines, a JSON file, CSV, a page."""

from __future__ import annotations

from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.concealing import concealed
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.printable import all_printable
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.canonical_json import canonical_json, plain
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.benchmark_page import gathered, page
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pages import written as written_to

MAKERS = (("json", written_to.document), ("csv", gathered.as_csv), ("html", page.render))
# Characters of all that a host told. Some hundred thousand are usual, most of them samples.
LARGEST = 20_000_000


class ActionModule(ActionBase):  # type: ignore[misc,unused-ignore]
    """For one host. It changes nothing there."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(
            {
                "host": {"type": "str", "required": True},
                "found": {"type": "dict"},
                "blocks": {"type": "list", "elements": "dict"},
                "ended": {"type": "str", "default": ""},
                "differs": {"type": "list", "elements": "str", "default": []},
                "restarts": {"type": "list", "elements": "float", "default": []},
                **{name: {"type": "path", "default": ""} for name, _make in MAKERS},
            },
            required_one_of=[["found", "blocks"]],
            mutually_exclusive=[["found", "blocks"]],
        )
        problems: list[str] = []
        told = {name: plain(args[name], name, problems) for name in ("found", "blocks", "differs", "ended")}
        size = 0 if problems else len(canonical_json(told))
        if size > LARGEST:
            problems.append(f"{args['host']} told {size} characters, more than {LARGEST} of one benchmark.")
        if problems:
            return {**result, "failed": True, "msg": " ".join(problems)}
        clean = concealed(all_printable(told))
        try:
            if clean["found"] is not None:
                whole = gathered.benchmark(args["host"], clean["found"])
            else:
                whole = gathered.comparison(
                    args["host"], clean["blocks"], clean["differs"], args["restarts"], clean["ended"]
                )
        except gathered.NotUnderstoodError as error:
            return {**result, "failed": True, "msg": f"What {args['host']} told is no benchmark: {error}."}
        written, amiss = written_to.files(MAKERS, args, whole)
        told = {"changed": False, "outcome": whole["outcome"], "table": gathered.table(whole)}
        # What hours have measured is told where no disk takes it, too.
        return {**result, **told, **({"failed": True, "msg": " ".join(amiss)} if amiss else written)}
