# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills of downloads at random bytes, as a program: `python tests/fetches --kills 100`."""

from __future__ import annotations

import argparse
import pathlib
import random
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / ".collections"))

from ansible_collections.gpufleet.vllm.tests.fetches import kills
from ansible_collections.gpufleet.vllm.tests.hub.content import MIB


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/fetches", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--size", type=int, default=96, metavar="MIB", help="of the model")
    asked = parser.parse_args()
    seed = random.randrange(2**32) if asked.seed is None else asked.seed
    sys.stdout.write(f"{asked.kills} kills of a download of {asked.size} MiB, seed {seed}\n")
    found: list[str] = []
    costs = []
    with tempfile.TemporaryDirectory(prefix="fetches") as place:
        program = kills.packed(pathlib.Path(place))
        for kill in kills.drawn(asked.kills, seed):
            folder = pathlib.Path(place) / str(kill.number)
            cost = kills.one(kill, folder, program, asked.size * MIB)
            shutil.rmtree(folder)
            costs.append(cost)
            found += kills.problems(cost)
            sys.stdout.write(
                f"{kill}: struck at {cost.struck_at / MIB:.1f} MiB, {cost.twice / MIB:.2f} MiB twice, "
                f"{cost.corrupt} corrupt, {cost.reruns} reruns, then {cost.second_run} bytes\n"
            )
            sys.stdout.flush()
    sys.stdout.write("\n".join([kills.summary(costs), *found, ""]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
