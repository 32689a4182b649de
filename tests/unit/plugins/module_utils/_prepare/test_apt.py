# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What apt is given, and what it says."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare import apt, managers


def test_a_field_that_says_nothing_is_left_out() -> None:
    assert apt.stanza({"Types": "deb", "Suites": ("a", "b"), "Components": ()}) == "Types: deb\nSuites: a b\n"


@pytest.mark.parametrize("lock", ["/var/lib/dpkg/lock-frontend", "/var/cache/apt/archives/lock"])
def test_packages_are_waited_for_whatever_lock_it_is(lock: str) -> None:
    answers = [(100, f"E: Could not get lock {lock}. It is held by process 4242 (apt-get)")] * 2 + [(0, "")]
    slept: list[float] = []
    managers.Apt(lambda _command: answers.pop(0), 60, slept.append).download(["a"])
    assert (slept, answers) == ([apt.PAUSE] * 2, [])


def test_a_failure_of_another_kind_is_not_tried_again() -> None:
    asked: list[list[str]] = []

    def run(command: list[str]) -> tuple[int, str]:
        asked.append(command)
        return 100, "E: Unable to locate package a"

    with pytest.raises(managers.Failed, match=r"^E: Unable to locate package a$"):
        managers.Apt(run, 60, lambda _seconds: pytest.fail("it waits")).install(["a"])
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("said", "warnings", "told"),
    [
        ("W: old\nE: a\nE: a\nErr:1 b\n", False, "E: a Err:1 b"),
        ("W: old\nE: a\n", True, "W: old E: a"),
        ("one\n\n two\nthree\nfour\n", False, "two three four"),
        ("dpkg: No space left on device\nlast", False, "dpkg: No space left on device"),
        ("", False, ""),
    ],
)
def test_the_lines_that_tell_what_failed(said: str, warnings: bool, told: str) -> None:
    assert apt.telling(said, warnings) == told
