# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the host is asked for its models, or has told of them before."""

from __future__ import annotations

import typing as t
from unittest import mock

import pytest

from ansible_collections.gpufleet.vllm.plugins.action import vllm_model

ASKED: t.Final = {"models": ["/models/a"], "hub_dir": "", "references": ["main"]}
SEEN: t.Final = {"asked": ASKED, "found": {"/models/a": {"problems": []}}}


def action(**arguments: t.Any) -> t.Any:
    task = mock.Mock(args=arguments, async_val=0, check_mode=True, diff=False, delegate_to=None)
    made: t.Any = vllm_model.ActionModule(task, mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock())
    made._execute_module = mock.Mock(return_value={"changed": False, "models": {"/models/a": {"problems": ["new"]}}})
    return made


def test_what_was_seen_takes_no_execution() -> None:
    made = action(**ASKED, observed=SEEN)
    assert made.run(task_vars={}) == {"changed": False, "models": SEEN["found"]}
    made._execute_module.assert_not_called()


@pytest.mark.parametrize("observed", [{}, None, {**SEEN, "found": {}}])
def test_what_was_not_seen_is_asked(observed: t.Any) -> None:
    made = action(**ASKED, observed=observed)
    assert made.run(task_vars={})["models"] == {"/models/a": {"problems": ["new"]}}
    assert made._execute_module.call_args.kwargs["module_args"] == ASKED
