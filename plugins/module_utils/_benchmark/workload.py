# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of an engine: how many requests of which lengths, how many at a time, how often.

Prompts are of vLLM's data set `prefix_repetition`, whose tokens are all drawn. Of its `random` each prompt counts on
from one drawn token, so that among many some are the same: in a vocabulary of 32,000 tokens about 60 of 2000.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass

from .._outside.documents import Json

# A seed is one of numpy's, and each run of a benchmark has the next one.
SEEDS = 2**31
LEAST_REPEATS = 3
# Each number with its least and most. Tokens and requests are counted, `limit` is in seconds.
BOUNDS: t.Mapping[str, tuple[int, int]] = {
    "prompt_tokens": (2, 1_000_000),
    "answer_tokens": (2, 100_000),
    "prefix_tokens": (0, 1_000_000),
    "requests": (8, 100_000),
    "concurrency": (1, 10_000),
    "repeats": (LEAST_REPEATS, 20),
    "seed": (0, SEEDS - 1),
    "limit": (10, 21_600),
    "long_answer_tokens": (0, 100_000),
}


@dataclass(frozen=True)
class Load:
    """So many requests, `concurrency` at a time, for `answer` tokens each. All prompts begin with the same `shared`."""

    name: str
    concurrency: int
    answer: int
    shared: int = 0


@dataclass(frozen=True)
class Workload:
    """Lengths are tokens. `prefix_tokens` of a prompt are shared by all of the load `warm`; 0 leaves it out.

    `seed` decides the prompts; `limit` is the seconds that one run may take. `sequential` says whether that load is run
    where there is `parallel` too. Answers of the load `long` have `long_answer_tokens`; 0 leaves it out.
    """

    prompt_tokens: int
    answer_tokens: int
    prefix_tokens: int
    requests: int
    concurrency: int
    repeats: int
    seed: int
    limit: int
    sequential: bool = True
    long_answer_tokens: int = 0

    def loads(self) -> list[Load]:
        """One at a time, several, several with a prefix that is in the cache from its second request on, and several
        with long answers."""
        alone = Load("sequential", 1, self.answer_tokens)
        found = [alone] if self.sequential or self.concurrency == 1 else []
        if self.concurrency > 1:
            found.append(Load("parallel", self.concurrency, self.answer_tokens))
        if self.prefix_tokens:
            found.append(Load("warm", self.concurrency, self.answer_tokens, self.prefix_tokens))
        if self.long_answer_tokens:
            found.append(Load("long", self.concurrency, self.long_answer_tokens))
        return found

    @property
    def cold(self) -> str:
        """The load that `warm` and `long` are compared with, and that targets are of."""
        return "parallel" if self.concurrency > 1 else "sequential"

    @property
    def runs(self) -> int:
        """Runs that count, where none is thrown away."""
        return len(self.loads()) * self.repeats

    def as_dict(self) -> Json:
        return asdict(self)


def read(values: t.Mapping[str, int], longest: int | None, errors: list[str], sequential: bool = True) -> Workload:
    """What variables state, for an engine that takes `longest` tokens; None where nobody knows."""
    values = {"long_answer_tokens": 0, **values}
    for name, (least, most) in BOUNDS.items():
        if not least <= values[name] <= most:
            why = ": without three there is no spread, and no difference that counts" if name == "repeats" else ""
            errors.append(f"{name} is {values[name]}{why}. State {least} to {most}.")
    workload = Workload(**{name: values[name] for name in BOUNDS}, sequential=sequential)
    longest_answer = max(workload.answer_tokens, workload.long_answer_tokens)
    total = workload.prompt_tokens + longest_answer
    if longest is not None and total >= longest:
        # Some tokenizers put a token or two of their own before a prompt.
        answers = "long_answer_tokens" if longest_answer > workload.answer_tokens else "answer_tokens"
        errors.append(
            f"prompt_tokens {workload.prompt_tokens} and {answers} {longest_answer} are {total} tokens, "
            f"the server takes {longest} with what begins a prompt. State less of either."
        )
    if workload.prefix_tokens >= workload.prompt_tokens:
        errors.append(
            f"prefix_tokens is {workload.prefix_tokens}, of prompts of {workload.prompt_tokens}: state less, so that "
            "they differ, or 0 for no load with a shared prefix."
        )
    if 0 < workload.long_answer_tokens <= workload.answer_tokens:
        errors.append(
            f"long_answer_tokens is {workload.long_answer_tokens}, and answer_tokens {workload.answer_tokens}: state "
            "more, or 0 for no load with long answers."
        )
    if workload.requests < 2 * workload.concurrency:
        errors.append(
            f"requests is {workload.requests}, with {workload.concurrency} at a time: state {2 * workload.concurrency} "
            "or more, else most of a run is its beginning and its end."
        )
    return workload


def arguments(workload: Workload, load: Load, seed: int) -> list[str]:
    """Of `vllm bench serve`: what is drawn and asked. The ready check and warm-ups would ask the first prompt twice."""
    prefix = load.shared or workload.prompt_tokens // 2
    stated: dict[str, t.Any] = {
        "dataset-name": "prefix_repetition",
        "num-prompts": workload.requests,
        "prefix-repetition-prefix-len": prefix,
        "prefix-repetition-suffix-len": workload.prompt_tokens - prefix,
        "prefix-repetition-num-prefixes": 1 if load.shared else workload.requests,
        "prefix-repetition-output-len": load.answer,
        "max-concurrency": load.concurrency,
        "seed": seed,
        "temperature": 0,
        "ready-check-timeout-sec": 0,
        "percentile-metrics": "ttft,tpot,itl,e2el",
        "metric-percentiles": "50,99",
    }
    words = [word for name, value in stated.items() for word in (f"--{name}", str(value))]
    return [*words, "--ignore-eos", "--disable-tqdm"]
