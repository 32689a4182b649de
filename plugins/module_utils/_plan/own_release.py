# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release that each instance is planned for: its own image and version, or the host's.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._findings.findings import Findings
from .._settings.names import listed as spelt
from .._vllm import schema
from .arguments import limits
from .checks import advisories, image
from .inventory.inputs import Inputs
from .inventory.instances import Instance


class Own(t.NamedTuple):
    """The host as instances of one image and version have it."""

    inputs: Inputs
    known: schema.Schema
    instances: tuple[Instance, ...]
    of_host: bool

    @property
    def where(self) -> str:
        """The beginning of a sentence about it; nothing for the host's own."""
        names = [one.name for one in self.instances]
        many = "instances" if len(names) > 1 else "instance"
        return "" if self.of_host else f"{many} {spelt(names)}: "


def resolve(inputs: Inputs, instances: t.Sequence[Instance], findings: Findings) -> list[Own] | None:
    """One for each image and version, the host's own where nothing is listed. None where one is of no known release."""
    groups: dict[tuple[str, str], list[Instance]] = {}
    for one in instances:
        seen = inputs.of(one)
        groups.setdefault((seen.image, seen.version), []).append(one)
    found, whole = [], True
    for (name, version), members in (groups or {(inputs.image, inputs.version): []}).items():
        own = inputs.of(members[0]) if members else inputs
        known = schema_of(own, findings)
        if known is None:
            whole = False
        else:
            same = (name, version) == (inputs.image, inputs.version)
            found.append(Own(own, known, tuple(members), same))
    return found if whole else None


def schema_of(inputs: Inputs, findings: Findings) -> schema.Schema | None:
    if not inputs.version:
        return None
    try:
        return schema.resolve(inputs.version, inputs.history, inputs.readings)
    except schema.UnknownVersionError as error:
        findings.error(str(error))
        return None


def check(one: Own, findings: Findings) -> None:
    """What hangs on the release alone."""
    inputs = one.inputs
    findings.errors += limits.problems(inputs.class_limits, one.known)
    accepted = bool(inputs.settings.get("accept_advisories"))
    advisories.check(inputs.version, inputs.advisories, one.instances, accepted, findings)


def check_image(one: Own, findings: Findings) -> None:
    """What hangs on the image as well."""
    told = Findings()
    image.tagged(one.inputs.image, one.inputs.version, told)
    told.warnings += _reading_warnings(one.inputs, one.known)
    findings.errors += [f"{one.where}{text}" for text in told.errors]
    findings.warnings += [*one.known.warnings, *(f"{one.where}{text}" for text in told.warnings)]


def _reading_warnings(inputs: Inputs, known: schema.Schema) -> list[str]:
    """Engine arguments that were read from an image are those of that image."""
    here = inputs.image_id
    if not known.image_id or not here or here == known.image_id:
        return []
    read = f"The engine arguments of vLLM {known.read_from} were read from another image ({known.image_id})"
    return [f"{read} than the host has ({here}): run the playbook gpufleet.vllm.engine_args again."]


def notes(instance: Instance, host: Inputs, own: Inputs) -> list[str]:
    """Where an instance does not go with its host."""
    differs = (own.image, own.version) != (host.image, host.version)
    stated = " and ".join(key for key in ("image", "version") if getattr(instance, key))
    if host.target_instance not in ("", instance.name) and differs and not stated:
        serves = f"image {own.image} and version {own.version} stay those that serve"
        return [f"{serves}: vllm_server_target_instance is {host.target_instance}."]
    if stated and not host.target_instance and host.stated_version not in ("", host.version):
        passed = f"it states its own {stated}, which vllm_server_target_version passes by"
        return [f"{passed}: vllm_server_target_instance={instance.name} plans it at {host.version}."]
    return []
