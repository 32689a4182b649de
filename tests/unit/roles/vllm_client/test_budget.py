# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long an answer may be."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import pytest

from ansible_collections.gpufleet.vllm.roles.vllm_client.files.gpufleet_client import budget
from ansible_collections.gpufleet.vllm.roles.vllm_client.files.gpufleet_client.budget import Count, InputTooLarge
from ansible_collections.gpufleet.vllm.roles.vllm_client.files.gpufleet_client.settings import Phase, Settings

# As the users of a 12 GB card have it.
SAMPLING = {"output_reserve": 3000, "safety_margin": 128, "minimum_output": 256}


def phase(**sampling: int) -> Phase:
    return Settings("a", "http://h/v1", ("m",), sampling=sampling).phase()


@pytest.mark.parametrize(
    ("tokens", "asked", "allowed", "warned"),
    [
        (1000, None, 3000, False),  # min(12288 - 1000 - 128, 3000)
        (9160, None, 3000, False),
        (9161, None, 2999, False),
        (11904, None, 256, False),
        (11905, None, 256, True),
        (12031, None, 256, True),
        (12033, None, 255, True),  # never beyond what is left
        (12287, None, 1, True),
        (1000, 100, 100, False),
        (1000, 5000, 3000, False),
        (10000, 2900, 2160, False),
        (11999, 100, 100, False),  # the caller needs no 256
        (12100, 100, 100, True),
        (12200, 100, 88, True),
    ],
)
def test_the_budget(tokens: int, asked: int | None, allowed: int, warned: bool) -> None:
    found = budget.plan(phase(**SAMPLING), 12288, Count(tokens, "server"), asked)
    assert (found.max_tokens, bool(found.warning)) == (allowed, warned)


@pytest.mark.parametrize("tokens", [12288, 20000])
def test_an_input_that_leaves_nothing_is_told(tokens: int) -> None:
    with pytest.raises(InputTooLarge, match=f"has {tokens} tokens, and the server takes 12288"):
        budget.plan(phase(**SAMPLING), 12288, Count(tokens, "server"))


def test_an_estimate_refuses_nothing_and_says_that_it_is_one() -> None:
    found = budget.plan(phase(**SAMPLING), 12288, Count(20000, "estimate"))
    assert found.max_tokens == 256
    assert "20000 tokens (estimated) of 12288" in found.warning


def test_a_phase_has_its_own_longest_answer() -> None:
    found = budget.plan(phase(**SAMPLING, max_tokens=512), 12288, Count(10, "server"))
    assert found.max_tokens == 512


def test_of_an_unknown_length_only_what_was_asked_is_known() -> None:
    assert budget.plan(phase(), None, Count(10, "estimate")).max_tokens is None
    assert budget.plan(phase(), None, Count(10, "estimate"), 7).max_tokens == 7


def test_without_a_reserve_all_that_is_left_is_there() -> None:
    assert budget.plan(phase(), 1000, Count(100, "server")).max_tokens == 1000 - 100 - 128


@hypothesis.given(
    length=st.integers(1, 20000), tokens=st.integers(0, 20000), margin=st.integers(0, 500),
    minimum=st.integers(1, 500), reserve=st.none() | st.integers(1, 5000), asked=st.none() | st.integers(1, 5000),
)  # fmt: skip
def test_no_answer_is_longer_than_what_is_left(
    length: int, tokens: int, margin: int, minimum: int, reserve: int | None, asked: int | None
) -> None:
    stated = {"safety_margin": margin, "minimum_output": minimum}
    values = phase(**stated, **({} if reserve is None else {"output_reserve": reserve}))
    try:
        found = budget.plan(values, length, Count(tokens, "server"), asked).max_tokens
    except InputTooLarge:
        assert tokens >= length
        return
    assert found is not None
    assert 1 <= found <= length - tokens
    assert found <= min(reserve or found, asked or found)
