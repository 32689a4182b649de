# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an instance fits its GPUs: smaller defaults where vLLM's own do not, the verdict, and what is said of it.

Sizes are GiB in what is said.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._docker.release import Release
from .._findings.findings import Findings
from .._outside.documents import Json
from .._state.measurement import Measurement
from .._vllm.schema import Schema
from .._vllm.values import BadValueError, ChoiceError, checked
from .arguments.layers import Resolved
from .host_load import HostLoad, Placement
from .memory.catalogue import assumptions
from .memory.measured import instead_of_sums
from .memory.plan import SMALL_BATCH, MemoryPlan, plan_memory
from .memory_request import request

CAPPED = ("max_num_seqs", "max_num_batched_tokens")
OURS = "ours"


def judgeable(values: Json, schema: Schema) -> bool:
    """Whether sums make sense: not with values that are wrong anyway and are told so elsewhere."""
    for name, value in values.items():
        known = schema.arguments.get(name)
        if known is None:
            continue
        try:
            checked(known, value)
        except ChoiceError:
            continue
        except BadValueError:
            return False
    return True


def caps(placement: Placement, host_load: HostLoad) -> list[Resolved]:
    """Smaller defaults where vLLM's own do not fit. What is free now plays no part: a release must not move with it."""
    if not placement.uuids or not judgeable(placement.values, placement.schema):
        return []
    still = dataclasses.replace(placement, active=False, running=None)
    alone = dataclasses.replace(host_load, placements=(still,))
    smaller = plan_memory(request(still, alone), advise=False).caps or {}
    return [Resolved(name, value, OURS) for name, value in smaller.items() if placement.values.get(name) != value]


def kept(placement: Placement, host_load: HostLoad, current: Release | None, capped: list[Resolved]) -> list[Resolved]:
    """CAPPED, or what CURRENT has in its place where that verified release asks for the same in everything else.

    What the sums say moves with our own releases; a server that has proved itself must not be restarted for that.
    """
    unset = [name for name in CAPPED if name not in placement.values]
    if current is None or not unset:
        return capped
    had = current.get("arguments") or {}
    same = _without(had, unset) == _without(placement.values, unset)
    if not same or current.get("version") != placement.schema.version or _model_of(current) != placement.model.name:
        return capped
    if not any(name in had for name in unset):
        return []
    # What somebody set and has taken away is not ours to keep.
    ours = len(unset) == len(CAPPED) and all(had.get(name) == value for name, value in zip(CAPPED, SMALL_BATCH))
    return [Resolved(name, had[name], OURS) for name in unset] if ours else capped


def _without(values: Json, names: t.Sequence[str]) -> Json:
    return {name: value for name, value in values.items() if name not in names}


def _model_of(release: Release) -> str:
    return str((release.get("model") or {}).get("id") or "")


def plan(placement: Placement, host_load: HostLoad, measured: Measurement | None = None) -> MemoryPlan | None:
    """None where there are no GPUs to judge by, or nothing to judge. MEASURED takes the place of the sums."""
    if not placement.uuids or not judgeable(placement.values, placement.schema):
        return None
    summed = plan_memory(request(placement, host_load))
    return summed if measured is None else instead_of_sums(summed, measured)


def as_dict(plan: MemoryPlan, placement: Placement) -> Json:
    document = plan.as_dict()
    document["assumptions"] = [*assumptions(placement.model), *document["assumptions"]]
    for rank, uuid in zip(document["gpus"], placement.uuids):
        rank["uuid"] = uuid
    return document


def report(plan: MemoryPlan, placement: Placement, host_load: HostLoad, findings: Findings) -> None:
    """What would refuse the plan goes to the doubts, the rest to the warnings."""
    where = f"instance {placement.name}"
    said = _method_is_said(placement)
    setup = [reason for reason in plan.reasons if reason.kind == "setup" and not (said and reason.of_method)]
    short = [reason for reason in plan.reasons if reason.kind in ("memory", "busy")]
    findings.warnings += [f"{where}: {text}" for text in plan.warnings]
    if plan.verdict == "tight":
        findings.warn(f"{where} is tight: {_texts(plan, 'tight')}{_help(plan)}")
    if plan.verdict != "does_not_fit":
        return
    for reason in setup:
        findings.doubt(reason.check, f"{where} cannot run like this: {reason.text}", reason.here)
    against = [reason for reason in short if reason.word == "does_not_fit"]
    if against:
        text = f"{where} does not fit: {_texts(plan, 'does_not_fit')}{_sums(plan)}{_help(plan)}"
        findings.doubt("memory", text, any(reason.here for reason in against))


def _method_is_said(placement: Placement) -> bool:
    """Whether checking the arguments has said already that the release has no such quantization."""
    asked = placement.values.get("quantization")
    methods = placement.schema.quantization_methods
    return bool(asked) and bool(methods) and asked not in methods


def _texts(plan: MemoryPlan, word: str) -> str:
    return " ".join(reason.text for reason in plan.reasons if reason.word == word and reason.kind != "setup")


def _sums(plan: MemoryPlan) -> str:
    """The GPU that has least left, in GiB."""
    if not plan.budget.ranks:
        return ""
    rank = min(plan.budget.ranks, key=lambda one: one.kv.expected)
    return (
        f" In GiB on GPU {rank.gpu}: {rank.total.expected:.1f} x {plan.settings.utilisation:g} = "
        f"{rank.requested.expected:.1f}; weights {rank.weights.expected:.1f}, "
        f"activation {rank.activation.expected:.1f}, "
        f"outside of torch {rank.non_torch.expected:.1f}, CUDA graphs {rank.graphs.counted.expected:.1f}; "
        f"for the KV cache {rank.kv.expected:.1f}."
    )


def _help(plan: MemoryPlan) -> str:
    """What would fit instead. No length and no number of sequences brings back what something else holds."""
    words = []
    if not any(reason.kind == "busy" and reason.word == "does_not_fit" for reason in plan.reasons):
        words += _limits(plan)
    if plan.changes:
        change = plan.changes[0]
        words.append(f" Nearest change: {change.name}: {change.value} ({change.verdict.replace('_', ' ')}).")
    return "".join(words)


def _limits(plan: MemoryPlan) -> list[str]:
    words = []
    length, sequences = plan.largest_length, plan.largest_sequences
    if length and length["expected"] > 0:
        sure = f" ({length['sure']} surely)" if 0 < length["sure"] < length["expected"] else ""
        words.append(f" At most max_model_len {length['expected']}{sure} fits.")
    if sequences and plan.verdict == "does_not_fit":
        words.append(f" At most max_num_seqs {sequences} fits.")
    elif plan.verdict == "does_not_fit":
        words.append(" No max_num_seqs makes it fit.")
    return words
