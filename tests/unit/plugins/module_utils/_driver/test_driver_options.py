# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several images of one host ask of its driver."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._driver import driver_options

OLD = {"image": "vllm/vllm-openai:v0.12.0", "version": "0.12.0"}
NEW = {"image": "vllm/vllm-openai:v0.32.0", "version": "0.32.0"}
FOREIGN = {"image": "registry.example/odd:7", "version": "0.12.0"}


@pytest.mark.parametrize(
    ("given", "image", "cuda", "capability"),
    [
        ({"images": [OLD, NEW]}, NEW["image"], "13.0", (7, 5)),
        ({"images": [NEW, OLD]}, NEW["image"], "13.0", (7, 5)),
        ({"images": [OLD, FOREIGN]}, OLD["image"], "12.9", (7, 0)),
        ({"images": [NEW, {**OLD, "version": "none"}]}, NEW["image"], "13.0", (7, 5)),
        ({"images": [NEW], "cuda": "12.9"}, NEW["image"], "12.9", (7, 5)),
        ({"images": []}, "", None, None),
        ({"images": "nonsense"}, "", None, None),
        (OLD, OLD["image"], "12.9", (7, 0)),
        ({}, "", None, None),
    ],
)
def test_the_image_with_the_newest_cuda_says_what_is_needed(
    given: dict[str, t.Any], image: str, cuda: str | None, capability: tuple[int, int] | None
) -> None:
    errors: list[str] = []
    found = driver_options.read(given, errors)
    assert errors == []
    assert (found.image, found.cuda, found.capability) == (image, cuda, capability)
