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

from . import (
    advisories,
    auto_profile,
    change,
    checks,
    defaults,
    descent,
    fit,
    gpus,
    hostcheck,
    image,
    instances,
    judging,
    limits,
    order,
    prepare,
    promotion,
    release,
    report,
    rollout_settings,
    schema,
    tenants,
    unified,
)
from .findings import Findings
from .gpus import Assignment
from .inputs import Inputs
from .instances import Instance
from .names import meant
from .plain import digest
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

    def current(self, name: str) -> Json | None:
        """The verified release of an instance, with what the host knows of it."""
        found: Json | None = (self.observed.get(name) or {}).get("current")
        return found


def plan_host(inputs: Inputs, errors: t.Sequence[str] = ()) -> Outcome:
    """`errors` are those that reading the inputs has found already."""
    findings = Findings(inputs.unknown_arguments, errors=list(errors))
    listed = _instances(inputs, findings)
    observed = {entry["name"]: entry for entry in inputs.facts.get("instances", [])}
    listed = [promotion.standing(one, inputs, observed.get(one.name), findings.errors) for one in listed]
    findings.errors += _host(inputs, listed, observed)
    known = _schema(inputs, findings)
    if known is None or not inputs.facts:
        return Outcome(errors=tuple(dict.fromkeys(findings.errors)))
    findings.warnings += [*known.warnings, *_reading_warnings(inputs, known), *_target_warnings(inputs, listed)]
    findings.errors += limits.problems(inputs.class_limits, known)
    accepted = bool(inputs.settings.get("accept_advisories"))
    advisories.check(inputs.version, inputs.advisories, listed, accepted, findings)
    image.tagged(inputs.image, inputs.version, findings)
    shares = auto_profile.shares(listed, inputs.facts)
    prepared = [prepare.prepare(one, inputs, known, findings.errors, shares[one.name]) for one in listed]
    host = Host(inputs, known, observed, shares)
    assigned = _assign(prepared, host, findings)
    prepared, house = tenants.moved_in(prepared, inputs, known, observed, assigned)
    plans = [_plan(one, host, assigned, house, findings) for one in prepared]
    plans += _unlisted(inputs, listed, observed, findings)
    for plan in plans:
        findings.warnings += [*plan["warnings"], *map(checks.overruled_text, plan["overruled"])]
    found = _refused(plans, findings) if findings.errors else _outcome(plans, findings.warnings, observed, house)
    return dataclasses.replace(found, advisories=tuple(advisories.affecting(inputs.version, inputs.advisories)))


def _refused(drafts: t.Sequence[Json], findings: Findings) -> Outcome:
    return Outcome(
        drafts=tuple(drafts),
        errors=tuple(dict.fromkeys(findings.errors)),
        warnings=tuple(dict.fromkeys(findings.warnings)),
        blocks=tuple(report.block(plan, refused=True) for plan in drafts),
    )


def _outcome(plans: list[Json], warnings: list[str], observed: t.Mapping[str, Json], house: fit.House) -> Outcome:
    plans = order.carried_out(plans, observed, house)
    changing = [plan for plan in plans if plan["change"] != "none"]
    return Outcome(
        plans=tuple(plans),
        warnings=tuple(dict.fromkeys(warnings)),
        diff=tuple(report.difference(plan, observed.get(plan["instance"])) for plan in changing),
        blocks=tuple(report.block(plan) for plan in plans),
    )


def _instances(inputs: Inputs, findings: Findings) -> list[Instance]:
    defaults = inputs.settings.get("defaults") or {}
    read = [
        instances.read(given, number + 1, defaults, findings.errors, inputs.history.get("arguments", ()))
        for number, given in enumerate(inputs.instances)
    ]
    found = [instance for instance in read if instance is not None]
    rollout_settings.check(found, inputs.settings, findings)
    return found


def _schema(inputs: Inputs, findings: Findings) -> schema.Schema | None:
    if not inputs.version:
        return None
    try:
        return schema.resolve(inputs.version, inputs.history, inputs.readings)
    except schema.UnknownVersionError as error:
        findings.error(str(error))
        return None


def _host(inputs: Inputs, listed: t.Sequence[Instance], observed: t.Mapping[str, Json]) -> list[str]:
    if not inputs.facts:
        return ["There are no facts of the host: run gpufleet.vllm.gpu_facts first and pass what it found."]
    leaving = set(observed) - {instance.name for instance in listed} if inputs.remove_unlisted else set()
    found = hostcheck.host_problems(inputs.facts, inputs.host_class) if listed or observed else []
    found += hostcheck.duplicates(listed)
    found += hostcheck.ports_taken(listed, inputs.facts, leaving)
    return found


def _reading_warnings(inputs: Inputs, known: schema.Schema) -> list[str]:
    """Engine arguments that were read from an image are those of that image."""
    here = inputs.image_id
    if not known.image_id or not here or here == known.image_id:
        return []
    read = f"The engine arguments of vLLM {known.read_from} were read from another image ({known.image_id})"
    return [f"{read} than the host has ({here}): run the playbook gpufleet.vllm.engine_args again."]


def _target_warnings(inputs: Inputs, listed: t.Sequence[Instance]) -> list[str]:
    names, target = [instance.name for instance in listed], inputs.target_instance
    if not target or inputs.promote:
        return []
    if not inputs.target_profile:
        alone = f"vllm_server_target_instance is {target} and vllm_server_target_profile is empty: it says for which"
        return [f"{alone} instance that profile is, and limits nothing. Every instance of the host is planned."]
    return [] if target in names else [f"The target instance {target} is not on this host.{meant(target, names)}"]


def _assign(prepared: t.Sequence[Prepared], host: Host, findings: Findings) -> t.Mapping[str, Assignment]:
    if host.inputs.host_class == hostcheck.CPU:
        findings.errors += [
            f"instance {one.instance.name}: it asks for GPUs and the host is of class {hostcheck.CPU}: leave gpus "
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
    one: Prepared, host: Host, assigned: t.Mapping[str, Assignment], house: fit.House, findings: Findings
) -> Json:
    """The plan of a listed instance."""
    instance, inputs = one.instance, host.inputs
    gpu = assigned.get(instance.name, NO_GPU)
    seen, current = host.observed.get(instance.name), host.current(instance.name)
    dummy = one.values().get("load_format") == "dummy"
    problems, notes = hostcheck.model_problems(instance, inputs.models, dummy)
    findings.errors += problems
    revision = _revision(instance, inputs, current)
    if instance.api_key and instance.name not in inputs.fingerprints:
        findings.error(
            f"instance {instance.name}: it has an api_key and no fingerprint of it was passed: run "
            "gpufleet.vllm.vllm_api_keys first and pass what it returned."
        )
    document = release.document(one, host.known, inputs, revision, gpu)
    told = release.client(instance, one.arguments, one.sampling)
    mark = digest(document)
    image_id = inputs.image_id
    findings.errors += change.refusals(instance.name, mark if instance.active else "", seen, inputs.retry, image_id)
    judged = judging.judge(one, document, (current or {}).get("digest") == mark, house, inputs, findings)
    running = (current or {}).get("release") or {}
    changed = defaults.changes(running, host.known, one.values(), inputs.history, inputs.readings)
    settings = rollout_settings.merged(instance, inputs.settings, [])
    desired = change.Desired(document, mark, told, one.arguments, image_id, settings)
    decided = change.decide(desired, seen, inputs.retry) if instance.active else change.decide_inactive(seen)
    below = descent.below(one, host, assigned, house, revision, mark, findings)
    return {
        "instance": instance.name,
        "active": one.instance.active,
        "change": decided.kind,
        "reasons": list(decided.reasons),
        "downtime_seconds": change.downtime_seconds(decided.kind, seen),
        "arguments": [_argument(argument, current) for argument in one.arguments],
        "overruled": judged.overruled,
        "let_through": judged.let_through,
        "warnings": [
            *one.warnings,
            *judged.warnings,
            *notes,
            *unified.cautions(judged.memory, inputs.facts),
            *change.cautions(instance.name, mark, seen, inputs.retry),
        ],
        "notes": [*promotion.notes(instance), *one.notes, *changed, *below.left_out],
        "memory": judged.memory,
        "digest": mark,
        "release": document,
        "client": told,
        "rungs": list(below.rungs),
        "ladder": list(instance.ladder),
        "stands_in": change.stands_in(current or {}, mark, inputs.retry),
        "settings": {**settings, **promotion.recorded(instance)},
        "image_id": image_id,
    }


def _argument(argument: t.Any, current: Json | None) -> Json:
    found = {"name": argument.name, "value": argument.value, "origin": argument.origin}
    running = ((current or {}).get("release") or {}).get("arguments")
    if running is not None and argument.set and running.get(argument.name) != argument.value:
        found["from_value"] = running.get(argument.name)
    return found


def _unlisted(
    inputs: Inputs, listed: t.Sequence[Instance], observed: t.Mapping[str, Json], findings: Findings
) -> list[Json]:
    """Plans to remove instances that nobody lists any more; where that is not asked for, warnings that they stay."""
    plans = []
    for name in sorted(set(observed) - {instance.name for instance in listed}):
        if not inputs.remove_unlisted:
            findings.warn(
                f"Instance {name} is on the host and not listed: it stays (vllm_server_remove_unlisted removes it)."
            )
            continue
        findings.errors += change.refusals(name, "", observed[name], inputs.retry)
        plans.append(_removal(name))
    return plans


def _removal(name: str) -> Json:
    nothing: Json = dict.fromkeys(("digest", "release", "client", "image_id", "memory"))
    empty = ("arguments", "overruled", "let_through", "warnings", "notes", "rungs", "ladder")
    lists: Json = {**{name: [] for name in empty}, "settings": {}}
    what: Json = {"change": "remove", "reasons": [change.UNLISTED], "downtime_seconds": None, "stands_in": False}
    return {"instance": name, "active": False, **what, **lists, **nothing}
