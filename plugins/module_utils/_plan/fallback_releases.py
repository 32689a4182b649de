# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps below a planned release as releases of their own, through the checks that the planned one went through.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._findings.findings import Findings
from .._outside.documents import Json
from .._settings.canonical_json import digest
from .._state.observed import Observed
from .._state.request import Step
from .._vllm.schema import Schema
from . import fallback, gpu_sharing, judging, prepare, release
from .arguments.layers import Layer
from .gpus import Assignment
from .host_load import HostLoad
from .inventory import rollout_settings
from .inventory.inputs import Inputs
from .prepare import Prepared

NO_GPU = Assignment("none")
ORIGIN = "fallback"


class Host(t.Protocol):
    """The part of the planner's host that is used here."""

    @property
    def inputs(self) -> Inputs: ...

    @property
    def known(self) -> Schema: ...

    @property
    def observed(self) -> t.Mapping[str, Observed]: ...

    @property
    def shares(self) -> t.Mapping[str, int]: ...


@dataclasses.dataclass(frozen=True)
class Below:
    """Steps, top first, and a sentence for each row that makes none."""

    steps: tuple[Step, ...] = ()
    left_out: tuple[str, ...] = ()


def below(
    one: Prepared,
    host: Host,
    assigned: t.Mapping[str, Assignment],
    host_load: HostLoad,
    revision: str | None,
    planned: str,
    container_schema: int,
    findings: Findings,
) -> Below:
    """What may be tried in the place of the release `planned`; nothing where no fallback is asked for."""
    instance, settings = one.instance, host.inputs.settings
    errors: list[str] = []
    own = fallback.read(instance.fallback, f"instance {instance.name}: fallback", errors) if instance.fallback else []
    findings.errors += errors
    if errors or rollout_settings.merged(instance, settings, [])["on_failure"] != "fallback":
        return Below()
    rows = own or fallback.read(settings.get("fallback") or [], "settings.fallback", findings.errors)

    def make(changes: Json) -> fallback.Tried:
        problems: list[str] = []
        share = host.shares[instance.name]
        layer = Layer(ORIGIN, changes, f"instance {instance.name}, {ORIGIN}")
        lower = prepare.prepare(instance, host.inputs, host.known, problems, share, layer)
        if problems:
            return None, problems[0]
        lower, placement = gpu_sharing.instead(lower, host_load, host.observed, assigned)
        gpu = assigned.get(instance.name, NO_GPU)
        document = release.document(lower, host.known, host.inputs, revision, gpu, container_schema)
        mark = digest(document)
        if mark == planned:
            return None, "it changes nothing."
        problem = judging.refusal(lower, document, placement, host_load, host.inputs)
        if problem:
            return None, problem
        told = release.client(instance, lower.arguments, lower.sampling)
        return {"digest": mark, "release": document, "client": told}, ""

    steps, left_out = fallback.steps(rows, one.values(), _client_length(one, settings), make)
    return Below(tuple(steps), tuple(left_out))


def _client_length(one: Prepared, settings: t.Mapping[str, t.Any]) -> int | None:
    """Tokens: what clients say that they use, else the planned length; 0 where a shorter one is allowed."""
    if settings.get("fallback_shorter"):
        return 0
    for length in (one.sampling.get("context_limit"), one.values().get(fallback.LENGTH)):
        if isinstance(length, int) and not isinstance(length, bool) and length > 0:
            return length
    return None
