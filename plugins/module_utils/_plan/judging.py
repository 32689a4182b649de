# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One planned release against the planner's predictions, against what serves, and against what the host has measured.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses

from .._docker.release import Release
from .._findings import checks
from .._findings.findings import Findings
from .._outside.documents import Json
from . import fit, measured
from . import release as releases
from .checks import files, host_checks, image, inside, startcheck
from .host_load import HostLoad, Placement
from .inventory import rollout_settings
from .inventory.inputs import Inputs
from .inventory.instances import Instance
from .prepare import Prepared


@dataclasses.dataclass(frozen=True)
class Judged:
    """`memory` is None where the build has no such arithmetic. `overruled` are doubts that a switch lets through."""

    memory: Json | None
    overruled: list[checks.Overruled]
    let_through: list[str]
    warnings: list[str]


def judge(
    one: Prepared, release: Release, serves: bool, host_load: HostLoad, inputs: Inputs, findings: Findings
) -> Judged:
    """What refuses the release is added to the errors. SERVES: exactly this release serves already."""
    placement = next(placement for placement in host_load.placements if placement.name == one.instance.name)
    found, of_host = Findings(doubts=list(one.doubts)), Findings()
    memory = None
    known = measured.of(release, inputs)
    if inputs.host_class != host_checks.CPU:
        plan = fit.plan(placement, host_load, known)
        if plan is not None:
            fit.report(plan, placement, host_load, found)
            memory = fit.as_dict(plan, placement)
        image.check(inputs.image, inputs.version, inputs.facts, one.variables, of_host)
    begun, where = start(placement, inputs), f"instance {placement.name}"
    found.doubts += [doubt._replace(text=f"{where}: {doubt.text}") for doubt in startcheck.problems(begun)]
    found.warnings += [f"{where}: {text}" for text in startcheck.cautions(begun)]
    _files(one, begun, release, inputs, found)
    whose = f"{where}: " if one.instance.image or one.instance.version else ""
    of_host.doubts = [doubt._replace(text=f"{whose}{doubt.text}") for doubt in of_host.doubts]
    findings.warnings += [f"{whose}{text}" for text in of_host.warnings]
    chosen = ways(one.instance, inputs)
    findings.errors += found.errors
    settled = checks.settle([*found.doubts, *of_host.doubts], chosen, serves, known.at if known else "")
    findings.errors += settled.errors
    # Of what an inventory names twice all is told once.
    warnings = list(dict.fromkeys([*found.warnings, *settled.answered]))
    return Judged(memory, list(settled.overruled), sorted(chosen.let_through), warnings)


def _files(one: Prepared, begun: startcheck.Start, release: Release, inputs: Inputs, found: Findings) -> None:
    """Files that its arguments name. An image of somebody else's may bring files of its own."""
    where, mounted, own = f"instance {one.instance.name}", releases.mounted_of(one, inputs), Findings()
    files.check(begun.values, begun.variables, mounted, inputs.files, own, one.model.config)
    for mount in mounted.mounts:
        text = files.base_caution(mount, inputs.files[mount.path], one.instance.model)
        own.warnings += [text] if text else []
    found.errors += [f"{where}: {text}" for text in own.errors]
    found.warnings += [f"{where}: {text}" for text in own.warnings]
    found.doubts += [doubt._replace(text=f"{where}: {doubt.text}") for doubt in own.doubts]
    volumes = release["container"]["volumes"]
    values = {**mounted.at_start(begun.values), **release["arguments"]}
    told = {text.partition(",")[0] for text in own.errors}
    for stated in inside.missing(values, {**begun.variables, **release["env"]}, volumes):
        if f"{stated.place} is {stated.path}" in told:
            continue
        text = f"{where}: {inside.problem(stated, volumes)}"
        if inside.official(begun.image):
            found.doubt("value", text)
        else:
            found.warnings.append(f"{text} The image may have it.")


def start(placement: Placement, inputs: Inputs) -> startcheck.Start:
    """The placement as it is to start."""
    gpus = [gpu for gpu in inputs.facts.get("gpus") or [] if gpu.get("uuid") in placement.uuids]
    capabilities = {str(gpu["compute_capability"]) for gpu in gpus if gpu.get("compute_capability")}
    return startcheck.Start(
        values=placement.values,
        variables=placement.variables,
        model=placement.model,
        version=inputs.version,
        image=inputs.image,
        capabilities=tuple(sorted(capabilities)),
        architectures=inputs.history.get("architectures") or {},
        drafter=None if placement.drafter is None else placement.drafter.config,
    )


def refusal(lower: Prepared, release: Release, placement: Placement, host_load: HostLoad, inputs: Inputs) -> str:
    """Why a step, of which nothing serves, is none; '' where it may be tried."""
    found = Findings(doubts=list(lower.doubts))
    known = measured.of(release, inputs)
    plan = fit.plan(placement, host_load, known)
    if plan is not None:
        fit.report(plan, placement, host_load, found)
    found.doubts += startcheck.problems(start(placement, inputs))
    errors = checks.settle(found.doubts, ways(lower.instance, inputs), started=known.at if known else "").errors
    return errors[0] if errors else ""


def ways(instance: Instance, inputs: Inputs) -> checks.Ways:
    """How the checks of an instance end."""
    stops = rollout_settings.merged(instance, inputs.settings, [])["on_failure"] == "stop"
    return checks.Ways.of(instance.checks, inputs.settings, stops)
