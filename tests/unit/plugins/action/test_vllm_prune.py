# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host is told names and texts of the inventory, and no key."""

from __future__ import annotations

import types
import typing as t

from ansible_collections.gpufleet.vllm.plugins.action import vllm_prune as action

NOTHING: t.Any = None


def test_the_host_is_told_what_may_name_a_model() -> None:
    instances = [
        {
            "name": "a",
            "model": "org/m",
            "api_key": "sk-0123456789abcdef",
            "engine_args": {"x": [{"model": "org/draft"}]},
        },
        {"name": "b", "api_key": ["sk-fedcba9876543210"]},
        "no mapping",
    ]
    given = {"instances": instances, "mentioned": [{"p": {"engine_args": {"tokenizer": "org/t"}}}], "keep_days": 3}
    task = types.SimpleNamespace(args=given)
    parts: t.Any = {"task": task, "connection": NOTHING, "play_context": NOTHING, "loader": NOTHING}
    sent = action.ActionModule(**parts, templar=NOTHING, shared_loader_obj=NOTHING)._arguments()
    assert sent["names"] == ["a", "b"] and sent["keep_days"] == 3 and "instances" not in sent
    assert {"org/m", "org/draft", "org/t"} <= set(sent["mentioned"]) and "sk-" not in repr(sent)
