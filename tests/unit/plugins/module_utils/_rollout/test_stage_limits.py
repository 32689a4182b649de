# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A limit of a stage is in all places that need it."""

from __future__ import annotations

import pathlib

import pytest
import yaml

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory.rollout_values import TIMEOUT_KEYS
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.deadlines import FIRST_READY, TIMEOUTS, last_deadline

CHECKOUT = pathlib.Path(__file__).resolve().parents[5]
# Docker's own, which nobody states.
OURS_ALONE = {"docker"}


def test_a_limit_has_a_default_and_can_be_stated() -> None:
    defaults = yaml.safe_load((CHECKOUT / "roles" / "vllm_server" / "defaults" / "main.yml").read_text())
    stated = defaults["vllm_server_timeouts"]
    assert set(stated) == set(TIMEOUT_KEYS)
    assert {name: stated[name] for name in TIMEOUT_KEYS if name != "ready"} == {
        name: seconds for name, seconds in TIMEOUTS.items() if name not in OURS_ALONE
    }


@pytest.mark.parametrize("name", TIMEOUT_KEYS)
def test_the_last_deadline_is_above_a_limit(name: str) -> None:
    more = 10_000
    limit = {**TIMEOUTS, "ready": FIRST_READY}[name] + more
    assert last_deadline({"timeouts": {name: limit}}) >= last_deadline({}) + more
