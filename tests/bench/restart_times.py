# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restart costs the clients of a server, and how fast a bad one is noticed and rolled back.

    python tests/bench/restart_times.py [--rounds 3]

Needs the lab (`make lab`). One host, one real vLLM; somebody asks it for a token five times a second. In each round:

- `ours`, `docker_stop_start`, `docker_rm_run`, `docker_compose_up`: seconds without an answer while an argument changes
- `noticed`: seconds from the exit of a bad engine until the host begins to take it back
- `rolled_back`: seconds from there until the old release answers again; `pulled`: images pulled meanwhile

Prints one JSON object; `over_bare` is the least of ours less the least of docker_stop_start.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time
import typing as t

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

# Importing it makes the collection importable.
from tests.conftest import CHECKOUT  # noqa: I001
from ansible_collections.gpufleet.vllm.tests.bench.restart_ways import BARE, Bare, NAME, ours, sequences
from ansible_collections.gpufleet.vllm.tests.faults.host import CONTAINER, Host
from ansible_collections.gpufleet.vllm.tests.faults.matrix import FAILED, SITE
from ansible_collections.gpufleet.vllm.tests.faults.play import INVENTORIES, Play, as_user
from ansible_collections.gpufleet.vllm.tests.faults.prober import Answers, Prober
from ansible_collections.gpufleet.vllm.tests.faults.wanted import merged, never_seen, wanted

Json = dict[str, t.Any]
HOST = "bench-a"
# Without the image's parser, which would refuse it before the stop; and an unknown flag that the planner lets through.
BAD = {"vllm_server_ask_parser": False, "vllm_server_unknown_arguments": "warn"}


def lab(playbook: str) -> None:
    inventories = [word for path in INVENTORIES for word in ("--inventory", path)]
    command = ["ansible-playbook", f"molecule/shared/{playbook}.yml", "--limit", HOST, *inventories]
    subprocess.run(command, cwd=CHECKOUT, env=as_user(), check=True, stdout=sys.stderr)


def asked_during(host: Host, act: t.Callable[[], None]) -> Answers:
    """What became of the questions while something happened, until a second after it serves again."""
    prober = Prober(host)
    with prober:
        time.sleep(2)
        act()
        host.wait_until("serving", lambda: bool(host.generates(limit=5)))
        time.sleep(1)
    return prober.answers()


def serve_ours(host: Host) -> None:
    play = Play(SITE, [host.name], {**wanted(sequences(4)), "vllm_server_retry": True}).wait()
    assert play.code == 0, f"see {play.log}"


def bare_gap(host: Host, bare: Bare, way: str) -> float:
    before, act = BARE[way]
    before(bare)
    host.wait_until("serving", lambda: bool(host.generates(limit=5)))
    gap = asked_during(host, lambda: act(host, bare)).longest_gap
    bare.remove(NAME, f"{NAME}-next")
    return gap


def events(host: Host, since: float) -> list[Json]:
    """What Docker did since then, oldest first."""
    lines = host.run(
        "docker", "events", f"--since={since:.3f}", f"--until={time.time():.3f}", "--format", "{{json .}}"
    ).splitlines()
    return [json.loads(line) for line in lines]


def rolled_back(host: Host) -> Json:
    """Roll out a release whose engine exits, and time its rollback."""
    mark, began = host.mark(), time.time()
    bad = never_seen(merged(sequences(8), {"engine_args": {"no_such_flag": 1}}))

    def roll_out() -> None:
        play = Play(SITE, [host.name], wanted(bad, **BAD)).wait()
        assert play.code == FAILED, f"exit code {play.code}, see {play.log}"

    answers = asked_during(host, roll_out)
    seen, stages = events(host, began), {line["stage"]: line for line in reversed(host.stages(mark))}
    died_after, died_at = life_of_the_candidate(seen)
    noticed = stages["rollback"]["elapsed"] - stages["ready"]["elapsed"] - died_after
    first = min(line["answered"] for line in answers.lines if not line["error"] and line["asked"] > died_at)
    return {
        "noticed": round(noticed, 1),
        "rolled_back": round(first - died_at - noticed, 1),
        "pulled": sum(event["Action"] == "pull" for event in seen),
    }


def life_of_the_candidate(seen: list[Json]) -> tuple[float, float]:
    """Seconds that the candidate ran, and when it ended, in seconds of the epoch."""
    named = [event for event in seen if event["Actor"]["Attributes"].get("name") == CONTAINER]
    starts = [event for event in named if event["Action"] == "start"]
    bad = starts[0]["Actor"]["ID"]
    died = next(event for event in named if event["Action"] == "die" and event["Actor"]["ID"] == bad)
    return (died["timeNano"] - starts[0]["timeNano"]) / 1e9, died["timeNano"] / 1e9


def one_round(host: Host) -> Json:
    serve_ours(host)
    bare = Bare(host)
    seconds: Json = {"ours": asked_during(host, lambda: ours(host, bare)).longest_gap, **rolled_back(host)}
    host.run("docker", "stop", CONTAINER)
    return {**seconds, **{way: bare_gap(host, bare, way) for way in BARE}}


def summary(rounds: list[Json]) -> Json:
    """Least, median and most of each figure; downtime also as a difference and a ratio to the bare restart."""
    figures = {
        name: {
            "min": min(one[name] for one in rounds),
            "median": round(statistics.median(one[name] for one in rounds), 1),
            "max": max(one[name] for one in rounds),
        }
        for name in rounds[0]
    }
    bare, mine = figures["docker_stop_start"]["min"], figures["ours"]["min"]
    return {
        "rounds": rounds,
        "seconds": figures,
        "over_bare": round(mine - bare, 1),
        "ratio_to_bare": round(mine / bare, 2),
        "restored_over_bare": round(figures["rolled_back"]["min"] - bare, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    lab("create")
    host = Host(HOST)
    host.run("apt-get", "update", "--quiet=2", limit=300)
    host.run("apt-get", "install", "--quiet=2", "--yes", "--no-install-recommends", "docker-compose", limit=300)
    rounds = []
    for number in range(options.rounds):
        rounds.append(one_round(host))
        sys.stderr.write(f"round {number + 1}: {json.dumps(rounds[-1])}\n")
    lab("destroy")
    sys.stdout.write(json.dumps(summary(rounds), indent=1) + "\n")


if __name__ == "__main__":
    main()
