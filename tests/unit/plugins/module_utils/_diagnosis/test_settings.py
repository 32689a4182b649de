# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operator has set, by names that vLLM has."""

from __future__ import annotations

import json
import pathlib

from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis import settings

HISTORY = (
    pathlib.Path(__file__).resolve().parents[5] / "roles" / "vllm_server" / "files" / "engine_args" / "history.json"
)
# Keys of a document, and a word of messages: no arguments of their own.
NO_ARGUMENTS = {"device_memory_utilization", "num_speculative_tokens"}


def test_each_name_is_an_argument_of_some_release() -> None:
    """The host has no list of arguments; this one is held to the planner's."""
    known = set(json.loads(HISTORY.read_text())["arguments"])
    assert settings.NAMES - known == NO_ARGUMENTS
