# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What repeats the host classes is written from them, and is up to date."""

from __future__ import annotations

import typing as t

import pytest
import yaml

from ansible_collections.gpufleet.vllm.tools import host_classes
from ansible_collections.gpufleet.vllm.tools.reference import CHECKOUT

DESCRIBED: t.Final[dict[str, t.Any]] = {
    "about": "two GPUs with 10 GB",
    "cards": {
        "NVIDIA GeForce RTX 3080": {"memory_mib": 10240, "compute_capability": "8.6"},
        "NVIDIA A9": {"memory_mib": 9216, "compute_capability": "8.0"},
    },
    "advice": "Mind the step.",
    "count": 2,
    "engine_args": {"gpu_memory_utilization": 0.9, "enable_prefix_caching": True},
    "limits": {"tensor_parallel_size": 2},
    "example": {"model": "x/y", "engine_args": {"max_model_len": 8192, "max_num_seqs": 4, "tensor_parallel_size": 2}},
}
PAGE = f"Before.\n\n{host_classes.BEGIN}\nold\n{host_classes.END}\n\nAfter.\n"


def test_what_repeats_the_classes_is_up_to_date() -> None:
    assert host_classes.written(CHECKOUT) == host_classes.files(CHECKOUT)


def test_group_vars() -> None:
    text = host_classes.group_vars("gpu_2x10gb", DESCRIBED)
    assert yaml.safe_load(text) == {
        "gpu_detect_host_class": "gpu_2x10gb",
        "vllm_server_class_engine_args": DESCRIBED["engine_args"],
        "vllm_server_class_limits": DESCRIBED["limits"],
    }
    assert "# Mind the step.\n" in text
    assert "  # 9.0 of 10.0 GiB of each GPU (RTX 3080); 8.1 of 9.0 GiB of each GPU (A9)\n" in text
    assert max(map(len, text.splitlines())) <= 120


def test_cards_of_one_size_share_one_sum() -> None:
    cards = dict.fromkeys(("A", "B"), DESCRIBED["cards"]["NVIDIA A9"])
    assert "  # 8.1 of 9.0 GiB\n" in host_classes.group_vars("one", {**DESCRIBED, "count": 1, "cards": cards})


def test_the_table_takes_the_place_of_the_old_one() -> None:
    page = host_classes.with_table(PAGE, {"gpu_2x10gb": DESCRIBED, "cpu": {"about": "no GPU"}})
    assert page.startswith("Before.\n")
    assert page.endswith("\n\nAfter.\n")
    assert "old" not in page
    assert "| `gpu_2x10gb` | two GPUs with 10 GB | RTX 3080, A9 | x/y, 4 requests of 8192 tokens, `tensor_pa" in page
    assert "\n| `cpu` | no GPU |  |  |\n" in page
    assert host_classes.with_table(page, {"cpu": {"about": "no GPU"}}).count(host_classes.BEGIN) == 1


@pytest.mark.parametrize("page", ["", host_classes.BEGIN, host_classes.END])
def test_a_page_without_a_place_for_the_table_is_refused(page: str) -> None:
    with pytest.raises(SystemExit, match="has no table of host classes: put"):
        host_classes.with_table(page, {})
