# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All checks of an instance whose arguments are resolved and whose GPUs are not assigned yet, in one order.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._findings.checks import Doubt
from ..._outside.documents import Json
from ..._vllm.schema import Schema
from ..inventory import api_key
from ..inventory.inputs import Inputs
from ..inventory.instances import Instance
from ..memory import catalogue
from ..memory.catalogue import Model
from . import (
    adapters,
    answering,
    blocks,
    conflicts,
    drafting,
    formats,
    hints,
    host_checks,
    media,
    model_checks,
    reach,
    smoke_feasibility,
)


class Case(t.NamedTuple):
    """`values` are the arguments that are set, `variables` the environment, `smoke` what the smoke test asks."""

    instance: Instance
    values: Json
    variables: t.Mapping[str, str]
    model: Model
    schema: Schema
    smoke: Json


def doubts(case: Case, inputs: Inputs) -> list[Doubt]:
    """What speaks against its arguments."""
    instance, values, variables, model, schema, smoke = case
    asked = drafting.asked(values, model)
    found = [
        *conflicts.contradictions(asked, schema, variables, inputs.host_class == host_checks.CPU),
        *model_checks.problems(values, variables, model, schema.version),
        *blocks.problems(values, model, schema.version),
        Doubt("value", drafting.problem(asked, model, schema.version)),
        *media.problems(smoke, values, model),
        *(Doubt("value", text) for text in drafting.misspelt(values, schema.version)),
        *(Doubt("value", text) for text in adapters.problems(values, instance.served_model_name)),
        *(Doubt("value", text) for text in adapters.live_problems(instance, values, variables)),
    ]
    return [doubt for doubt in found if doubt.text]


def errors(case: Case, inputs: Inputs) -> list[str]:
    """What no switch overrules."""
    instance, values, variables, model, schema, smoke = case
    # Without a host nobody knows the model.
    found = smoke_feasibility.problems(smoke, values, model, schema) if inputs.facts else []
    found = [*found, *(api_key.problems(values, variables, schema) if instance.api_key else [])]
    if instance.revision and instance.model.startswith("/"):
        found.append("revision goes with a model of the hub, and the model is a path: leave it out.")
    return found


def cautions(case: Case, inputs: Inputs) -> list[str]:
    """What is worth a warning."""
    instance, values, _variables, model, schema, smoke = case
    found = [
        *model_checks.cautions(model),
        *hints.cautions(values, model),
        *formats.cautions(model, values, schema),
        drafting.caution(values, inputs.models),
        answering.caution(model, values, media.transcribes(smoke, model)),
        catalogue.caution(model),
        *reach.cautions(instance.bind, instance.api_key),
        reach.shared(inputs.settings.get("ipc") or ""),
    ]
    return [text for text in found if text]


def notes(case: Case, allowed: t.Iterable[str]) -> list[str]:
    """What is worth a line. ALLOWED: what the instance has let through of dangers."""
    instance, values, _variables, model, schema, _smoke = case
    return [
        *([catalogue.note(model)] if model.hub else []),
        *hints.notes(values),
        *allowed,
        *adapters.live_notes(instance, values),
        *reach.notes(values, model, schema),
    ]
