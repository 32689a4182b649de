# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What leaves the hub when several hosts need a model, with and without a host that serves it to the others.

    python tests/bench/fan_out.py [--size MIB] [--hosts N ...] [--rounds N]

Hosts are folders of this machine and the program that hosts get, the hub is that of the tests. The first host fetches,
then the others do, side by side, and every content is compared with the hub's. Bytes and requests are counted at the
hub, as multiples of one host's; seconds as a share of those without serving, in the same round.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / ".collections"))

from ansible_collections.gpufleet.vllm.tests.fetches import kills
from ansible_collections.gpufleet.vllm.tests.fetches.fan_out import Uplink, uplink
from ansible_collections.gpufleet.vllm.tests.hub.content import MIB
from ansible_collections.gpufleet.vllm.tests.hub.server import Hub


def row(count: int, pairs: list[tuple[Uplink, Uplink]], model: int) -> str:
    """Medians of all rounds."""

    def middle(*values: float) -> str:
        return f"{statistics.median(values):.2f}"

    cells = [
        str(count),
        middle(*(alone.sent / model for alone, _shared in pairs)),
        middle(*(shared.sent / model for _alone, shared in pairs)),
        f"{pairs[0][0].asked}",
        f"{pairs[0][1].asked}",
        middle(*(shared.seconds / alone.seconds for alone, shared in pairs)),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64, metavar="MIB", help="of the model")
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    rows = [
        "| hosts | models sent | with one that serves | requests | with one that serves | seconds (without = 1) |",
        "|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory(prefix="fan-out") as name, Hub() as hub:
        place = pathlib.Path(name)
        program = kills.packed(place)
        hub.add(kills.MODEL, kills.files_of(asked.size * MIB))
        (commit,) = hub.models[kills.MODEL].commits.values()
        model = sum(file.size for file in commit.values())
        for count in asked.hosts:
            pairs = []
            for _number in range(asked.rounds):
                with tempfile.TemporaryDirectory(dir=place) as one, tempfile.TemporaryDirectory(dir=place) as other:
                    alone = uplink(count, False, pathlib.Path(one), program, hub)
                    pairs.append((alone, uplink(count, True, pathlib.Path(other), program, hub)))
            rows.append(row(count, pairs, model))
    sys.stdout.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
