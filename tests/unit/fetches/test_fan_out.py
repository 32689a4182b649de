# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program of hosts, packed: what one has crosses the uplink once, and small files as often as there are hosts."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.gpufleet.vllm.tests.fetches import kills
from ansible_collections.gpufleet.vllm.tests.fetches.fan_out import uplink
from ansible_collections.gpufleet.vllm.tests.hub.content import MIB
from ansible_collections.gpufleet.vllm.tests.hub.server import Hub


@pytest.mark.parametrize(("shared", "models"), [(False, 3), (True, 1)])
def test_a_model_crosses_the_uplink_once(tmp_path: pathlib.Path, shared: bool, models: int) -> None:
    program = kills.packed(tmp_path)
    with Hub() as hub:
        hub.add(kills.MODEL, kills.files_of(2 * MIB))
        found = uplink(3, shared, tmp_path / "hosts", program, hub)
    # Metadata and what has no hash come from the hub for each of them.
    assert found.sent // (2 * MIB) == models
