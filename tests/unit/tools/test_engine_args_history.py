# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folding releases into one history, and unfolding it again."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tools import engine_args_history as tool

HISTORY = pathlib.Path(tool.__file__).parents[1] / "roles" / "vllm_server" / "files" / "engine_args" / "history.json"
NOTHING: dict[str, list[str]] = {
    "reasoning_parsers": [],
    "tool_parsers": [],
    "quantization_methods": [],
    "environment": [],
}


def image(**arguments: t.Any) -> dict[str, t.Any]:
    return {"arguments": arguments, **NOTHING}


def test_what_is_shipped_unfolds_and_folds_to_itself() -> None:
    text = HISTORY.read_text()
    assert tool.written(tool.folded(tool.unfolded(json.loads(text)))) == text


def test_spans_begin_where_something_changes() -> None:
    releases = {
        "0.9.0": image(a={"type": "int"}, b={"type": "flag", "default": False}),
        "0.10.0": image(a={"type": "int"}),
        "0.11.0": image(a={"type": "int", "default": 3}, b={"type": "switch"}),
    }
    found = tool.folded(releases)
    assert found["versions"] == ["0.9.0", "0.10.0", "0.11.0"]
    assert found["arguments"] == {
        "a": [{"since": "0.9.0", "type": "int"}, {"since": "0.11.0", "type": "int", "default": 3}],
        "b": [
            {"since": "0.9.0", "type": "flag"},
            {"since": "0.10.0", "gone": True},
            {"since": "0.11.0", "type": "switch"},
        ],
    }


def test_releases_follow_each_other_as_they_were_made() -> None:
    """The history begins with 0.8.5, and 0.8.5.post1 was a release of its own."""
    versions = ["0.10.0", "0.8.5.post1", "0.34.0", "0.8.5", "0.34.0rc1"]
    found = tool.folded({version: image(a={"type": "int"}) for version in versions})
    assert found["versions"] == ["0.8.5", "0.8.5.post1", "0.10.0", "0.34.0rc1", "0.34.0"]
    assert tool.folded(tool.unfolded(found)) == found


def test_what_is_no_release_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"'main' is no release: write it as vLLM names it, such as 0\.32\.0"):
        tool.folded({"main": image()})


def test_names_that_come_go_and_come_again() -> None:
    releases = {
        version: {**image(), "environment": names}
        for version, names in (("0.1.0", ["X"]), ("0.2.0", []), ("0.3.0", ["X", "Y"]))
    }
    assert tool.folded(releases)["environment"] == {"X": ["0.1.0", "0.2.0", "0.3.0"], "Y": ["0.3.0"]}


@pytest.mark.parametrize(
    ("flag", "found"),
    [
        ({"type": "bool", "action": "BooleanOptionalAction", "default": True}, {"type": "switch", "default": True}),
        ({"type": "bool | None"}, {"type": "switch"}),
        ({"action": "store_true"}, {"type": "flag"}),
        ({"type": "Optional[int]"}, {"type": "int"}),
        ({"type": "float | None"}, {"type": "float"}),
        ({"type": "CompilationConfig"}, {"type": "json"}),
        ({"type": "dict[str, Any]", "default": {"factory": "dict"}}, {"type": "json"}),
        ({"type": "ConfigFormat", "choices": ["hf", "auto"]}, {"type": "str", "choices": ["auto", "hf"]}),
        ({"type": "BlockSize", "choices": [16, 8]}, {"type": "int", "choices": [8, 16]}),
        ({"type": "list[int]", "nargs": "+"}, {"type": "int", "many": True}),
        ({"type": "str", "aliases": ["-q"], "deprecated": True}, {"type": "str", "aliases": ["q"], "deprecated": True}),
    ],
)
def test_type_from_the_sources(flag: dict[str, t.Any], found: dict[str, t.Any]) -> None:
    assert tool.tidy("x", tool.from_flag("x", flag)) == found


def test_nothing_is_no_choice() -> None:
    """The parser of 0.27.0 adds None, as text, to the choices of what may be left out."""
    assert tool.tidy("x", {"type": "str", "choices": ["fp8", "None", None]}) == {"type": "str", "choices": ["fp8"]}


def test_image_wins_and_keeps_what_only_the_sources_tell() -> None:
    static = image(a={"type": "str", "choices": ["x"], "open": True, "default": "x"}, b={"type": "int"})
    found = tool.merged(static, image(a={"type": "str"}, c={"type": "int", "default": 1}))
    assert found["arguments"] == {
        "a": {"type": "str", "choices": ["x"], "open": True, "default": "x"},
        "c": {"type": "int", "default": 1},
    }
