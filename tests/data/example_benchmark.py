# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Benchmarks as the module tells them, and rounds of a comparison."""

from __future__ import annotations

import random
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.spread import BETTER

Json = dict[str, t.Any]
# Tokens a second, and seconds, of a load of a benchmark.
LOADS: t.Mapping[str, Json] = {
    "sequential": {"rate": 165.0, "first": 0.026, "next": 0.0054},
    "parallel": {"rate": 520.0, "first": 0.066, "next": 0.0059},
    "warm": {"rate": 590.0, "first": 0.034, "next": 0.0056},
}
WORKLOAD: Json = {
    "prompt_tokens": 512,
    "answer_tokens": 32,
    "prefix_tokens": 384,
    "requests": 24,
    "concurrency": 4,
    "repeats": 3,
    "seed": 100,
    "limit": 600,
    "long_answer_tokens": 0,
}


def figures(load: Json, drift: float, speed: float) -> Json:
    """Of one run, DRIFT away from the usual, of a server that is SPEED times as fast."""
    slow = 1 / speed / drift
    first, following = load["first"] * slow, load["next"] * slow
    answer = first + 31 * following
    found = {
        "tokens_per_second": load["rate"] * speed * drift,
        "requests_per_minute": load["rate"] * speed * drift * 60 / 32,
        "first_token": first,
        "first_token_p99": first * 1.6,
        "next_token": following,
        "next_token_p99": following * 1.3,
        "answer": answer,
        "answer_p99": answer * 1.2,
    }
    assert set(found) == set(BETTER)
    return found


def found(draw: random.Random, speed: float = 1.0, seed: int = 100, release: str = "a" * 64, **more: t.Any) -> Json:
    """A benchmark of three loads, whose runs lie some percent apart."""
    loads = {}
    for name, usual in LOADS.items():
        runs: list[Json] = [
            {
                "load": name,
                "seed": seed + at,
                "figures": figures(usual, draw.uniform(0.95, 1.05), speed),
                "counted": {"hits": 0.7 if name == "warm" else 0.0, "preemptions": 0.0, "acceptance": None},
                "samples": [[at, min(0.9, 0.1 * at), 4.0, float(at % 2)] for at in range(9)],
                "reasons": [],
            }
            for at in range(1, 4)
        ]
        values = {figure: sorted(run["figures"][figure] for run in runs) for figure in BETTER}
        spread = {name: {"low": low, "median": half, "high": high} for name, (low, half, high) in values.items()}
        loads[name] = {"runs": runs, "spread": spread}
    return {
        "schema": 1,
        "at": "2026-11-27T10:36:30Z",
        "outcome": "measured",
        "instance": "assistant",
        "release": release,
        "image": "vllm/vllm-openai:v0.32.0",
        "version": "0.32.0",
        "model": "Qwen/Qwen3-8B",
        "workload": {**WORKLOAD, "seed": seed},
        "loads": loads,
        "thrown_away": [],
        "differences": [
            {"figure": "first_token", "before": "parallel", "after": "warm", "factor": 0.52, "counts": True},
        ],
        "quality": None,
        "targets": [
            {"figure": "first_token", "wanted": 0.1, "outcome": "met", "median": 0.066, "low": 0.063, "high": 0.076},
            {
                "figure": "tokens_per_second",
                "wanted": 600.0,
                "outcome": "missed",
                "median": 523.0,
                "low": 469.0,
                "high": 535.0,
            },
        ],
        **more,
    }


def quality(right: int, asked: int = 5) -> Json:
    """What came of two prompts: the first always right, the second so many times."""
    shares = {"right": (asked + right) / (2 * asked), "solved": 0.5 + 0.5 * (right > 0), "tries": 1.5, "distinct": 0.6}
    prompts = [
        {
            "prompt": "Is it so?",
            "asked": asked,
            "right": asked,
            "answered": asked,
            "distinct": 1,
            "first_right": 1,
            "wrong": [],
        },
        {
            "prompt": "The capital of France?",
            "asked": asked,
            "right": right,
            "answered": asked,
            "distinct": 5,
            "first_right": 1 if right else None,
            "wrong": ["the answer 'London' does not match the pattern 'Paris'"],
        },
    ]
    return {"figures": shares, "prompts": prompts}


def blocks(speed: float = 1.0, rounds: int = 3, right: tuple[int, int] | None = None) -> list[Json]:
    """Rounds of A and B, where B is SPEED times as fast; RIGHT are answers of A and of B to the second prompt."""
    draw = random.Random(7)
    made = []
    for at in range(1, rounds + 1):
        for side, factor in (("A", 1.0), ("B", speed)):
            answers = None if right is None else quality(right["AB".index(side)])
            one = found(draw, factor, 1000 * at, side.lower() * 64, quality=answers)
            made.append({"round": at, "side": side, "found": one})
    return made
