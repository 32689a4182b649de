# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits that a host cannot give."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime import limits

STATUS = "Name:\tsystemd\nCapBnd:\t{}\n"
LIMITS = (
    "Limit   Soft Limit   Hard Limit   Units\nMax open files            1024                 {}                files\n"
)
LACKS, HAS = "00000000a80425fb", "000001ffffffffff"


def nofile(hard: int) -> dict[str, t.Any]:
    return {"default-ulimits": {"nofile": {"Name": "nofile", "Hard": hard, "Soft": hard}}}


@pytest.mark.parametrize(
    ("config", "capabilities", "hard", "refused"),
    [
        (nofile(1048576), LACKS, "20000", True),
        (nofile(20000), LACKS, "20000", False),
        (nofile(1048576), HAS, "20000", False),
        (nofile(1048576), LACKS, "unlimited", False),
        ({}, LACKS, "20000", False),
        ({"default-ulimits": {}}, LACKS, "20000", False),
    ],
)
def test_the_limit_of_open_files(config: t.Any, capabilities: str, hard: str, refused: bool) -> None:
    files = {"/proc/1/status": STATUS.format(capabilities), "/proc/1/limits": LIMITS.format(hard)}
    assert bool(limits.objection(config, lambda path: files[path].encode())) is refused


def test_a_host_that_tells_nothing() -> None:
    assert limits.objection(nofile(1048576), lambda _path: None) == ""
