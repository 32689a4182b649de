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
from .._settings.names import meant
from .._vllm import schema
from . import (
    change,
    defaults,
    fallback_releases,
    fit,
    gpu_sharing,
    gpus,
    hardening,
    judging,
    order,
    own_release,
    ports,
    prepare,
    promotion,
    release,
    report,
    unlisted,
)
from .arguments import auto_profile
from .checks import advisories, host_checks, image_name
from .gpus import Assignment
from .inventory import container_options, instances, rollout_settings
from .inventory.inputs import Inputs
from .inventory.instances import Instance
from .memory import unified
from .prepare import Prepared

Json = dict[str, t.Any]
NO_GPU = Assignment("none")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Plans, or errors and no plans. `diff` has one entry for each plan that changes something.

    `drafts` are plans that the errors rule out: to be looked at, with their sums, and never carried out.
    """

    plans: tuple[Json, ...] = ()
    drafts: tuple[Json, ...] = ()
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    diff: tuple[Json, ...] = ()
    blocks: tuple[str, ...] = ()
    advisories: tuple[Json, ...] = ()

    @property
    def changed(self) -> bool:
        return any(plan["change"] != "none" for plan in self.plans)


@dataclasses.dataclass(frozen=True)
class Host:
    """What all plans of one host share."""

    inputs: Inputs
    known: schema.Schema
    observed: t.Mapping[str, Json]
    shares: t.Mapping[str, int]
    owns: t.Mapping[str, own_release.Own]

    def of(self, instance: Instance) -> Host:
        """The same host as an instance has it, with the image and the version that it is planned for."""
        own = self.owns[instance.name]
        return dataclasses.replace(self, inputs=own.inputs, known=own.known)

    def prepare(self, instance: Instance, errors: list[str]) -> Prepared:
        return prepare.prepare(instance, self.inputs, self.known, errors, self.shares[instance.name])

    def current(self, name: str) -> Json | None:
        """The verified release of an instance, with what the host knows of it."""
        found: Json | None = (self.observed.get(name) or {}).get("current")
        return found


def plan_host(inputs: Inputs, errors: t.Sequence[str] = ()) -> Outcome:
    """`errors` are those that reading the inputs has found already."""
    findings = Findings(inputs.unknown_arguments, errors=list(errors))
    listed = listed_instances(inputs, findings)
    observed = {entry["name"]: entry for entry in inputs.facts.get("instances", [])}
    listed = [promotion.standing(one, inputs, observed.get(one.name), findings.errors) for one in listed]
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
    plans = [_plan(one, host.of(one.instance), assigned, host_load, findings) for one in prepared]
    for plan, one in zip(plans, listed):
        plan["notes"] += own_release.notes(one, inputs, host.of(one).inputs)
    plans += unlisted.plans(inputs, listed, observed, findings)
    for plan in plans:
        findings.warnings += [*plan["warnings"], *map(checks.overruled_text, plan["overruled"])]
    found = _refused(plans, findings) if findings.errors else _outcome(plans, findings.warnings, observed, host_load)
    rows = [row for own in owns for row in advisories.affecting(own.inputs.version, inputs.advisories)]
    return dataclasses.replace(found, advisories=tuple({str(row["id"]): row for row in rows}.values()))


def _refused(drafts: t.Sequence[Json], findings: Findings) -> Outcome:
    return Outcome(
        drafts=tuple(drafts),
        errors=tuple(dict.fromkeys(findings.errors)),
        warnings=tuple(dict.fromkeys(findings.warnings)),
        blocks=tuple(report.block(plan, refused=True) for plan in drafts),
    )


def _outcome(
    plans: list[Json], warnings: list[str], observed: t.Mapping[str, Json], host_load: fit.HostLoad
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
    rollout_settings.check(found, inputs.settings, findings)
    return found


def _host(inputs: Inputs, listed: t.Sequence[Instance], observed: t.Mapping[str, Json]) -> list[str]:
    if not inputs.facts:
        return ["There are no facts of the host: run gpufleet.vllm.gpu_facts first and pass what it found."]
    leaving = set(observed) - {instance.name for instance in listed} if inputs.remove_unlisted else set()
    found = host_checks.host_problems(inputs.facts, inputs.host_class) if listed or observed else []
    found += host_checks.duplicates(listed)
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


def _revision(instance: Instance, inputs: Inputs, current: Json | None) -> str | None:
    """Stated, else what runs, else what is on the host: a release must not change because a download has ended."""
    if instance.model.startswith("/") or instance.revision:
        return instance.revision
    running = ((current or {}).get("release") or {}).get("model") or {}
    if running.get("id") == instance.model:
        return t.cast(t.Optional[str], running.get("revision"))
    return t.cast(t.Optional[str], (inputs.models.get(instance.model) or {}).get("revision"))


def _plan(
    one: Prepared, host: Host, assigned: t.Mapping[str, Assignment], host_load: fit.HostLoad, findings: Findings
) -> Json:
    """The plan of a listed instance."""
    instance, inputs = one.instance, host.inputs
    gpu = assigned.get(instance.name, NO_GPU)
    seen, current = host.observed.get(instance.name), host.current(instance.name)
    dummy = one.values().get("load_format") == "dummy"
    problems, notes = host_checks.model_problems(instance, inputs.models, dummy)
    findings.errors += problems
    revision = _revision(instance, inputs, current)
    if instance.api_key and not instance.api_key_refused and instance.name not in inputs.fingerprints:
        findings.error(
            f"instance {instance.name}: it has an api_key and no fingerprint of it was passed: run "
            "gpufleet.vllm.vllm_api_keys first and pass what it returned."
        )
    chosen = hardening.choose(
        instance.name,
        lambda schema: release.document(one, host.known, inputs, revision, gpu, schema),
        current,
        inputs.image_id,
        inputs.apply_hardening,
        inputs.retry,
    )
    findings.errors += [chosen.error] if chosen.error else []
    document, mark, written = chosen.release, chosen.digest, set(chosen.digests.values())
    client = release.client(instance, one.arguments, one.sampling)
    image_id = inputs.image_id
    refused = change.refusals(instance.name, mark if instance.active else "", seen, inputs.retry, image_id, written)
    findings.errors += refused
    serves = (current or {}).get("digest") in written
    judged = judging.judge(one, document, serves, host_load, inputs, findings)
    running = (current or {}).get("release") or {}
    changed = defaults.changes(running, host.known, one.values(), inputs.history, inputs.readings)
    settings = rollout_settings.merged(instance, inputs.settings, [])
    desired = change.Desired(document, mark, client, one.arguments, image_id, settings, chosen.older)
    decided = change.decide(desired, seen, inputs.retry) if instance.active else change.decide_inactive(seen)
    below = fallback_releases.below(one, host, assigned, host_load, revision, mark, chosen.schema, findings)
    return {
        "instance": instance.name,
        "active": one.instance.active,
        "change": decided.kind,
        "reasons": list(decided.reasons),
        "downtime_seconds": change.downtime_seconds(decided.kind, seen),
        "arguments": [_argument(argument, document, current) for argument in one.arguments],
        "files": [mount.as_dict() for mount in release.mounted_of(one, inputs).mounts],
        "overruled": judged.overruled,
        "let_through": judged.let_through,
        "warnings": [
            *one.warnings,
            *judged.warnings,
            *notes,
            *unified.cautions(judged.memory, inputs.facts, inputs.version),
            *change.cautions(instance.name, mark, seen, inputs.retry),
        ],
        "notes": [
            *promotion.notes(instance),
            *one.notes,
            *changed,
            *below.left_out,
            *image_name.notes(inputs.image),
            *container_options.notes(instance.container_user, instance.model, inputs.settings),
            *(chosen.notes() if instance.active else ()),
        ],
        "memory": judged.memory,
        "digest": mark,
        "release": document,
        "client": client,
        "fallbacks": list(below.steps),
        "promotion": list(instance.promotion),
        "stands_in": change.stands_in(current or {}, mark, inputs.retry),
        "settings": {**settings, **promotion.recorded(instance)},
        "image_id": image_id,
    }


def _argument(argument: t.Any, document: Json, current: Json | None) -> Json:
    """As it is written; compared as it is inside the container."""
    found = {"name": argument.name, "value": argument.value, "origin": argument.origin}
    running = ((current or {}).get("release") or {}).get("arguments")
    wanted = document["arguments"].get(argument.name)
    if running is not None and argument.set and running.get(argument.name) != wanted:
        found["from_value"] = running.get(argument.name)
    return found
