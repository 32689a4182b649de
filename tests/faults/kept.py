# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts that outlive a run serve, so that the next run does not begin with a restart."""

from __future__ import annotations

import json
import typing as t
from dataclasses import asdict

from ansible_collections.gpufleet.vllm.tests.faults.matrix import Good
from ansible_collections.gpufleet.vllm.tests.faults.play import LOGS

FILE = LOGS / "kept.json"


def read() -> dict[str, Good]:
    if not FILE.exists():
        return {}
    return {name: Good(**good) for name, good in json.loads(FILE.read_text()).items()}


def write(goods: t.Mapping[str, Good]) -> None:
    FILE.write_text(json.dumps({name: asdict(good) for name, good in goods.items()}))
