# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of instances that are on the host and that nobody lists any more.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._findings.findings import Findings
from ..._state.observed import Observed
from ..inventory.inputs import Inputs
from ..inventory.instances import Instance
from . import change
from .plan import Plan


def plans(
    inputs: Inputs, listed: t.Sequence[Instance], observed: t.Mapping[str, Observed], findings: Findings
) -> list[Plan]:
    """Plans to remove instances that nobody lists any more; where that is not asked for, warnings that they stay."""
    found = []
    for name in sorted(set(observed) - {instance.name for instance in listed}):
        if not inputs.remove_unlisted:
            findings.warn(
                f"Instance {name} is on the host and not listed: it stays (vllm_server_remove_unlisted removes it)."
            )
            continue
        findings.errors += change.refusals(name, "", observed[name], inputs.retry)
        found.append(removal(name))
    return found


def removal(name: str) -> Plan:
    """The plan to remove one, whatever it is."""
    return {
        "instance": name,
        "active": False,
        "change": "remove",
        "reasons": [change.UNLISTED],
        "downtime_seconds": None,
        "arguments": [],
        "overruled": [],
        "let_through": [],
        "warnings": [],
        "notes": [],
        "memory": None,
        "digest": None,
        "release": None,
        "client": None,
        "fallbacks": [],
        "promotion": [],
        "stands_in": False,
        "settings": {},
        "demands": {},
        "image_id": None,
    }
