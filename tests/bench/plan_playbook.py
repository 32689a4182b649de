# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of `playbooks/plan.yml` is Ansible's own share: it, one vllm_plan, one assert and nothing, over the same hosts.

    python tests/bench/plan_playbook.py [--hosts 100] [--forks 10]

All hosts are this machine over the local connection, so the modules that look at a host run here too. Prints one JSON
object with seconds of wall clock and of CPU, and how each run ended: a machine that cannot serve is planned all the
same and told why.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
import typing as t

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

# Importing it makes the collection importable.
from tests.conftest import CHECKOUT  # noqa: I001
from ansible_collections.gpufleet.vllm.tests.bench import plan_speed

Json = dict[str, t.Any]
NOTHING: list[Json] = []
ASSERT: list[Json] = [{"name": "Assert", "ansible.builtin.assert": {"that": "true", "quiet": True}}]


def vllm_plan(folder: pathlib.Path) -> list[Json]:
    """The planner alone: facts and models are given."""
    files = plan_speed.FILES
    args = plan_speed.task(0, {})
    args |= {
        name: str(files / file) for name, file in (("catalogue", "models.json"), ("advisories", "advisories.json"))
    }
    (folder / "args.json").write_text(json.dumps({**args, "schemas": str(files / "engine_args")}))
    given = "{{ lookup('ansible.builtin.file', '" + str(folder / "args.json") + "') | from_json }}"
    return [{"name": "Plan", "gpufleet.vllm.vllm_plan": given}]


def play(tasks: list[Json]) -> str:
    return json.dumps([{"name": "Play", "hosts": "gpu_hosts", "gather_facts": False, "tasks": tasks}])


def inventory(folder: pathlib.Path, hosts: int) -> pathlib.Path:
    instances = [
        {"name": f"i{n}", "model": "Qwen/Qwen2.5-7B-Instruct-AWQ", "port": 18000 + n, "active": n == 0}
        for n in range(3)
    ]
    group: Json = {
        "hosts": {f"host{number:03d}": {} for number in range(hosts)},
        "vars": {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
            "gpu_detect_host_class": "cpu",
            "vllm_server_image": "example.com/vllm:0.32.0",
            "vllm_server_version": "0.32.0",
            "vllm_server_instances": instances,
        },
    }
    path = folder / "hosts.json"
    path.write_text(json.dumps({"gpu_hosts": group}))
    return path


def run(playbook: pathlib.Path, hosts: pathlib.Path, forks: int) -> Json:
    command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "-i", str(hosts), "-f", str(forks)]
    environment = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "False"}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    ended = subprocess.run(
        [*command, str(playbook)], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(time.monotonic() - started, 2), "cpu_s": round(cpu, 2), "exit_code": ended.returncode}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--forks", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        hosts = inventory(folder, options.hosts)
        plays = {"nothing": NOTHING, "one_assert": ASSERT, "vllm_plan_alone": vllm_plan(folder)}
        result: Json = {"hosts": options.hosts, "forks": options.forks}
        for what, tasks in plays.items():
            playbook = folder / f"{what}.yml"
            playbook.write_text(play(tasks))
            result[what] = run(playbook, hosts, options.forks)
        result["plan_yml"] = run(CHECKOUT / "playbooks" / "plan.yml", hosts, options.forks)
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
