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
from .._settings.names import listed as spelt
from .._settings.names import meant
from .._vllm.schema import VERSION
from . import own_release, planner, prepare, promotion
from .arguments import auto_profile
from .checks import host_checks
from .inventory.inputs import Inputs


def target_problems(version: str, profile: str, profiles: t.Collection[str]) -> list[str]:
    """What is wrong with a target, whatever serves; '' is none."""
    found = []
    if version and not VERSION.fullmatch(version.strip()):
        found.append(f"vllm_server_target_version is {version!r}: write a release of vLLM such as 0.32.0.")
    known = sorted({*profiles, auto_profile.AUTO})
    if profile and profile not in known:
        guess = meant(profile, known) or f" There are {spelt(known)}."
        found.append(f"vllm_server_target_profile is {profile!r}, and there is no such profile.{guess}")
    return found


def problems(inputs: Inputs, errors: t.Sequence[str] = ()) -> list[str]:
    """What is wrong with an inventory, as far as that can be said before its host is looked at."""
    findings = Findings(inputs.unknown_arguments, errors=list(errors))
    listed = planner.listed_instances(inputs, findings)
    listed = [promotion.standing(one, inputs, None, findings.errors) for one in listed]
    findings.errors += host_checks.duplicates(listed)
    if inputs.target_profile == auto_profile.AUTO:
        inputs = dataclasses.replace(inputs, target_profile="")
    for own in own_release.resolve(inputs, listed, findings) or ():
        own_release.check(own, findings)
        for one in own.instances:
            # What `auto` amounts to hangs on the GPUs.
            hangs = one.profile == auto_profile.AUTO and one.profile not in inputs.profiles
            sure = dataclasses.replace(one, profile="") if hangs else one
            prepare.prepare(sure, own.inputs, own.known, findings.errors)
    return list(dict.fromkeys(findings.errors))
