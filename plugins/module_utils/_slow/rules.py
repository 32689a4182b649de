# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules: a symptom, the numbers that tell it, its cause, and what to try. docs/slow.md has their table.

No rule speaks of an idle server: each needs requests that wait or run in both readings, or enough of them in between.
Those about first tokens and prefixes also need requests before the first reading, since an engine that has just begun
warms up, and has no prefixes yet. Where a number is not known the rule says so, unless another one rules it out.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .changes import Change

QUEUE, GPU, THROUGHPUT, LATENCY, PREFIX = (
    "requests queue",
    "low GPU use",
    "low throughput",
    "high latency",
    "no prefix hits",
)
Operator = t.Literal[">=", ">", "<"]
# How many requests say something, and how many an engine has to have served before.
ENOUGH, WARM = 10, 10
# Shares of the KV cache: above the first it is full. Of GPU time: below the first it is idle, above the second busy.
FULL, IDLE, BUSY = 0.8, 0.5, 0.8
# Seconds that people notice: until an answer begins, and between its words.
LATE, HALTING = 1.0, 0.1
FEW_HITS = 0.1


class When(t.NamedTuple):
    """A number against a bound."""

    number: str
    operator: Operator
    bound: float


@dataclass(frozen=True)
class Rule:
    """It speaks where all of `when` is so. `change` is None where no argument helps; `besides` is what does else.

    `cause` may name numbers, in braces.
    """

    name: str
    symptom: str
    when: tuple[When, ...]
    cause: str
    change: Change | None
    besides: str


WAITS, SOME_RUN, MANY = When("waiting", ">=", 1), When("running", ">=", 1), When("requests", ">=", ENOUGH)
WARMED, ROOM = When("served", ">=", WARM), When("kv_cache", "<", FULL)
PREFIXES = (When("prefix_caching", ">=", 1), When("prefix_hits", "<", FEW_HITS), MANY, WARMED)

RULES: t.Final = (
    Rule(
        "places",
        QUEUE,
        (WAITS, When("taken", ">=", 1), ROOM),
        "All {places} places of max_num_seqs are taken, while {kv_cache} of the KV cache is.",
        Change("max_num_seqs", "fill"),
        "Add a replica behind the door.",
    ),
    Rule(
        "cache_full",
        QUEUE,
        (WAITS, When("kv_cache", ">=", FULL)),
        "{kv_cache} of the KV cache is taken: requests wait for room in it.",
        Change("gpu_memory_utilization", "plus", 0.05),
        "Lower max_model_len, take kv_cache_dtype: fp8 where the GPU has it, or add a replica behind the door.",
    ),
    Rule(
        "step_budget",
        QUEUE,
        (WAITS, When("taken", "<", 1), ROOM),
        "Places and KV cache are free ({taken} and {kv_cache} taken): prompts are taken in only as fast as "
        "max_num_batched_tokens lets them.",
        Change("max_num_batched_tokens", "times", 2),
        "With adapters, more of them may be asked for at once than max_loras.",
    ),
    Rule(
        "few_at_once",
        GPU,
        (When("gpu_busy", "<", IDLE), SOME_RUN, When("waiting", "<", 1), When("taken", "<", 0.5), MANY),
        "Clients ask for {running} at a time, and there are {places} places: the GPUs compute {gpu_busy} of the time.",
        None,
        "Have clients ask for more at once, or let more of them use this server.",
    ),
    Rule(
        "eager",
        GPU,
        (When("eager", ">=", 1), When("gpu_busy", "<", BUSY), SOME_RUN, MANY),
        "enforce_eager is on: the GPUs wait for the CPU between kernels, and compute {gpu_busy} of the time.",
        Change("enforce_eager", "set", False),
        "CUDA graphs take memory and a longer start.",
    ),
    Rule(
        "preempted",
        THROUGHPUT,
        (When("preemptions", ">=", 2), When("running", ">=", 2)),
        "{preemptions} requests lost their place in the KV cache, and are computed again: {running} at once are too "
        "many for it.",
        Change("max_num_seqs", "part_of_running", 0.5),
        "More gpu_memory_utilization, or a lower max_model_len, leaves each more room.",
    ),
    Rule(
        "bursts",
        LATENCY,
        (When("first_token", ">", LATE), When("queued", ">=", 0.5), When("waiting", "<", 1), ROOM, MANY, WARMED),
        "{queued} of the {first_token} until the first token pass in the queue, though none waits at both readings: "
        "requests come in bursts.",
        Change("max_num_seqs", "times", 2),
        "Read for longer (vllm_status_seconds), and see what holds them when they wait.",
    ),
    Rule(
        "long_prompts",
        LATENCY,
        (When("first_token", ">", LATE), When("queued", "<", 0.5), When("steps", ">", 1), MANY, WARMED),
        "A prompt has {prompt} tokens, and one step takes {budget}: the first token comes after several.",
        Change("max_num_batched_tokens", "times", 2),
        "Larger steps hold up the answers that run.",
    ),
    Rule(
        "crowded",
        LATENCY,
        (When("next_token", ">", HALTING), When("running", ">=", 2), When("gpu_busy", ">=", BUSY), MANY),
        "{running} requests share each step of GPUs that compute {gpu_busy} of the time: {next_token} pass between "
        "tokens.",
        Change("max_num_seqs", "part_of_running", 0.5),
        "Fewer at once are each faster, and more of them wait: else add a replica behind the door.",
    ),
    Rule(
        "prefixes_off",
        PREFIX,
        (When("prefix_caching", "<", 1), MANY),
        "The engine keeps no prefixes: enable_prefix_caching is off.",
        Change("enable_prefix_caching", "set", True),
        "It pays where prompts begin alike.",
    ),
    Rule(
        "short_prompts",
        PREFIX,
        (*PREFIXES, When("blocks", "<", 1)),
        "A prompt has {prompt} tokens, and only whole blocks of {block} are kept.",
        Change("block_size", "set", 16, "block"),
        "Prompts this short cost little. Not every attention backend takes every block_size.",
    ),
    Rule(
        "prompts_differ",
        PREFIX,
        (*PREFIXES, When("blocks", ">=", 1)),
        "Prompts of {prompt} tokens begin differently: {prefix_hits} of their tokens were known.",
        None,
        "Put what is alike first and what varies last. Behind a door of several servers, set vllm_gateway_balance: "
        "prefix. Where prompts have nothing in common, there is nothing to gain.",
    ),
)
