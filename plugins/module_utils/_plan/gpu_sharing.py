# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The instances of a host as placements of its GPUs, with caps on what nobody set.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._docker.release import Release
from .._state.observed import Observed
from .._vllm.schema import Schema
from . import fit
from .gpus import Assignment
from .host_load import HostLoad, Placement
from .inventory.inputs import Inputs
from .prepare import Prepared

NO_GPU = Assignment("none")


def placed(
    prepared: t.Sequence[Prepared],
    inputs: Inputs,
    known: Schema,
    observed: t.Mapping[str, Observed],
    assigned: t.Mapping[str, Assignment],
) -> tuple[list[Prepared], HostLoad]:
    """The instances, capped where vLLM's own defaults do not fit, and all of them beside each other."""
    listed = {one.instance.name for one in prepared}
    running = {name: _running(entry) for name, entry in observed.items() if name not in listed}
    leaving = [release for release in running.values() if release is not None and inputs.remove_unlisted]
    host_load = HostLoad(inputs.facts, known, (), tuple(leaving), inputs.unknown_arguments == "warn")
    capped = [_capped(one, observed, assigned, host_load) for one in prepared]
    placements = tuple(_placement(one, observed, assigned) for one in capped)
    return capped, dataclasses.replace(host_load, placements=placements)


def instead(
    one: Prepared, host_load: HostLoad, observed: t.Mapping[str, Observed], assigned: t.Mapping[str, Assignment]
) -> tuple[Prepared, Placement]:
    """An instance with other arguments than those it has on the host, capped like all others."""
    capped = _capped(one, observed, assigned, host_load)
    return capped, _placement(capped, observed, assigned)


def _running(observed: Observed | None) -> Release | None:
    """The verified release, where its container runs."""
    seen: Observed = observed or {}
    current = seen.get("current")
    return current["release"] if current and (seen.get("container") or {}).get("running") else None


def _placement(one: Prepared, observed: t.Mapping[str, Observed], assigned: t.Mapping[str, Assignment]) -> Placement:
    return Placement(
        name=one.instance.name,
        owner=one.instance.owner,
        active=one.instance.active,
        values=one.values(),
        variables=one.variables,
        uuids=assigned.get(one.instance.name, NO_GPU).uuids,
        model=one.model,
        schema=one.schema,
        drafter=one.drafter,
        running=_running(observed.get(one.instance.name)),
    )


def _capped(
    one: Prepared, observed: t.Mapping[str, Observed], assigned: t.Mapping[str, Assignment], host_load: HostLoad
) -> Prepared:
    """Nothing that somebody set is touched."""
    placement = _placement(one, observed, assigned)
    verified = ((observed.get(one.instance.name) or {}).get("current") or {}).get("release")
    found = fit.kept(placement, host_load, verified, fit.caps(placement, host_load))
    if not found:
        return one
    names = {argument.name for argument in found}
    kept = [argument for argument in one.arguments if argument.name not in names]
    spelt = " and ".join(f"{argument.name} {argument.value}" for argument in found)
    text = (
        f"instance {one.instance.name}: vLLM's defaults do not fit these GPUs, and nobody set them: {spelt} is taken."
    )
    arguments = tuple(sorted([*kept, *found], key=lambda argument: argument.name))
    return dataclasses.replace(one, arguments=arguments, warnings=(*one.warnings, text))
