# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where inventories and tests find the registry: Docker's bridge is not everywhere at the same address."""

from __future__ import annotations

import pathlib

import pytest

from lab import registry, tools


@pytest.mark.parametrize(
    ("said", "written", "found"),
    [
        ("", None, "172.17.0.1:5055"),
        ("", "10.200.0.1:5055\n", "10.200.0.1:5055"),
        ("host:1", "10.200.0.1:5055\n", "host:1"),
    ],
    ids=["never started", "as started", "as told"],
)
def test_the_registry_is_known_where_it_was_started(
    said: str, written: str | None, found: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setattr(registry, "WORK", tmp_path)
    monkeypatch.setenv("GPUFLEET_LAB_REGISTRY", said)
    if written is not None:
        (tmp_path / "registry").mkdir()
        (tmp_path / "registry" / "address").write_text(written)
    assert registry.known() == found


def test_a_start_notes_the_address(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setattr(registry, "WORK", tmp_path)
    monkeypatch.setattr(tools, "WORK", tmp_path)
    monkeypatch.setattr(registry, "address", lambda: "10.200.0.1:5055")
    monkeypatch.setattr(registry, "_answers", lambda _at: True)
    monkeypatch.delenv("GPUFLEET_LAB_REGISTRY", raising=False)
    registry.start()
    assert registry.known() == "10.200.0.1:5055"
