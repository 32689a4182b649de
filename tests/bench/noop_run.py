# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one more host costs the control node in a run of `site.yml` that changes nothing. Prints one JSON object.

    python tests/bench/noop_run.py [--hosts 10]

The playbook, its roles and the reading of variables are real; what touches a host, and the planner, answer by a script
(tests/integration/scripted_hosts.py), so that Ansible's share and ours of every task is what is left. A run with one
host is taken away from one with HOSTS and one. `read` counts files of roles that were opened: by the run itself, which
all hosts share, and by the workers that it forks for each task of each host.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import pathlib
import resource
import sys
import tempfile
import typing as t

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / ".collections"))

from ansible_collections.gpufleet.vllm.tests.integration.scripted_hosts import Fleet, Json, restart

RIGHT: Json = {"plans": [{**restart(), "change": "none"}]}
# Files that our own plugins read; tasks and defaults are Ansible's to read.
OURS = ("argument_specs.yml", "host_classes.yml", "profiles.yml", "fallback.yml", "history.json", "models.json")
# Python runs it at the start of every process that finds it on its path; forked workers keep the hook.
LISTENS = f"""
import os, sys

def _listen(event, given):
    if event == "open" and str(given[0]).endswith({OURS!r}) and given[1] != "w":
        os.write(_log, f"{{os.getpid()}} {{os.path.basename(str(given[0]))}}\\n".encode())

if any(word.endswith("ansible-playbook") for word in sys.orig_argv):
    _log = os.open(os.environ["NOOP_RUN_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(_log, f"{{os.getpid()}} begins\\n".encode())
    sys.addaudithook(_listen)
"""


def read_by(log: pathlib.Path) -> dict[str, collections.Counter[str]]:
    """Files by name, and how often each was opened by the run and by its workers."""
    lines = [line.split() for line in log.read_text().splitlines()]
    runs = {pid for pid, what in lines if what == "begins"}
    found: dict[str, collections.Counter[str]] = {"run": collections.Counter(), "workers": collections.Counter()}
    for pid, what in lines:
        if what != "begins":
            found["run" if pid in runs else "workers"][what] += 1
    return found


def run(hosts: int) -> tuple[float, dict[str, collections.Counter[str]]]:
    """Seconds of CPU, and what was read."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "sitecustomize.py").write_text(LISTENS)
        os.environ |= {"NOOP_RUN_LOG": str(folder / "read"), "PYTHONPATH": str(folder)}
        fleet = Fleet(folder, {f"g{number:03}": RIGHT for number in range(hosts)})
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ended = fleet.run()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if ended.code != 0 or ended.asked:
            raise SystemExit(f"the run was to change nothing:\n{ended.said}")
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, read_by(folder / "read")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=10, help="how many hosts more than one")
    options = parser.parse_args()
    one, _read = run(1)
    many, read = run(1 + options.hosts)
    result: dict[str, t.Any] = {
        "hosts": options.hosts,
        "cpu_s_of_one_host": round(one, 2),
        "cpu_s_per_host_more": round((many - one) / options.hosts, 3),
        "read_by_the_run": dict(read["run"]),
        "read_by_workers_per_host": {
            what: round(times / (1 + options.hosts), 2) for what, times in read["workers"].items()
        },
    }
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
