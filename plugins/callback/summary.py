# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says at the end of a run what became of each instance of each host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: summary
type: aggregate
short_description: Say at the end of a run what became of each instance of each host
version_added: 0.2.0
description:
  - When a playbook of this collection ends, prints a table with a line for each instance of each host. It has the kind
    of change, the release that serves, the seconds that the rollout took, the verdict, and the cause where something
    failed.
  - Works beside any other callback, and in AWX, where the collection brings it. It tells of nothing that is hidden by
    C(no_log), and shows no secret.
author:
  - gpufleet.vllm contributors (@gpufleet)
requirements:
  - to be enabled, C(callbacks_enabled = gpufleet.vllm.summary) in C(ansible.cfg)
options:
  json:
    description: File on the control node to which the same is written as JSON. None is written, if empty.
    type: str
    default: ""
    env:
      - name: GPUFLEET_SUMMARY_JSON
    ini:
      - section: callback_gpufleet_summary
        key: json
seealso:
  - module: gpufleet.vllm.vllm_rollout
"""

import json
import os
import typing as t

from ansible.plugins.callback import CallbackBase

from ansible_collections.gpufleet.vllm.plugins.plugin_utils import summary

PLANS = "gpufleet.vllm.vllm_plan"
ROLLS_OUT = "gpufleet.vllm.vllm_rollout"
PROVES = "gpufleet.vllm.vllm_status"


class CallbackModule(CallbackBase):  # type: ignore[misc,unused-ignore]
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "gpufleet.vllm.summary"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: t.Any, **options: t.Any) -> None:
        super().__init__(*args, **options)
        self._summary = summary.Summary()

    def v2_runner_on_ok(self, result: t.Any) -> None:
        self._gather(result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        self._gather(result)
        if not ignore_errors:
            self._summary.failed(result.host.get_name(), result.result.get("msg"))

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        self._summary.failed(result.host.get_name(), result.result.get("msg"), summary.UNREACHABLE)

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        rows = self._summary.rows({*stats.failures, *stats.dark})
        lines = summary.table(rows)
        if lines:
            self._display.banner("INSTANCES")
            for line in lines:
                self._display.display(line)
        path = t.cast("t.Any", self).get_option("json")
        if path:
            self._write(path, json.dumps(summary.documents(rows), indent=1))

    def _gather(self, result: t.Any) -> None:
        host, action, told = result.host.get_name(), result.task.action, result.result
        if action == PLANS:
            self._summary.planned(host, told, bool(result.task.check_mode))
        elif action == ROLLS_OUT:
            self._summary.rolled_out(host, told)
        elif action == PROVES:
            self._summary.proved(host, told)

    def _write(self, path: str, text: str) -> None:
        """Whole or not at all; a run does not fail because of it."""
        new = f"{path}.{os.getpid()}.new"
        try:
            with open(new, "w", encoding="utf-8") as file:
                file.write(text + "\n")
            os.replace(new, path)
        except OSError as error:
            self._display.warning(f"The summary was not written to {path}: {error.strerror}")
