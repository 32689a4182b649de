# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which the plans of one host are carried out, one after another; who carries them out keeps it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._docker.release import Release
from .._state.observed import Observed
from .changes.plan import Plan
from .host_load import HostLoad

# What gives ports and GPUs back comes first.
KINDS = ("remove", "rest", "none", "live", "repair", "turn", "restart", "create")


def carried_out(plans: t.Sequence[Plan], observed: t.Mapping[str, Observed], host_load: HostLoad) -> list[Plan]:
    """What goes makes room for what comes, and what shrinks for what grows."""
    return sorted(plans, key=lambda plan: (KINDS.index(plan["change"]), _growth(plan, observed, host_load)))


def _growth(plan: Plan, observed: t.Mapping[str, Observed], host_load: HostLoad) -> float:
    """What a restart claims of its GPUs above what runs, in GPUs; 0 for what is not restarted."""
    current, wanted = (observed.get(plan["instance"]) or {}).get("current"), plan["release"]
    seen: Observed = observed.get(plan["instance"]) or {}
    if plan["change"] != "restart" or current is None or wanted is None or seen.get("resting"):
        return 0.0
    return round(_claimed(wanted, host_load) - _claimed(current["release"], host_load), 6)


def _claimed(release: Release, host_load: HostLoad) -> float:
    return host_load.utilisation(release["arguments"]) * len((release.get("gpus") or {}).get("uuids", ()))
