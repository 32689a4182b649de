# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What another release of vLLM would break or change on a host, before anything is pulled.

The host is planned twice, with the release that the inventory states and with the other one; what differs is told.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._docker.release import Release
from .._findings.findings import Findings
from .._outside.documents import Json
from .._vllm import images, metric_names, schema
from . import planner
from .changes import defaults
from .changes.change import shown
from .changes.plan import Plan
from .inventory.inputs import Inputs

# Smaller differences of the KV cache are not worth a line.
FELT_GIB = 0.1


def wanted(inputs: Inputs) -> bool:
    """Whether a target version asks for another release than the inventory states."""
    another = inputs.version != inputs.stated_version or bool(inputs.target_version)
    return bool(inputs.stated_version) and another


def target(inputs: Inputs) -> Inputs:
    """The same host with the target's image: its tag follows where it says the release."""
    return dataclasses.replace(inputs, image=images.at(inputs.image, inputs.version))


def base(inputs: Inputs) -> Inputs:
    """The same host as the inventory states it."""
    before = inputs.stated_version
    return dataclasses.replace(inputs, version=before, image=images.at(inputs.image, before), target_version="")


def compare(inputs: Inputs, after: planner.Outcome) -> Json:
    """INPUTS and AFTER are of the target. `breaks` refuse it and did not before; `changes` are by instance and kind.

    Nothing where the target instance is not on this host, or has that version already.
    """
    old = base(inputs)
    seen_old, seen = _aimed(old), _aimed(inputs)
    if seen_old is None or seen is None or seen_old.version == seen.version:
        return {}
    before = planner.plan_host(old)
    plans, planned = _by_name(before), _by_name(after)
    known_releases = _schema(seen_old) is not None and _schema(seen) is not None
    changes = _of_host(seen_old, seen) if known_releases else []
    for name in sorted(set(plans) & set(planned)) if known_releases else []:
        if _version(plans[name]) != _version(planned[name]):
            changes += [{"instance": name, **one} for one in _of_instance(plans[name], planned[name], seen_old, seen)]
    known = {text.replace(seen_old.version, seen.version) for text in before.errors}
    return {
        "from": seen_old.version,
        "to": seen.version,
        "image": seen.image,
        "breaks": [text for text in after.errors if text not in known],
        "changes": changes,
    }


def _aimed(inputs: Inputs) -> Inputs | None:
    """The host as the target instance has it; without one the host itself."""
    if not inputs.target_instance:
        return inputs
    listed = planner.listed_instances(inputs, Findings())
    return next((inputs.of(one) for one in listed if one.name == inputs.target_instance), None)


def _version(plan: Plan) -> str:
    return plan["release"]["version"] if plan["release"] else ""


def lines(found: Json) -> list[str]:
    """For a terminal."""
    if not found:
        return []
    said = [f"upgrade vLLM {found['from']} -> {found['to']} (image {found['image']})"]
    said += [f"    BREAKS: {text}" for text in found["breaks"]]
    for one in found["changes"]:
        where = f"instance {one['instance']}: " if one["instance"] else ""
        said.append(f"    {one['kind']}: {where}{one['text']}")
    return said if len(said) > 1 else [f"{said[0]}: nothing breaks, and nothing that is known changes"]


def _by_name(outcome: planner.Outcome) -> dict[str, Plan]:
    return {plan["instance"]: plan for plan in (*outcome.plans, *outcome.drafts) if plan.get("release")}


def _of_host(old: Inputs, new: Inputs) -> list[Json]:
    gone = metric_names.gone(schema.version_key(old.version), schema.version_key(new.version))
    found = [_change("", "metric", text) for text in gone]
    before, after = images.cuda_of(old.image, old.version), images.cuda_of(new.image, new.version)
    driver = (new.facts.get("driver") or {}).get("version")
    if after is None:
        text = f"which CUDA the image {new.image} brings is not known, and so not whether the driver takes it"
        found.append(_change("", "cuda", text))
    elif before != after:
        oldest = images.OLDEST_DRIVER.get(int(after.split(".", maxsplit=1)[0]))
        needs = f", which takes driver {oldest} or newer" if oldest else ""
        has = f"; the host has {driver}" if driver else "; the host's driver is not known"
        found.append(
            _change("", "cuda", f"the image brings CUDA {after} instead of {before or 'an unknown one'}{needs}{has}")
        )
    return found


def _of_instance(before: Plan, after: Plan, old: Inputs, new: Inputs) -> list[Json]:
    # As _by_name has them.
    was, will_be = t.cast(Release, before["release"]), t.cast(Release, after["release"])
    return [
        *[{"kind": "argument", "text": text} for text in _arguments(was, will_be)],
        *[{"kind": "variable", "text": text} for text in _variables(will_be, old, new)],
        *[{"kind": "default", "text": text} for text in _defaults(was, will_be, old, new)],
        *[{"kind": "memory", "text": text} for text in _memory(before.get("memory"), after.get("memory"))],
    ]


def _arguments(before: Release, after: Release) -> list[str]:
    """What the same inventory comes to. A name that is refused stands among what breaks."""
    old, new = before["arguments"], after["arguments"]
    found = []
    for name in sorted(set(old) | set(new)):
        if name not in new:
            found.append(f"{name} {shown(old[name])} is not passed on any more")
        elif name not in old:
            found.append(f"{name} {shown(new[name])} is passed on")
        elif old[name] != new[name]:
            found.append(f"{name} {shown(old[name])} -> {shown(new[name])}")
    return found


def _variables(release: Release, old: Inputs, new: Inputs) -> list[str]:
    known = [_schema(one) for one in (old, new)]
    if None in known:
        return []
    read, now = (t.cast(schema.Schema, one).environment for one in known)
    return [f"env.{name} is not read any more" for name in release["env"] if name in read and name not in now]


def _defaults(before: Release, after: Release, old: Inputs, new: Inputs) -> list[str]:
    planned = _schema(new)
    if planned is None:
        return []
    stated = {**before["arguments"], **after["arguments"]}
    return defaults.differing(old.version, planned, stated, new.history, new.readings)


def _schema(inputs: Inputs) -> schema.Schema | None:
    try:
        return schema.resolve(inputs.version, inputs.history, inputs.readings)
    except schema.UnknownVersionError:
        return None


def _memory(before: Json | None, after: Json | None) -> list[str]:
    """Verdicts, and what is left for the KV cache where somebody would feel it."""
    if before is None or after is None:
        return []
    words = [one["verdict"].replace("_", " ") for one in (before, after)]
    found = [f"verdict {words[0]} -> {words[1]}"] if words[0] != words[1] else []
    then, now = ((one["kv"]["gib"] or {}).get("expected") for one in (before, after))
    if then is not None and now is not None and abs(then - now) >= FELT_GIB:
        found.append(f"KV cache {then:.2f} -> {now:.2f} GiB")
    return found


def _change(instance: str, kind: str, text: str) -> Json:
    return {"instance": instance, "kind": kind, "text": text}
