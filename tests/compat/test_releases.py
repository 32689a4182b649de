# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each supported release of ansible-core, with the unit tests of plugins and on hosts of the lab."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.gpufleet.vllm.tests.compat import control, releases
from ansible_collections.gpufleet.vllm.tests.compat.conftest import OF_EACH_BUILD


@pytest.mark.xdist_group("compat")
@pytest.mark.usefixtures("hosts")
def test_release(cell: releases.Cell, shown: control.Result) -> None:
    found = control.run(cell, "" if cell.units else OF_EACH_BUILD)
    for field in dataclasses.fields(found):
        setattr(shown, field.name, getattr(found, field.name))
    assert found.passed, f"{cell}: {found.parts}\n{found.said}"
