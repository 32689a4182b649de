# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run in which nothing is due takes over ssh: executions on a host, round trips, and CPU of the control node.

    python tests/bench/round_trips.py --pyinfra /tmp/pyinfra/bin/pyinfra [--hosts 1 2 4 8 16] [--real 4] [--rounds 4]

Needs the lab (`make lab`), and with its defaults 8 GiB of memory. The first hosts serve with vLLM, those beyond `real`
with a stand-in. Beside `site.yml` run the same end state in plain modules (`trips/ways/plain.yml`), pyinfra where one
is named (`trips/ways/deploy.py`), and one script over ssh (`trips/ways/look.sh`), in turns, so that what else the
machine does meets all of them. Rounds are for one host; with more there are as many times fewer, and one at least. A
run in which something changes ends the bench.

Between control node and sshd stands a relay (`trips/delayed.py`) with a round trip of 0 or 100 ms. Prints JSON:

- `executions`: sessions that a host's sshd began, from its journal; the most of all runs
- `round_trips_chain`: counted by the relay; `round_trips_slope`: what 100 ms cost, which a busy machine falsifies
- `cpu_s`, `wall_s`: of the control node, ssh with it, the least of all runs
- `cpu_s_per_host_more`: from the fewest hosts to these
- `ratios`: what `site` takes of what each other way does
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import pathlib
import subprocess
import sys
import tempfile
import typing as t
from concurrent import futures

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

# Importing it makes the collection importable.
from tests.conftest import CHECKOUT  # noqa: I001
from lab import registry
from ansible_collections.gpufleet.vllm.tests.bench.trips import commands, own_cpu, sums
from ansible_collections.gpufleet.vllm.tests.bench.trips import hosts as lab_hosts
from ansible_collections.gpufleet.vllm.tests.bench.trips.commands import SITE, Reached, Ways
from ansible_collections.gpufleet.vllm.tests.bench.trips.delayed import Line, Lines
from ansible_collections.gpufleet.vllm.tests.bench.trips.hosts import Host
from ansible_collections.gpufleet.vllm.tests.bench.trips.sums import FAR, NEAR, Run

SSHD = 22
# Characters of what a run that went wrong said.
END = 4000


class Bench:
    """Hosts that serve, each at the end of a line for each round trip."""

    def __init__(self, ways: Ways, hosts: list[Host], stack: contextlib.ExitStack) -> None:
        self.ways, self.hosts = ways, hosts
        self.lines = {delay: [Line(host.address(), SSHD, delay) for host in hosts] for delay in (NEAR, FAR)}
        self.ports = {delay: stack.enter_context(Lines(lines)) for delay, lines in self.lines.items()}

    def run(self, way: str, count: int, delay: float, converges: bool = False) -> Run:
        """Raises SystemExit where a run failed, or changed what it was not to."""
        hosts, lines = self.hosts[:count], self.lines[delay][:count]
        calls = self.ways.calls(way, [Reached(*one) for one in zip(hosts, self.ports[delay][:count], strict=True)])
        for line in lines:
            line.begin()
        before = sum(host.sessions() for host in hosts)
        ended = _measured(calls)
        if any(ended.codes) or not (converges or commands.unchanged(way, ended.said, count)):
            raise SystemExit(f"{way} with {count} hosts ended with {ended.codes}:\n{ended.said[-END:]}")
        found = Run(
            way=way,
            hosts=count,
            round_trip=delay,
            wall=ended.wall,
            cpu=ended.cpu,
            executions=(sum(host.sessions() for host in hosts) - before) / count,
            chain=sum(line.chain.round_trips for line in lines) / count,
            kib_to_host=sum(line.passed.bytes_to_host for line in lines) / count / 1024,
        )
        sys.stderr.write(f"{found}\n")
        return found


def _measured(calls: commands.Calls) -> own_cpu.Ended:
    own = multiprocessing.get_context("spawn")
    # A folder for each run: what an earlier one left open is not used again.
    with tempfile.TemporaryDirectory() as sockets, futures.ProcessPoolExecutor(1, mp_context=own) as process:
        environment = {
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets,
        }
        return process.submit(own_cpu.measured, *calls, environment).result()


def rounds(bench: Bench, counts: t.Sequence[int], most: int) -> t.Iterator[Run]:
    """All runs, ways in turns."""
    for count in counts:
        for _round in range(max(1, most // count)):
            for delay in (NEAR, FAR):
                for way in bench.ways.names:
                    yield bench.run(way, count, delay)


def prepared(hosts: t.Sequence[Host], key: pathlib.Path) -> None:
    """Hosts that can be reached over ssh."""
    lab_hosts.push_stand_in()
    lab_hosts.play("create", hosts)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    for host in hosts:
        lab_hosts.open_ssh(host, key.with_suffix(".pub").read_bytes())
        lab_hosts.lend_requests(host)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--real", type=int, default=4, help="how many hosts serve with vLLM")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--pyinfra", default="", help="the program; left out where none is named")
    parser.add_argument("--keep", action="store_true", help="leave the hosts to another run")
    options = parser.parse_args()
    most = max(options.hosts)
    real = min(options.real, most)
    hosts = lab_hosts.named(real, most - real, registry.known())
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if not options.keep:
            stack.callback(lab_hosts.play, "destroy", hosts)
        prepared(hosts, folder / "key")
        bench = Bench(Ways(folder, folder / "key", folder / "sources", options.pyinfra), hosts, stack)
        bench.run(SITE, most, NEAR, converges=True)
        bench.ways.keep_sources(hosts[0])
        found = sums.summary(list(rounds(bench, sorted(options.hosts), options.rounds)))
    ratios = {f"{SITE}/{way}": sums.ratios(found[SITE], found[way]) for way in bench.ways.names if way != SITE}
    sys.stdout.write(json.dumps({"ways": found, "ratios": ratios}, indent=1) + "\n")


if __name__ == "__main__":
    main()
