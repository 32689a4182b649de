# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The memory plan of one instance: will it fit, with the sums, what would, and what to change.

The one entry point of this folder is plan_memory; it reads no file, no clock and no network. Example:

    request = MemoryRequest(
        version="0.32.0",
        model="Qwen/Qwen2.5-7B-Instruct-AWQ",
        arguments={"max_model_len": 12288, "max_num_seqs": 2, "gpu_memory_utilization": 0.88, "enforce_eager": True},
        config=config_json,                      # the model's config.json as a dict, None when it is not there
        weights_bytes=5_571_000_000,             # sum of the weight files, None when they are not there
        gpus=(GpuMemory(index=0, name="RTX 3060", total_mib=12288, reserved_mib=410, free_mib=11800,
                        compute_capability="8.6"),),
    )
    plan = plan_memory(request)
    plan.verdict                                 # 'fits'
    plan.as_dict()["kv"]["concurrency"]          # requests of 12288 tokens at once, as vLLM will log it
    plan.as_dict()["largest"]                    # {'max_model_len': {'sure': .., 'expected': ..}, 'max_num_seqs': ..}

GPUs are given in the order of the ranks: pipeline stages hold tensor parallel ranks side by side, data parallel
replicas follow. Sizes in the result are GiB, lengths tokens. `caps` are values for arguments that nobody set and whose
default for these GPUs does not fit; a plan that has caps is at most `tight` and holds only with them.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..._findings.checks import Check
from ..._state.measurement import Measurement
from ..._vllm.gates import NEWEST_KNOWN
from ..._vllm.schema import version_text
from ..model.architecture import Architecture, from_config
from ..model.estimate import Estimate
from . import capability, parallel, starts, unequal
from .advice import Change, longest, most_sequences, nearest
from .budget import Budget, budget, quantization_for
from .calibration import SHIPPED, V2_GRAPHS_COUNTED, Calibration
from .overrides import overridden
from .reason import SEVERITY, Reason, Word
from .request import MemoryRequest
from .settings import AUTO_LENGTH, Settings, resolve
from .verdict import judge, word_of

SMALL_BATCH = (256, 2048)


@dataclass(frozen=True)
class MemoryPlan:
    """The result. warnings and assumptions are sentences; changes are the nearest single changes that help.

    measured: what a start of exactly this measured, in the place of the sums (see measured.py).
    """

    verdict: Word
    reasons: tuple[Reason, ...]
    settings: Settings
    budget: Budget
    warnings: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    caps: t.Mapping[str, int] | None = None
    largest_length: t.Mapping[str, int] | None = None
    largest_sequences: int | None = None
    changes: tuple[Change, ...] = ()
    measured: Measurement | None = None

    @property
    def concurrency(self) -> float | None:
        """Requests of max_model_len at once, expected."""
        if self.measured is not None and self.measured.concurrency is not None:
            return self.measured.concurrency
        length = self._length()
        left = self.budget.kv
        if left is None or self.budget.layout is None or not length:
            return None
        return self.budget.layout.concurrency(max(0.0, left.expected), length)

    def _length(self) -> int | None:
        length = self.settings.length
        if length == AUTO_LENGTH and self.measured is not None and self.measured.max_model_len:
            return int(self.measured.max_model_len)
        if length == AUTO_LENGTH:
            return (self.largest_length or {}).get("expected")
        return length

    def as_dict(self) -> dict[str, t.Any]:
        return {
            "verdict": self.verdict,
            "reasons": [{"verdict": one.word, "kind": one.kind, "text": one.text} for one in self.reasons],
            "warnings": list(self.warnings),
            "assumptions": list(self.assumptions),
            "gpus": [rank.as_dict() for rank in self.budget.ranks],
            "weights": None
            if self.budget.weights is None
            else {"gib": round(self.budget.weights.whole_gib, 2), "source": self.budget.weights.source},
            "kv": self._kv(),
            "arguments": {
                "gpu_memory_utilization": self.settings.utilisation,
                "max_num_seqs": self.settings.sequences,
                "max_num_batched_tokens": self.settings.batched_tokens,
                "max_model_len": self.settings.length,
            },
            "caps": dict(self.caps or {}),
            "largest": {
                "max_model_len": None if self.largest_length is None else dict(self.largest_length),
                "max_num_seqs": self.largest_sequences,
            },
            "changes": [change.as_dict() for change in self.changes],
            "measured": None if self.measured is None else self.measured.as_dict(),
        }

    def _kv(self) -> dict[str, t.Any]:
        left, pool, length = self.budget.kv, self.budget.layout, self._length()
        concurrency = self.concurrency
        measured = self.measured
        if left is None and measured is not None and measured.kv_cache_gib is not None:
            left = Estimate.exact(measured.kv_cache_gib)
        return {
            "gib": None if left is None else left.as_dict(),
            "bytes_per_token": None if pool is None else round(pool.bytes_per_token, 1),
            "gib_per_request": None if pool is None or not length else round(pool.needed_gib(length), 3),
            "concurrency": None if concurrency is None else round(concurrency, 2),
            "tokens": int(measured.kv_tokens)
            if measured is not None and measured.kv_tokens is not None
            else None
            if pool is None or left is None or not length
            else pool.tokens(max(0.0, left.expected), length),
        }


def plan_memory(
    request: MemoryRequest, calibration: Calibration = SHIPPED, advise: bool = True, cap_unset: bool = True
) -> MemoryPlan:
    """The plan for REQUEST.

    ADVISE: also look for what would fit (a few dozen further sums). CAP_UNSET: where vLLM's default for an argument
    that nobody set does not fit, plan with a smaller one; without it the sums are those of a start as it is.
    """
    architecture = overridden(request) or request.architecture or from_config(request.config)
    settings = resolve(request, architecture)

    def judged(other: Settings) -> tuple[Word, Budget]:
        reasons, sums = _judge(request, other, architecture, calibration)
        return word_of(reasons), sums

    reasons, sums = _judge(request, settings, architecture, calibration)
    verdict, caps = word_of(reasons), _caps(settings, reasons, judged) if cap_unset else {}
    if caps:
        settings = settings.changed(sequences=caps["max_num_seqs"], batched_tokens=caps["max_num_batched_tokens"])
        why = reasons[0].text
        text = f"This vLLM's defaults for GPUs of this size do not fit; with {_spell(caps)} it does. {why}"
        reasons, sums = _judge(request, settings, architecture, calibration)
        reasons = [Reason("tight", "memory", text), *reasons]
        verdict = word_of(sorted(reasons, key=lambda reason: -SEVERITY[reason.word]))
    changes: list[Change] = []
    helped = verdict in ("tight", "does_not_fit") and not any(reason.kind == "setup" for reason in reasons)
    if advise and helped:
        changes = nearest(settings, sums, verdict, request.gpus, judged)
    return MemoryPlan(
        verdict=verdict,
        reasons=tuple(reasons),
        settings=settings,
        budget=sums,
        warnings=tuple(_warnings(request, settings, architecture, sums)),
        assumptions=tuple(_assumptions(request, settings, architecture, sums)),
        caps=caps,
        largest_length=longest(sums, settings, architecture.positions if architecture is not None else None),
        largest_sequences=most_sequences(settings, judged) if advise else None,
        changes=tuple(changes),
    )


def _judge(
    request: MemoryRequest, settings: Settings, architecture: Architecture | None, calibration: Calibration
) -> tuple[list[Reason], Budget]:
    sums = budget(request, settings, architecture, calibration)
    setup = [_against(text, None) for text in parallel.too_few_gpus(settings, len(request.gpus))]
    setup += [_against(text, "value") for text in parallel.problems(settings, architecture)]
    found = _findings(request, settings, architecture)
    setup += [_against(one.reason, one.check, one.of_method) for one in found if one.refuse]
    setup += starts.reasons(request, settings, sums)
    return judge(settings, architecture, sums, request.gpus, setup), sums


def _against(text: str, check: Check | None, of_method: bool = False) -> Reason:
    return Reason("does_not_fit", "setup", text, check, of_method=of_method)


def _findings(
    request: MemoryRequest, settings: Settings, architecture: Architecture | None
) -> list[capability.Finding]:
    quantization = quantization_for(settings, architecture)
    method = quantization.method if quantization is not None else settings.quantization
    return capability.check(settings, method, request.gpus[: settings.world], request.plugins)


def _caps(
    settings: Settings, reasons: t.Sequence[Reason], judged: t.Callable[[Settings], tuple[Word, Budget]]
) -> dict[str, int]:
    """The smaller defaults, where nobody set either and the larger ones do not fit. Nothing that was set is touched."""
    if word_of(reasons) != "does_not_fit" or not settings.unset or any(_not_ours(reason) for reason in reasons):
        return {}
    sequences = min(settings.sequences, SMALL_BATCH[0]) if "max_num_seqs" in settings.unset else settings.sequences
    smaller = "max_num_batched_tokens" in settings.unset and settings.chunked
    tokens = max(SMALL_BATCH[1], settings.whole[0]) if smaller else settings.batched_tokens
    other = settings.changed(sequences=sequences, batched_tokens=min(tokens, settings.batched_tokens))
    if other == settings or judged(other)[0] == "does_not_fit":
        return {}
    return {"max_num_seqs": other.sequences, "max_num_batched_tokens": other.batched_tokens}


def _not_ours(reason: Reason) -> bool:
    return reason.kind != "memory" or (reason.word == "does_not_fit" and not reason.capped)


def _spell(caps: t.Mapping[str, int]) -> str:
    return " and ".join(f"{name} {value}" for name, value in caps.items())


def _warnings(request: MemoryRequest, settings: Settings, architecture: Architecture | None, sums: Budget) -> list[str]:
    found = [one.reason for one in _findings(request, settings, architecture) if not one.refuse]
    found.extend(unequal.warnings(settings, request.gpus[: settings.world]))
    found.extend(_more_than_held(settings, sums))
    if architecture is not None:
        found.extend(architecture.problems)
        tensor, kv_heads = settings.tensor_parallel, architecture.kv_heads
        if architecture.mla and tensor > 1:
            found.append("Tensor parallelism does not divide this model's KV cache (MLA): every rank holds all of it.")
        elif kv_heads and tensor > kv_heads:
            found.append(f"tensor_parallel_size {tensor} is more than the {kv_heads} KV heads: they are kept twice.")
    return found


def _more_than_held(settings: Settings, sums: Budget) -> list[str]:
    """A bound for requests of full length only: shorter ones share the cache, so it warns and caps nothing."""
    left, pool, length = sums.kv, sums.layout, settings.length
    if left is None or pool is None or length in (None, AUTO_LENGTH) or "max_num_seqs" in settings.unset:
        return []
    held = pool.concurrency(max(0.0, left.expected), length or 1)
    if held >= settings.sequences or held < 1.0:
        return []
    each = " a data parallel rank" if settings.data_parallel > 1 else ""
    text = f"max_num_seqs {settings.sequences}{each} is more than the {held:.1f} requests of {length} tokens"
    return [f"{text} that the KV cache holds at once; shorter ones share it."]


def _assumptions(
    request: MemoryRequest, settings: Settings, architecture: Architecture | None, sums: Budget
) -> list[str]:
    found: list[str] = []
    if not settings.version_known:
        found.append(f"vLLM's version is not known: {version_text(NEWEST_KNOWN)} is assumed.")
    if settings.engine == "V0":
        found.append("This is vLLM's first engine (V0): its activation is only roughly known.")
    for name in settings.unset:
        value = settings.sequences if name == "max_num_seqs" else settings.batched_tokens
        found.append(f"Nobody set {name}: {value} is assumed, this vLLM's default for these GPUs unless it is capped.")
    if any(gpu.reserved_mib is None and gpu.seen_mib is None for gpu in request.gpus[: settings.world]):
        found.append("What the driver reserves is not known: about 0.5 GiB a GPU is assumed.")
    if sums.weights is not None and sums.weights.source == "parameters":
        found.append("The weight files are not there: their size is predicted from the model's parameters.")
    if settings.second and settings.version >= V2_GRAPHS_COUNTED and not settings.eager:
        if request.caches is None:
            found.append("Warm or cold compile caches move the KV cache by up to about 1 GiB; the range says so.")
        elif request.caches == "cold":
            found.append("Its compile caches are empty: later starts find them full and have up to about 1 GiB more.")
    if settings.speculation.method and not settings.speculation.known and request.loaded_weights_gib is None:
        named = settings.speculation.model or settings.speculation.method
        found.append(
            f"Nothing is known of the drafter {named}: up to 4 GiB and one layer of KV cache are allowed for it."
        )
    if architecture is not None and architecture.vocab_size is None:
        found.append("The vocabulary's size is not known: activation is a guess.")
    return found
