# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What single runs come to."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.gpufleet.vllm.tests.bench.trips import commands, sums
from ansible_collections.gpufleet.vllm.tests.bench.trips.sums import FAR, NEAR, Run

RUN = Run("site", 1, NEAR, wall=5.0, cpu=4.0, executions=2, chain=0, kib_to_host=600.4)


def runs(way: str, hosts: int, *walls: tuple[float, float], cpu: float = 4.0) -> list[Run]:
    one = dataclasses.replace(RUN, way=way, hosts=hosts, cpu=cpu)
    return [dataclasses.replace(one, round_trip=delay, wall=wall, chain=11 * delay) for delay, wall in walls]


def test_round_trips_are_what_the_delay_cost() -> None:
    found = sums.summary(runs("site", 1, (NEAR, 5.0), (FAR, 7.0), (NEAR, 4.0), (FAR, 5.1)))["site"]["1"]
    assert (found["round_trips_slope"], found["wall_s"], found["runs"]) == (11.0, 4.0, 4)
    assert (found["executions"], found["kib_to_host"]) == (2, 600)
    # Where nothing is late, what is sent at once looks like an answer.
    assert found["round_trips_chain"] == 1.1


def test_a_run_with_one_execution_more_is_told() -> None:
    odd = dataclasses.replace(RUN, executions=3)
    assert sums.summary([odd, *runs("site", 1, (FAR, 6.0))])["site"]["1"]["executions"] == 3


def test_what_a_host_more_costs() -> None:
    few, many = (runs("site", hosts, (NEAR, 5.0), (FAR, 6.0), cpu=cpu) for hosts, cpu in ((1, 4.0), (5, 8.0)))
    found = sums.summary([*few, *many])["site"]
    assert "cpu_s_per_host_more" not in found["1"]
    assert found["5"]["cpu_s_per_host_more"] == 1.0


def test_ratios_are_of_hosts_that_both_had() -> None:
    plain = runs("plain", 1, (NEAR, 10.0), (FAR, 12.0), cpu=16.0)
    site = [run for hosts in (1, 2) for run in runs("site", hosts, (NEAR, 5.0), (FAR, 6.0))]
    found = sums.summary([*site, *plain])
    assert sums.ratios(found["site"], found["plain"]) == {"1": {"executions": 1.0, "wall_s": 0.5, "cpu_s": 0.25}}


def test_a_slope_has_two_ends() -> None:
    with pytest.raises(ValueError, match=r"site with 1 hosts was not run at both 0.0 and 0.1 s"):
        sums.summary([RUN])


@pytest.mark.parametrize(
    ("way", "said", "as_it_was"),
    [
        ("site", "a : ok=2  changed=0  failed=0\nb : ok=2  changed=0  failed=0", True),
        ("site", "a : ok=2  changed=1  failed=0\nb : ok=2  changed=0  failed=0", False),
        ("plain", "a : ok=2  changed=0  failed=0", False),
        ("pyinfra", "    Grand total     14      -         -       14   \n", True),
        ("pyinfra", "    Grand total     14      1         -       13   \n", False),
        ("pyinfra", "--> Disconnecting", False),
        ("script", "", True),
    ],
)
def test_a_run_that_changes_something_is_none(way: str, said: str, as_it_was: bool) -> None:
    assert commands.unchanged(way, said, 2) is as_it_was
