# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A play that stands still before its handlers, when every plan is made, for as long as a file of its own is there."""

from __future__ import annotations

import os
import pathlib
import time
import typing as t

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: standstill
type: aggregate
short_description: Stand still before the handlers
description: [As long as the file is there that E(GPUFLEET_STANDSTILL) names.]
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "standstill"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_handler_task_start(self, task: t.Any) -> None:
        until_gone = pathlib.Path(os.environ["GPUFLEET_STANDSTILL"])
        self._display.display("It stands still before its handlers.")
        while until_gone.exists():
            time.sleep(0.02)
