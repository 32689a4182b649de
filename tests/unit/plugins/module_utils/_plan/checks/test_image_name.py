# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose an image is, and whether its name can become another image."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.checks import image_name
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

PIN = "@sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("image", "repository", "tag", "pinned"),
    [
        ("vllm/vllm-openai:v0.32.0", "docker.io/vllm/vllm-openai", "v0.32.0", False),
        ("docker.io/vllm/vllm-openai", "docker.io/vllm/vllm-openai", "", False),
        ("index.docker.io/vllm/vllm-openai" + PIN, "docker.io/vllm/vllm-openai", "", True),
        ("vllm/vllm-openai:v0.32.0" + PIN, "docker.io/vllm/vllm-openai", "v0.32.0", True),
        ("ghcr.io/evil/vllm/vllm-openai:v1", "ghcr.io/evil/vllm/vllm-openai", "v1", False),
        ("localhost:5000/vllm/vllm-openai:v1", "localhost:5000/vllm/vllm-openai", "v1", False),
        ("registry:5000/vllm-cpu", "registry:5000/vllm-cpu", "", False),
        ("localhost/vllm", "localhost/vllm", "", False),
        ("vllm-cpu:lab", "docker.io/library/vllm-cpu", "lab", False),
        ("vllm/vllm-openai@sha256:short", "docker.io/vllm/vllm-openai", "", False),
    ],
)
def test_parts(image: str, repository: str, tag: str, pinned: bool) -> None:
    assert image_name.read(image) == (repository, tag, pinned)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("vllm/vllm-openai:v0.32.0" + PIN, []),
        ("vllm/vllm-openai:v0.32.0", ["has no digest, and the tag v0.32.0 can be moved"]),
        ("vllm/vllm-openai:latest", ["the tag latest is another image after every release"]),
        ("vllm/vllm-openai", ["the tag latest is another image after every release"]),
        ("vllm/vllm-openai:nightly-abc", ["the tag nightly-abc is another image"]),
        (
            "ghcr.io/evil/vllm/vllm-openai:v1" + PIN,
            ["is ghcr.io/evil/vllm/vllm-openai, not docker.io/vllm/vllm-openai"],
        ),
        ("vllm/vllm-openai-cpu:latest", ["is docker.io/vllm/vllm-openai-cpu, not", "the tag latest"]),
    ],
)
def test_notes_of_a_plan(image: str, said: list[str]) -> None:
    found = fleet.outcome(image=image)
    assert found.errors == ()
    notes = [note for note in found.plans[0]["notes"] if note.startswith("The image ")]
    assert len(notes) == len(said)
    assert all(text in note for text, note in zip(said, notes, strict=True))
    assert not [text for text in found.warnings if "digest" in text]
