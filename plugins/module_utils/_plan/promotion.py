# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ladder of an instance: profiles from the safest to the most ambitious, and the rung that it stands on.

The host remembers the profile of its verified release among the release's settings. So a plan stays on the rung to
which the host has climbed, and follows it down when an operator puts the release before it back.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .inputs import Inputs
from .instances import Instance
from .names import listed, meant

Json = dict[str, t.Any]


def standing(instance: Instance, inputs: Inputs, observed: Json | None, errors: list[str]) -> Instance:
    """The instance with the profile of its rung; what is wrong with its ladder is added to `errors`."""
    ladder = instance.ladder or inputs.ladder
    if not ladder:
        return instance
    where = f"instance {instance.name}: ladder"
    unknown = [name for name in ladder if name not in inputs.profiles]
    errors += [f"{where} names {name}, and there is no such profile.{meant(name, inputs.profiles)}" for name in unknown]
    if len(set(ladder)) != len(ladder):
        errors.append(f"{where} has a profile twice: {listed(ladder)}. Name each once, the safest first.")
    if instance.profile and instance.profile not in ladder:
        errors.append(
            f"{where} is {listed(ladder)}, and profile is {instance.profile}: leave profile out to begin at the first, "
            "or name the one to begin at."
        )
    begins = instance.profile or ladder[0]
    asked = inputs.rungs.get(instance.name) or _target(instance, inputs, ladder)
    profile = asked or verified_profile(observed, ladder) or begins
    return dataclasses.replace(instance, profile=profile, ladder=ladder, begins=begins)


def verified_profile(observed: Json | None, ladder: t.Sequence[str]) -> str:
    """The profile of the verified release; '' where there is none, or none of this ladder."""
    current = (observed or {}).get("current") or {}
    profile = str((current.get("settings") or {}).get("profile") or "")
    return profile if profile in ladder else ""


def _target(instance: Instance, inputs: Inputs, ladder: t.Sequence[str]) -> str:
    """A target profile of the ladder is the rung to stand on, and no layer above all."""
    aimed = inputs.target_profile if inputs.target_instance in ("", instance.name) else ""
    return aimed if aimed in ladder else ""


def recorded(instance: Instance) -> Json:
    """What the host is to remember with the release."""
    return {"profile": instance.profile} if instance.ladder else {}


def notes(instance: Instance) -> list[str]:
    """Where the instance stands, in the plan's own words."""
    profile = instance.profile
    if profile not in instance.ladder:
        return []
    told = f"profile {profile} is rung {instance.ladder.index(profile) + 1} of {len(instance.ladder)} of its ladder"
    if profile == instance.begins:
        return [f"{told}; playbooks/promote.yml climbs it."]
    return [f"{told}, where the host stands; the inventory begins at {instance.begins}."]
