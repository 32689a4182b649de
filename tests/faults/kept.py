# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts that outlive a run serve, so that the next run does not begin with a restart."""

from __future__ import annotations

import json
import pathlib
from dataclasses import asdict

from ansible_collections.gpufleet.vllm.tests.faults.matrix import Good
from ansible_collections.gpufleet.vllm.tests.faults.play import LOGS


def _file(host: str) -> pathlib.Path:
    return LOGS / f"kept-{host}.json"


def read(host: str) -> Good | None:
    file = _file(host)
    return Good(**json.loads(file.read_text())) if file.exists() else None


def write(host: str, good: Good) -> None:
    _file(host).write_text(json.dumps(asdict(good)))
