# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
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


def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> dict[str, list[str]]:
    monkeypatch.setattr("sys.argv", ["x", *words])
    tool.main()
    found: dict[str, list[str]] = json.loads(capsys.readouterr().out)["architectures"]
    return found


@pytest.fixture
def releases(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """VERSION=FOLDER of three releases; the history knows one more, between the first two."""
    sources = {
        "0.31.0": (["Old", "Gone"], ["Lent", "Later"]),
        "0.32.0": (["Old", "Gone", "New"], ["Lent", "Later"]),
        "0.33.0": (["Old", "New", "Newest", "Later"], ["Lent"]),
    }
    for version, (own, lent) in sources.items():
        (tmp_path / version / tool.REGISTRY).parent.mkdir(parents=True)
        (tmp_path / version / tool.REGISTRY).write_text(
            f"_A_MODELS = {dict.fromkeys(own)}\n_TRANSFORMERS_SUPPORTED_MODELS = {dict.fromkeys(lent)}"
        )
    (tmp_path / "history.json").write_text(json.dumps({"versions": ["0.31.0", "0.31.1", "0.32.0", "0.33.0"]}))
    monkeypatch.setattr(tool, "HISTORY", tmp_path / "history.json")
    return {version: f"{version}={tmp_path / version}" for version in sources}


@pytest.fixture
def base(
    tmp_path: pathlib.Path,
    releases: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    found = printed(capsys, monkeypatch, releases["0.32.0"], releases["0.31.0"])
    assert found == {"Gone": ["0.31.0"], "New": ["0.31.1"], "Old": ["0.31.0"]}
    (tmp_path / "base.json").write_text(json.dumps({"schema": 1, "architectures": {**found, "New": ["0.32.0"]}}))
    return f"--base={tmp_path / 'base.json'}"


def test_a_release_is_added_to_a_base(
    releases: dict[str, str], base: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What Transformers ran in the release before may have run in older ones too: it stays left out."""
    assert printed(capsys, monkeypatch, base, releases["0.33.0"], releases["0.32.0"]) == {
        "Gone": ["0.31.0", "0.33.0"],
        "New": ["0.32.0"],
        "Newest": ["0.33.0"],
        "Old": ["0.31.0"],
    }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["0.33.0"], "the base ends with 0.32.0: give 0.32.0=FOLDER too"),
        (["0.31.0", "0.32.0"], "the base tells of 0.32.0, which is newer than 0.31.0"),
        (["9.9.9=/nowhere"], "9.9.9 is not in history.json"),
        (["0.33.0=/nowhere"], "0.33.0=/nowhere has no model_executor"),
    ],
)
def test_what_cannot_be_added_is_refused(
    given: list[str], told: str, releases: dict[str, str], base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["x", base, *(releases.get(one, one) for one in given)])
    with pytest.raises(SystemExit, match=told):
        tool.main()


def test_what_is_shipped_stays_as_it_is_where_nothing_is_new(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = tool.HISTORY.with_name("architectures.json")
    known: dict[str, list[str]] = json.loads(shipped.read_text())["architectures"]
    newest = tool.newest_of(known, json.loads(tool.HISTORY.read_text())["versions"])
    names = [name for name, changes in known.items() if len(changes) % 2]
    (tmp_path / tool.REGISTRY).parent.mkdir(parents=True)
    (tmp_path / tool.REGISTRY).write_text(f"_ALL_MODELS = {dict.fromkeys(names)}")
    monkeypatch.setattr("sys.argv", ["x", f"--base={shipped}", f"{newest}={tmp_path}"])
    tool.main()
    assert capsys.readouterr().out == shipped.read_text()
