# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a plan that hangs on no host: what is wrong with what an inventory states.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._findings.findings import Findings
from . import planner, prepare, promotion
from .arguments import auto_profile, limits
from .checks import advisories, host_checks
from .inventory.inputs import Inputs


def problems(inputs: Inputs, errors: t.Sequence[str] = ()) -> list[str]:
    """What is wrong with an inventory, as far as that can be said before its host is looked at."""
    findings = Findings(inputs.unknown_arguments, errors=list(errors))
    listed = planner.listed_instances(inputs, findings)
    listed = [promotion.standing(one, inputs, None, findings.errors) for one in listed]
    findings.errors += host_checks.duplicates(listed)
    known = planner.schema_of(inputs, findings)
    if known is not None:
        findings.errors += limits.problems(inputs.class_limits, known)
        accepted = bool(inputs.settings.get("accept_advisories"))
        advisories.check(inputs.version, inputs.advisories, listed, accepted, findings)
        if inputs.target_profile == auto_profile.AUTO:
            inputs = dataclasses.replace(inputs, target_profile="")
        for one in listed:
            # What `auto` amounts to hangs on the GPUs.
            hangs = one.profile == auto_profile.AUTO and one.profile not in inputs.profiles
            sure = dataclasses.replace(one, profile="") if hangs else one
            prepare.prepare(sure, inputs, known, findings.errors)
    return list(dict.fromkeys(findings.errors))
