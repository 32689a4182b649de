# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the planner's core takes: HOSTS hosts with three instances each, as seconds of CPU. Prints one JSON object.

    PYTHONPATH=. python tests/bench/plan_speed.py [--hosts 100] [--repeat 5]

Hosts are of four kinds in turn, run nothing, and their models are in the catalogue; `again` has hosts that run what is
planned, `refused` hosts that cannot be planned. Reading the data files is counted once, apart.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import time
import typing as t

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

# Importing it makes the collection importable.
from tests.conftest import CHECKOUT  # noqa: I001
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import data_files, schema_files
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import inputs
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import planner
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

Json = dict[str, t.Any]
FILES = CHECKOUT / "roles" / "vllm_server" / "files"
AWQ_7B, AWQ_14B = "Qwen/Qwen2.5-7B-Instruct-AWQ", "Qwen/Qwen2.5-14B-Instruct-AWQ"
SMALL, MEDIUM = "Qwen/Qwen3-VL-2B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"
# MiB, compute capability, GPUs, models.
KINDS: tuple[tuple[int, str, int, tuple[str, str, str]], ...] = (
    (49140, "8.6", 1, (AWQ_7B, SMALL, AWQ_7B)),
    (95830, "9.0", 1, (MEDIUM, AWQ_14B, SMALL)),
    (46068, "8.9", 4, (MEDIUM, SMALL, AWQ_14B)),
    (97887, "12.0", 1, (AWQ_14B, AWQ_7B, MEDIUM)),
)


def task(number: int, data: Json) -> Json:
    total, capability, count, models = KINDS[number % len(KINDS)]
    memory = {"total": total, "reserved": 600, "free": total - 604}
    gpus = [fleet.gpu(n, memory_mib=memory, compute_capability=capability, processes=[]) for n in range(count)]
    share = 0.9 if count > 2 else 0.29
    instances = [
        fleet.instance(
            name=f"i{n}",
            model=model,
            port=8000 + n,
            engine_args={"gpu_memory_utilization": share, "max_model_len": 4096},
        )
        for n, model in enumerate(models)
    ]
    facts = {**fleet.host_facts(), "gpus": gpus, "driver": {"version": "580.95.05"}}
    return fleet.task(facts=facts, instances=instances, profiles=fleet.PROFILES, **data)


def measured(
    tasks: t.Sequence[Json], history: Json, readings: t.Mapping[str, Json]
) -> tuple[float, list[planner.Outcome]]:
    started = time.process_time()
    found = []
    for args in tasks:
        errors: list[str] = []
        found.append(planner.plan_host(inputs.read(args, history, readings, errors), errors))
    return time.process_time() - started, found


def running(args: Json, outcome: planner.Outcome) -> Json:
    seen = [fleet.observed(plan) for plan in outcome.plans]
    return {**args, "facts": {**args["facts"], "instances": seen}}


def hopeless(args: Json) -> Json:
    small = [
        {**one, "engine_args": {**one["engine_args"], "gpu_memory_utilization": 0.04}} for one in args["instances"]
    ]
    return {**args, "instances": small}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    started = time.process_time()
    history, readings = schema_files.load(str(FILES / "engine_args"))
    data = {name: data_files.read(str(FILES / file), name) for name, file in
            (("catalogue", "models.json"), ("advisories", "advisories.json"))}  # fmt: skip
    reading = time.process_time() - started
    tasks = [task(number, data) for number in range(options.hosts)]
    _seconds, first = measured(tasks, history, readings)
    kinds = {
        "new": tasks,
        "again": [running(args, outcome) for args, outcome in zip(tasks, first, strict=True)],
        "refused": [hopeless(args) for args in tasks],
    }
    result: Json = {"hosts": options.hosts, "plans": 3 * options.hosts, "reading_files_cpu_s": round(reading, 4)}
    for kind, given in kinds.items():
        runs = [measured(given, history, readings) for _run in range(options.repeat)]
        seconds = sorted(run[0] for run in runs)
        outcomes = runs[0][1]
        result[kind] = {
            "cpu_s_median": round(seconds[len(seconds) // 2], 3),
            "cpu_s_min": round(seconds[0], 3),
            "cpu_s_max": round(seconds[-1], 3),
            "changes": _counted(plan["change"] for outcome in outcomes for plan in outcome.plans),
            "verdicts": _counted(
                (plan["memory"] or {}).get("verdict")
                for outcome in outcomes
                for plan in (*outcome.plans, *outcome.drafts)
            ),
            "hosts_refused": sum(bool(outcome.errors) for outcome in outcomes),
        }
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


def _counted(words: t.Iterable[t.Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for word in words:
        found[str(word)] = found.get(str(word), 0) + 1
    return found


if __name__ == "__main__":
    main()
