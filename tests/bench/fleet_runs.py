# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fleet costs the control node: plan with its page, a run that changes nothing, one in which three hosts fail.

    python tests/bench/fleet_runs.py [--hosts 5 50 500] [--forks 20] [--only no_op]

Prints a JSON object per line as each run ends, with seconds of wall clock and of CPU of all processes, the memory of
the largest process in MiB, and the same per host. In `plan` every host is this machine over the local connection, and
the modules that look at a host run here too, with three instances each. In the others what touches a host, and the
planner, answer by a script (tests/integration/scripted_hosts.py): Ansible's share and ours of every task is what is
left. A run that does not end as it has to ends the bench.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import pathlib
import resource
import sys
import tempfile
import time
import typing as t
from concurrent import futures

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

# Importing it makes the collection importable.
from tests.conftest import CHECKOUT  # noqa: I001
from ansible_collections.gpufleet.vllm.tests.bench import plan_playbook
from ansible_collections.gpufleet.vllm.tests.integration.scripted_hosts import Fleet, Json, restart

UNCHANGED: Json = {"plans": [{**restart(), "change": "none"}]}
FAILS: Json = {"plans": [restart()], "outcomes": {"a": "rolled_back"}}
FAILING = 3


def plan(folder: pathlib.Path, hosts: int, forks: int) -> Json:
    page = folder / "plan.html"
    inventory = plan_playbook.inventory(folder, hosts)
    document = json.loads(inventory.read_text())
    document["gpu_hosts"]["vars"]["vllm_plan_html"] = str(page)
    inventory.write_text(json.dumps(document))
    plan_playbook.run(CHECKOUT / "playbooks" / "plan.yml", inventory, forks)
    return {"page_kib": page.stat().st_size // 1024}


def no_op(folder: pathlib.Path, hosts: int, forks: int) -> Json:
    return _site(folder, dict.fromkeys(_names(hosts), UNCHANGED), forks, 0)


def three_fail(folder: pathlib.Path, hosts: int, forks: int) -> Json:
    """The failing ones are spread over the fleet; the others change nothing."""
    names = _names(hosts)
    bad = names[:: max(1, hosts // FAILING)][:FAILING]
    return _site(folder, {name: FAILS if name in bad else UNCHANGED for name in names}, forks, 2)


RUNS: t.Final = {"plan": plan, "no_op": no_op, "three_fail": three_fail}


def _names(hosts: int) -> list[str]:
    return [f"g{number:04}" for number in range(hosts)]


def _site(folder: pathlib.Path, hosts: dict[str, Json], forks: int, code: int) -> Json:
    os.environ["ANSIBLE_FORKS"] = str(forks)
    ended = Fleet(folder, hosts).run(vllm_server_serial="100%")
    failed = [name for name in hosts if ended.recap(name).get("failed")]
    if ended.code != code or (code and len(failed) != FAILING):
        raise SystemExit(f"{len(failed)} hosts failed, exit code {ended.code}:\n{ended.said[-4000:]}")
    return {"output_kib": len(ended.said) // 1024}


def measured(what: str, hosts: int, forks: int) -> Json:
    """In a process of its own, whose children are those of this run and no other."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        found = RUNS[what](pathlib.Path(name), hosts, forks)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall, cpu = time.monotonic() - started, used.ru_utime + used.ru_stime
    return {
        "run": what,
        "hosts": hosts,
        "forks": forks,
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "cpu_s_per_host": round(cpu / hosts, 3),
        "largest_process_mib": used.ru_maxrss // 1024,
        **found,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, nargs="+", default=[5, 50, 500])
    parser.add_argument("--forks", type=int, default=20)
    parser.add_argument("--only", choices=RUNS, help="one of the runs")
    options = parser.parse_args()
    own = multiprocessing.get_context("spawn")
    for hosts in options.hosts:
        for what in [options.only] if options.only else RUNS:
            with futures.ProcessPoolExecutor(1, mp_context=own) as process:
                found = process.submit(measured, what, hosts, options.forks).result()
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
