# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The promotion of an instance: profiles from the safest to the most ambitious, and which of them it stands on.

The host remembers the profile of its verified release among the release's settings. So a plan stays on the profile
that the host has reached, and follows it down when an operator rolls back.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._settings.names import listed, meant
from .._settings.rollout import Settings
from .._state.observed import Observed
from .inventory.inputs import Inputs
from .inventory.instances import Instance


def standing(instance: Instance, inputs: Inputs, observed: Observed | None, errors: list[str]) -> Instance:
    """The instance with the profile that it stands on; what is wrong with its promotion is added to `errors`."""
    names = instance.promotion or inputs.promotion
    if not names:
        return instance
    where = f"instance {instance.name}: promotion"
    unknown = [name for name in names if name not in inputs.profiles]
    known = f" There are {listed(sorted(inputs.profiles))}." if inputs.profiles else ""
    errors += [
        f"{where} names {name}, and there is no such profile.{meant(name, inputs.profiles) or known}"
        for name in unknown
    ]
    if len(set(names)) != len(names):
        errors.append(f"{where} has a profile twice: {listed(names)}. Name each once, the safest first.")
    if instance.profile and instance.profile not in names:
        errors.append(
            f"{where} is {listed(names)}, and profile is {instance.profile}: leave profile out to begin at the first, "
            "or name the one to begin at."
        )
    begins = instance.profile or names[0]
    asked = inputs.promoted.get(instance.name) or _target(instance, inputs, names)
    profile = asked or verified_profile(observed, names) or begins
    # What is told here is not told of the profile as well.
    return dataclasses.replace(instance, profile="" if profile in unknown else profile, promotion=names, begins=begins)


def verified_profile(observed: Observed | None, names: t.Sequence[str]) -> str:
    """The profile of the verified release; '' where there is none, or none of this promotion."""
    current = (observed or {}).get("current") or {}
    profile = str((current.get("settings") or {}).get("profile") or "")
    return profile if profile in names else ""


def _target(instance: Instance, inputs: Inputs, names: t.Sequence[str]) -> str:
    """A target profile of the promotion is the one to stand on, and no layer above all."""
    aimed = inputs.target_profile if inputs.target_instance in ("", instance.name) else ""
    return aimed if aimed in names else ""


def recorded(instance: Instance) -> Settings:
    """What the host is to remember with the release."""
    return {"profile": instance.profile} if instance.promotion else {}


def notes(instance: Instance) -> list[str]:
    """Where the instance stands, in the plan's own words."""
    profile = instance.profile
    if profile not in instance.promotion:
        return []
    number, of = instance.promotion.index(profile) + 1, len(instance.promotion)
    told = f"profile {profile} is number {number} of {of} of its promotion"
    if profile == instance.begins:
        return [f"{told}; playbooks/promote.yml goes on."]
    return [f"{told}, where the host stands; the inventory begins at {instance.begins}."]
