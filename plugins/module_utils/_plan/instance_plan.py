# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of one instance: its release, what kind of change it is, and everything that is said about it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._docker.release import Release
from .._findings.findings import Findings
from .._settings.rollout import Settings
from .._state.observed import Kept, Observed
from .._vllm.schema import Schema
from . import fallback_releases, judging, own_release, prepare, promotion, release, revisions
from .arguments.layers import Resolved
from .arguments.mounts import Mounts
from .changes import change, defaults, hardening, live_adapters
from .changes.plan import Argument, Plan
from .checks import host_checks, image_name, media
from .gpus import Assignment
from .host_load import HostLoad
from .inventory import container_options, rollout_settings
from .inventory.inputs import Inputs
from .inventory.instances import Instance
from .memory import unified
from .prepare import Prepared

NO_GPU = Assignment("none")


@dataclasses.dataclass(frozen=True)
class Host:
    """What all plans of one host share."""

    inputs: Inputs
    known: Schema
    observed: t.Mapping[str, Observed]
    shares: t.Mapping[str, int]
    owns: t.Mapping[str, own_release.Own]

    def of(self, instance: Instance) -> Host:
        """The same host as an instance has it, with the image and the version that it is planned for."""
        own = self.owns[instance.name]
        return dataclasses.replace(self, inputs=own.inputs, known=own.known)

    def prepare(self, instance: Instance, errors: list[str]) -> Prepared:
        return prepare.prepare(instance, self.inputs, self.known, errors, self.shares[instance.name])

    def current(self, name: str) -> Kept | None:
        """The verified release of an instance, with what the host knows of it."""
        return (self.observed.get(name) or {}).get("current")


class Case(t.NamedTuple):
    """One instance on its host: what is wanted of it, and what is there. `current` is its verified release."""

    one: Prepared
    inputs: Inputs
    seen: Observed | None
    current: Kept | None

    @property
    def instance(self) -> Instance:
        return self.one.instance


def plan(
    one: Prepared,
    host: Host,
    assigned: t.Mapping[str, Assignment],
    host_load: HostLoad,
    findings: Findings,
    said: bool = False,
) -> Plan:
    """The plan of a listed instance. SAID: the inventory calls it the active member of its group."""
    instance, inputs = one.instance, host.inputs
    case = Case(one, inputs, host.observed.get(instance.name), host.current(instance.name))
    seen, current = case.seen, case.current
    model_notes = _preconditions(case, findings)
    revision = revisions.planned(instance, inputs.models, current)
    chosen = _chosen(case, host.known, revision, assigned.get(instance.name, NO_GPU), findings)
    document, digest, written = chosen.release, chosen.digest, set(chosen.digests.values())
    judged = judging.judge(one, document, (current or {}).get("digest") in written, host_load, inputs, findings)
    mounted = release.mounted_of(one, inputs)
    settings = _settings(case, mounted, digest, findings)
    client = release.client(instance, one.arguments, one.sampling)
    desired = change.Desired(document, digest, client, one.arguments, inputs.image_id, settings, chosen.older)
    would = change.decide(desired, seen, inputs.retry, said)
    decided = would if instance.active else change.decide_inactive(seen, bool(instance.exclusive_group))
    below = fallback_releases.below(one, host, assigned, host_load, revision, digest, chosen.schema, findings)
    hardened = chosen.notes() if instance.active else _rests(seen, would)
    return {
        "instance": instance.name,
        "active": instance.active,
        "change": decided.kind,
        "reasons": list(decided.reasons),
        "downtime_seconds": change.downtime_seconds(decided.kind, seen),
        "arguments": [_argument(argument, document, current) for argument in one.arguments],
        "files": [mount.as_dict() for mount in mounted.mounts],
        "overruled": judged.overruled,
        "let_through": judged.let_through,
        "warnings": _warnings(case, judged, model_notes, digest),
        "notes": [*_notes(case, host.known, revision, below), *hardened],
        "memory": judged.memory,
        "digest": digest,
        "release": document,
        "client": client,
        "fallbacks": list(below.steps),
        "promotion": list(instance.promotion),
        "stands_in": change.stands_in(current or {}, digest, inputs.retry),
        "settings": {**settings, **promotion.recorded(instance)},
        "demands": one.demands,
        "image_id": inputs.image_id,
    }


def _preconditions(case: Case, findings: Findings) -> list[str]:
    """What has to be there before any release of it can serve, its model and its key; what is worth a warning."""
    instance, inputs = case.instance, case.inputs
    dummy = case.one.values().get("load_format") == "dummy"
    problems, notes = host_checks.model_problems(instance, inputs.models, dummy)
    findings.errors += problems
    if instance.api_key and not instance.api_key_refused and instance.name not in inputs.fingerprints:
        findings.error(
            f"instance {instance.name}: it has an api_key and no fingerprint of it was passed: run "
            "gpufleet.vllm.vllm_api_keys first and pass what it returned."
        )
    return notes


def _chosen(case: Case, known: Schema, revision: str | None, gpu: Assignment, findings: Findings) -> hardening.Chosen:
    """The release with the container settings that it gets, unless this host has rejected it."""
    instance, inputs = case.instance, case.inputs
    chosen = hardening.choose(
        instance.name,
        lambda schema: release.document(case.one, known, inputs, revision, gpu, schema),
        case.current,
        inputs.image_id,
        inputs.apply_hardening,
        inputs.retry,
    )
    findings.errors += [chosen.error] if chosen.error else []
    digest, written = chosen.digest if instance.active else "", set(chosen.digests.values())
    findings.errors += change.refusals(instance.name, digest, case.seen, inputs.retry, inputs.image_id, written)
    return chosen


def _settings(case: Case, mounted: Mounts, digest: str, findings: Findings) -> Settings:
    """What its rollout goes by."""
    one, inputs = case.one, case.inputs
    settings = rollout_settings.merged(one.instance, inputs.settings, [])
    goes_on = case.current if change.goes_on(case.current, digest, inputs.retry) else None
    settings.update(live_adapters.settings(mounted, goes_on))
    if one.instance.active:
        problems = live_adapters.problems(mounted, goes_on, one.values(), inputs.version)
        findings.errors += [f"instance {one.instance.name}: {text}" for text in problems]
    settings["smoke"] = media.asked(settings["smoke"], one.values(), one.model)
    return settings


def _warnings(case: Case, judged: judging.Judged, model_notes: t.Sequence[str], digest: str) -> list[str]:
    inputs = case.inputs
    return [
        *case.one.warnings,
        *judged.warnings,
        *model_notes,
        *unified.cautions(judged.memory, inputs.facts, inputs.version),
        *change.cautions(case.instance.name, digest, case.seen, inputs.retry),
    ]


def _notes(case: Case, known: Schema, revision: str | None, below: fallback_releases.Below) -> list[str]:
    one, instance, inputs = case.one, case.instance, case.inputs
    running = (case.current or {}).get("release") or {}
    return [
        *promotion.notes(instance),
        *one.notes,
        *defaults.changes(running, known, one.values(), inputs.history, inputs.readings),
        *below.left_out,
        *image_name.notes(inputs.image),
        *revisions.notes(instance, inputs.models, revision),
        *container_options.notes(instance.container_user, instance.model, inputs.settings),
    ]


def _rests(seen: Observed | None, would: change.Change) -> list[str]:
    """What a switch would start, and where that is not what is planned by now."""
    current = (seen or {}).get("current")
    if current is None or not (seen or {}).get("resting"):
        return []
    told = f"it rests, with verified release {current['digest'][:12]} of {current.get('verified_at')}"
    if would.kind != "restart":
        return [told]
    changed = "; ".join(would.reasons)
    return [
        f"{told}. It is planned otherwise by now ({changed}): a switch starts it as it is, site.yml as it is planned"
    ]


def _argument(argument: Resolved, document: Release, current: Kept | None) -> Argument:
    """As it is written; compared as it is inside the container."""
    shown: Argument = {"name": argument.name, "value": argument.value, "origin": argument.origin}
    running = ((current or {}).get("release") or {}).get("arguments")
    wanted = document["arguments"].get(argument.name)
    if running is not None and argument.set and running.get(argument.name) != wanted:
        shown["from_value"] = running.get(argument.name)
    return shown
