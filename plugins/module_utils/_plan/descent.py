# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rungs below a planned release as releases of their own, through the checks that the planned one went through.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from . import fit, judging, ladder, prepare, release, rollout_settings, tenants
from .findings import Findings
from .gpus import Assignment
from .inputs import Inputs
from .layers import Layer
from .plain import digest
from .prepare import Prepared
from .schema import Schema

Json = dict[str, t.Any]
NO_GPU = Assignment("none")
ORIGIN = "fallback"


class Host(t.Protocol):
    """The part of the planner's host that is used here."""

    @property
    def inputs(self) -> Inputs: ...

    @property
    def known(self) -> Schema: ...

    @property
    def observed(self) -> t.Mapping[str, Json]: ...

    @property
    def shares(self) -> t.Mapping[str, int]: ...


@dataclasses.dataclass(frozen=True)
class Below:
    """Rungs, top first, and a sentence for each row that makes none."""

    rungs: tuple[Json, ...] = ()
    left_out: tuple[str, ...] = ()


def below(
    one: Prepared,
    host: Host,
    assigned: t.Mapping[str, Assignment],
    house: fit.House,
    revision: str | None,
    planned: str,
    container_schema: int,
    findings: Findings,
) -> Below:
    """What may be tried in the place of the release `planned`; nothing where no ladder is asked for."""
    instance, settings = one.instance, host.inputs.settings
    errors: list[str] = []
    own = ladder.read(instance.fallback, f"instance {instance.name}: fallback", errors) if instance.fallback else []
    findings.errors += errors
    if errors or rollout_settings.merged(instance, settings, [])["on_failure"] != "fallback":
        return Below()
    rows = own or ladder.read(settings.get("ladder") or [], "settings.ladder", findings.errors)

    def make(changes: Json) -> ladder.Made:
        problems: list[str] = []
        share = host.shares[instance.name]
        lower = prepare.prepare(instance, host.inputs, host.known, problems, share, Layer(ORIGIN, changes))
        if problems:
            return None, problems[0]
        lower, tenant = tenants.instead(lower, house, host.observed, assigned)
        gpu = assigned.get(instance.name, NO_GPU)
        document = release.document(lower, host.known, host.inputs, revision, gpu, container_schema)
        mark = digest(document)
        if mark == planned:
            return None, "it changes nothing."
        problem = judging.refusal(lower, document, tenant, house, host.inputs)
        if problem:
            return None, problem
        told = release.client(instance, lower.arguments, lower.sampling)
        return {"digest": mark, "release": document, "client": told}, ""

    rungs, left_out = ladder.rungs(rows, one.values(), _client_length(one, settings), make)
    return Below(tuple(rungs), tuple(left_out))


def _client_length(one: Prepared, settings: t.Mapping[str, t.Any]) -> int | None:
    """Tokens: what clients say that they use, else the planned length; 0 where a shorter one is allowed."""
    if settings.get("fallback_shorter"):
        return 0
    for length in (one.sampling.get("context_limit"), one.values().get(ladder.LENGTH)):
        if isinstance(length, int) and not isinstance(length, bool) and length > 0:
            return length
    return None
