# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from lab.gpu import description

NAMES = sorted(path.stem for path in description.HOSTS.glob("*.ini"))


@pytest.mark.parametrize("name", NAMES)
def test_every_description_reads(name: str) -> None:
    host = description.read(name)
    uuids = [part.get("uuid") for gpu in host.of("gpu") for part in (gpu, *gpu.of("mig"))]
    assert all(uuids)
    assert len(set(uuids)) == len(uuids)


def test_parts_belong_to_the_gpu_above_them() -> None:
    host = description.parse(["driver_version = 1", "[gpu]", "[gpu]", "name = B", "[mig]", "uuid = M"])
    assert host.values == {"driver_version": "1"}
    first, second = host.of("gpu")
    assert not first.parts
    assert second.of("mig")[0].values == {"uuid": "M"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["[mig]"], r"line 1: \[mig\] belongs to a \[gpu\]"),
        (["", "nonsense"], "line 2: 'nonsense' is neither"),
    ],
)
def test_a_wrong_line_is_named(lines: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        description.parse(lines)


def test_an_unknown_description_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="gpu_12gb"):
        description.read("gpu_13gb")
