# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of one host: every instance's release and what it changes, or everything that is wrong.

Pure: the same inputs give the same plan. Nothing here sees a file, the network or the clock.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._findings import checks
from .._findings.findings import Findings
from .._outside.documents import Json
from .._settings.names import meant
from .._state.observed import Observed
from . import gpu_sharing, gpus, instance_plan, order, own_release, promotion, report, turns
from .arguments import auto_profile
from .changes import ports, unlisted
from .changes.plan import Plan
from .checks import advisories, host_checks
from .gpus import Assignment
from .host_load import HostLoad
from .instance_plan import Host
from .inventory import container_options, instances, rollout_settings
from .inventory.inputs import Inputs
from .inventory.instances import Instance
from .prepare import Prepared


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Plans, or errors and no plans. `diff` has one entry for each plan that changes something.

    `drafts` are plans that the errors rule out: to be looked at, with their sums, and never carried out.
    """

    plans: tuple[Plan, ...] = ()
    drafts: tuple[Plan, ...] = ()
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    diff: tuple[dict[str, str], ...] = ()
    blocks: tuple[str, ...] = ()
    advisories: tuple[Json, ...] = ()

    @property
    def changed(self) -> bool:
        return any(plan["change"] != "none" for plan in self.plans)


def plan_host(inputs: Inputs, errors: t.Sequence[str] = ()) -> Outcome:
    """`errors` are those that reading the inputs has found already."""
    findings = Findings(inputs.unknown_arguments, errors=list(errors))
    listed = listed_instances(inputs, findings)
    observed = inputs.observed
    read = [promotion.standing(one, inputs, observed.get(one.name), findings.errors) for one in listed]
    findings.errors += host_checks.duplicates(read)
    listed, groups = turns.settle(read, inputs, findings)
    findings.errors += _host(inputs, listed, observed)
    known, owns = own_release.schema_of(inputs, findings), own_release.resolve(inputs, listed, findings)
    if known is None or owns is None or not inputs.facts:
        return Outcome(errors=tuple(dict.fromkeys(findings.errors)))
    for own in owns:
        own_release.check_image(own, findings)
        own_release.check(own, findings)
    findings.warnings += _target_warnings(inputs, listed)
    for one in listed:
        stated = (one.memory_limit_mib, one.container_user)
        findings.errors += container_options.problems(one.name, *stated, inputs.settings, inputs.facts)
    shares = auto_profile.shares(listed, inputs.facts)
    host = Host(inputs, known, observed, shares, {one.name: own for own in owns for one in own.instances})
    prepared = [host.of(one).prepare(one, findings.errors) for one in listed]
    assigned = _assign(prepared, host, findings)
    prepared, host_load = gpu_sharing.placed(prepared, inputs, known, observed, assigned)
    said = {group.said for group in groups.values()}
    plans = [
        instance_plan.plan(one, host.of(one.instance), assigned, host_load, findings, one.instance.name in said)
        for one in prepared
    ]
    for plan, one in zip(plans, listed):
        plan["notes"] += own_release.notes(one, inputs, host.of(one).inputs)
    plans = turns.joined(plans, groups, observed)
    plans += unlisted.plans(inputs, listed, observed, findings)
    for plan in plans:
        findings.warnings += [*plan["warnings"], *map(checks.overruled_text, plan["overruled"])]
    found = _refused(plans, findings) if findings.errors else _outcome(plans, findings.warnings, observed, host_load)
    rows = [row for own in owns for row in advisories.affecting(own.inputs.version, inputs.advisories)]
    return dataclasses.replace(found, advisories=tuple({str(row["id"]): row for row in rows}.values()))


def _refused(drafts: t.Sequence[Plan], findings: Findings) -> Outcome:
    return Outcome(
        drafts=tuple(drafts),
        errors=tuple(dict.fromkeys(findings.errors)),
        warnings=tuple(dict.fromkeys(findings.warnings)),
        blocks=tuple(report.block(plan, refused=True) for plan in drafts),
    )


def _outcome(
    plans: list[Plan], warnings: list[str], observed: t.Mapping[str, Observed], host_load: HostLoad
) -> Outcome:
    plans = ports.ordered(order.carried_out(plans, observed, host_load), observed, host_load.facts)
    changing = [plan for plan in plans if plan["change"] != "none"]
    return Outcome(
        plans=tuple(plans),
        warnings=tuple(dict.fromkeys(warnings)),
        diff=tuple(report.difference(plan, observed.get(plan["instance"])) for plan in changing),
        blocks=tuple(report.block(plan) for plan in plans),
    )


def listed_instances(inputs: Inputs, findings: Findings) -> list[Instance]:
    defaults = inputs.settings.get("defaults") or {}
    read = [
        instances.read(given, number + 1, defaults, findings.errors, inputs.history.get("arguments", ()))
        for number, given in enumerate(inputs.instances)
    ]
    found = [instance for instance in read if instance is not None]
    rollout_settings.check(found, inputs.settings, inputs.profiles, findings)
    return found


def _host(inputs: Inputs, listed: t.Sequence[Instance], observed: t.Mapping[str, Observed]) -> list[str]:
    if not inputs.facts:
        return ["There are no facts of the host: run gpufleet.vllm.gpu_facts first and pass what it found."]
    leaving = set(observed) - {instance.name for instance in listed} if inputs.remove_unlisted else set()
    found = host_checks.host_problems(inputs.facts, inputs.host_class) if listed or observed else []
    found += host_checks.ports_taken(listed, inputs.facts, leaving)
    return found


def _target_warnings(inputs: Inputs, listed: t.Sequence[Instance]) -> list[str]:
    names, target = [instance.name for instance in listed], inputs.target_instance
    if not target or inputs.promote:
        return []
    if target not in names:
        stays = "What serves here keeps its image and version."
        return [f"The target instance {target} is not on this host.{meant(target, names)} {stays}"]
    if inputs.target_profile or inputs.target_version:
        return []
    alone = f"vllm_server_target_instance is {target}, with no vllm_server_target_profile and no target_version"
    return [f"{alone}: the others keep the image and the version that serve, and all else is planned for every one."]


def _assign(prepared: t.Sequence[Prepared], host: Host, findings: Findings) -> t.Mapping[str, Assignment]:
    if host.inputs.host_class == host_checks.CPU:
        findings.errors += [
            f"instance {one.instance.name}: it asks for GPUs and the host is of class {host_checks.CPU}: leave gpus "
            "out, or put "
            "the host in a class with GPUs."
            for one in prepared
            if one.instance.gpus != "auto"
        ]
        return {}
    if not host.inputs.facts.get("gpus"):
        return {}
    requests = []
    for one in prepared:
        release_now = (host.current(one.instance.name) or {}).get("release", {})
        running = tuple(release_now.get("gpus", {}).get("uuids", ()))
        requests.append(gpus.Request(one.instance, gpus.needed(one.values()), running))
    return gpus.assign(requests, host.inputs.facts, findings)
