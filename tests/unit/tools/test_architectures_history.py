# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pathlib

import pytest

from ansible_collections.gpufleet.vllm.tools import architectures_history as tool

SOURCE = """
_TEXT_GENERATION_MODELS = {"LlamaForCausalLM": ("llama", "LlamaForCausalLM")}
_TRANSFORMERS_SUPPORTED_MODELS: dict[str, str] = {"SmolForCausalLM": "x"}
_PREVIOUSLY_SUPPORTED_MODELS = {"OldForCausalLM": "0.9.0"}
_OTHER = {"NoModel": 1}
"""


def test_names_of_a_release() -> None:
    assert tool.names_of(SOURCE) == ({"LlamaForCausalLM", "SmolForCausalLM"}, {"SmolForCausalLM"})


@pytest.mark.parametrize(
    ("name", "found"),
    [("always", ["0.1.0"]), ("later", ["0.2.0"]), ("gone", ["0.1.0", "0.3.0"]), ("back", ["0.1.0", "0.3.0", "0.4.0"])],
)
def test_marks_are_lenient_about_releases_that_were_not_read(name: str, found: list[str]) -> None:
    """0.2.0 was not read: what 0.1.0 lacks and 0.3.0 has may have been there."""
    releases = {"0.1.0": {"always", "gone", "back"}, "0.3.0": {"always", "later"}, "0.4.0": {"always", "later", "back"}}
    assert tool.marks(name, releases, ["0.1.0", "0.2.0", "0.3.0", "0.4.0"]) == found


def test_the_whole_of_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / tool.REGISTRY).parent.mkdir(parents=True)
    (tmp_path / tool.REGISTRY).write_text(SOURCE)
    monkeypatch.setattr("sys.argv", ["x", f"0.33.0={tmp_path}"])
    tool.main()
    assert '"LlamaForCausalLM": ["0.33.0"]' in (said := capsys.readouterr().out)
    assert "Smol" not in said
