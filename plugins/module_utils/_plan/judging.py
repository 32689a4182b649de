# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One planned release against the planner's predictions, against what serves, and against what the host has measured.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from . import checks, fit, hostcheck, image, inside, measured, rollout_settings, startcheck
from .findings import Findings
from .inputs import Inputs
from .instances import Instance
from .prepare import Prepared

Json = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Judged:
    """`memory` is None where the build has no such arithmetic. `overruled` are doubts that a switch lets through."""

    memory: Json | None
    overruled: list[Json]
    let_through: list[str]
    warnings: list[str]


def judge(one: Prepared, release: Json, serves: bool, house: fit.House, inputs: Inputs, findings: Findings) -> Judged:
    """What refuses the release is added to the errors. SERVES: exactly this release serves already."""
    tenant = next(tenant for tenant in house.tenants if tenant.name == one.instance.name)
    found, of_host = Findings(doubts=list(one.doubts)), Findings()
    memory = None
    known = measured.of(release, inputs)
    if inputs.host_class != hostcheck.CPU:
        plan = fit.plan(tenant, house, known)
        if plan is not None:
            fit.report(plan, tenant, house, found)
            memory = fit.as_dict(plan, tenant)
        image.check(inputs.image, inputs.version, inputs.facts, one.variables, of_host)
    begun, where = start(tenant, inputs), f"instance {tenant.name}"
    found.doubts += [doubt._replace(text=f"{where}: {doubt.text}") for doubt in startcheck.problems(begun)]
    found.warnings += [f"{where}: {text}" for text in startcheck.cautions(begun)]
    _files(begun, release, where, found)
    findings.warnings += of_host.warnings
    chosen = ways(one.instance, inputs)
    settled = checks.settle([*found.doubts, *of_host.doubts], chosen, serves, known.at if known else "")
    findings.errors += settled.errors
    warnings = [*found.warnings, *settled.answered]
    return Judged(memory, list(settled.overruled), sorted(chosen.let_through), warnings)


def _files(begun: startcheck.Start, release: Json, where: str, found: Findings) -> None:
    """An image of somebody else's may bring files of its own."""
    volumes = release["container"]["volumes"]
    for what in inside.missing(begun.values, begun.variables, volumes):
        text = f"{where}: {inside.problem(what, volumes)}"
        if inside.official(begun.image):
            found.doubt("value", text)
        else:
            found.warnings.append(f"{text} The image may have it.")


def start(tenant: fit.Tenant, inputs: Inputs) -> startcheck.Start:
    """The tenant as it is to start."""
    gpus = [gpu for gpu in inputs.facts.get("gpus") or [] if gpu.get("uuid") in tenant.uuids]
    capabilities = {str(gpu["compute_capability"]) for gpu in gpus if gpu.get("compute_capability")}
    return startcheck.Start(
        values=tenant.values,
        variables=tenant.variables,
        model=tenant.model,
        version=inputs.version,
        image=inputs.image,
        capabilities=tuple(sorted(capabilities)),
        architectures=inputs.history.get("architectures") or {},
    )


def refusal(lower: Prepared, release: Json, tenant: fit.Tenant, house: fit.House, inputs: Inputs) -> str:
    """Why a rung, of which nothing serves, is none; '' where it may be tried."""
    found = Findings(doubts=list(lower.doubts))
    known = measured.of(release, inputs)
    plan = fit.plan(tenant, house, known)
    if plan is not None:
        fit.report(plan, tenant, house, found)
    found.doubts += startcheck.problems(start(tenant, inputs))
    errors = checks.settle(found.doubts, ways(lower.instance, inputs), started=known.at if known else "").errors
    return errors[0] if errors else ""


def ways(instance: Instance, inputs: Inputs) -> checks.Ways:
    """How the checks of an instance end."""
    stops = rollout_settings.merged(instance, inputs.settings, [])["on_failure"] == "stop"
    return checks.Ways.of(instance.checks, inputs.settings, stops)
