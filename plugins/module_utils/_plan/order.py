# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which the plans of one host are carried out, one after another; who carries them out keeps it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .host_load import HostLoad

Json = dict[str, t.Any]
# What gives ports and GPUs back comes first.
KINDS = ("remove", "none", "live", "repair", "restart", "create")


def carried_out(plans: t.Sequence[Json], observed: t.Mapping[str, Json], host_load: HostLoad) -> list[Json]:
    """What goes makes room for what comes, and what shrinks for what grows."""
    return sorted(plans, key=lambda plan: (KINDS.index(plan["change"]), _growth(plan, observed, host_load)))


def _growth(plan: Json, observed: t.Mapping[str, Json], host_load: HostLoad) -> float:
    """What a restart claims of its GPUs above what runs, in GPUs; 0 for what is not restarted."""
    if plan["change"] != "restart":
        return 0.0
    running = observed[plan["instance"]]["current"]["release"]
    return round(_claimed(plan["release"], host_load) - _claimed(running, host_load), 6)


def _claimed(release: Json, host_load: HostLoad) -> float:
    return host_load.utilisation(release["arguments"]) * len((release.get("gpus") or {}).get("uuids", ()))
