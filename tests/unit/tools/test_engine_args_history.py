# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folding releases into one history, unfolding it again, and adding one to it."""

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


def test_nothing_is_no_choice() -> None:
    """The parser of 0.27.0 adds None, as text, to the choices of what may be left out."""
    assert tool.tidy("x", {"type": "str", "choices": ["fp8", "None", None]}) == {"type": "str", "choices": ["fp8"]}


KNOWN = tool.folded(
    {
        "0.1.0": {
            **image(
                same={"type": "str", "choices": ["x", "y"], "open": True, "default": "x"},
                grows={"type": "str", "choices": ["only-here", "a", "b"], "open": True},
                gone={"type": "int"},
                default={"type": "int", "default": 3},
            ),
            "environment": ["CUDA_HOME", "VLLM_A", "VLLM_B"],
        }
    }
)
# The same release as another reader sees it, and the next one by the same reader.
BEFORE = {
    **image(
        same={"type": "str"},
        grows={"type": "str", "choices": ["a", "b"]},
        gone={"type": "int"},
        default={"type": "int"},
    ),
    "environment": ["VLLM_A", "VLLM_B", "OTHER"],
}
AFTER = {
    **image(
        same={"type": "str"},
        grows={"type": "str", "choices": ["a", "c"]},
        default={"type": "int", "deprecated": True},
        new={"type": "switch", "default": True},
    ),
    "environment": ["VLLM_B", "VLLM_C", "OTHER"],
}


def test_only_what_changed_between_two_readings_begins_a_span() -> None:
    """A reader that tells less, of choices, defaults and variables, ends no span by that."""
    found = tool.extended(KNOWN, {"0.1.0": BEFORE, "0.2.0": AFTER})
    assert found["versions"] == ["0.1.0", "0.2.0"]
    spans = {name: [span for span in spans if span["since"] == "0.2.0"] for name, spans in found["arguments"].items()}
    assert spans == {
        "same": [],
        "grows": [{"since": "0.2.0", "type": "str", "choices": ["a", "c", "only-here"], "open": True}],
        "gone": [{"since": "0.2.0", "gone": True}],
        "default": [{"since": "0.2.0", "type": "int", "deprecated": True, "default": 3}],
        "new": [{"since": "0.2.0", "type": "switch", "default": True}],
    }
    assert found["environment"] == {
        "CUDA_HOME": ["0.1.0"],
        "VLLM_A": ["0.1.0", "0.2.0"],
        "VLLM_B": ["0.1.0"],
        "VLLM_C": ["0.2.0"],
    }


def test_several_releases_are_added_one_after_another() -> None:
    found = tool.extended(KNOWN, {"0.3.0": BEFORE, "0.2.0": AFTER, "0.1.0": BEFORE})
    assert [span["since"] for span in found["arguments"]["gone"]] == ["0.1.0", "0.2.0", "0.3.0"]
    assert found["environment"]["VLLM_A"] == ["0.1.0", "0.2.0", "0.3.0"]


@pytest.mark.parametrize(
    ("readings", "said"),
    [
        (["0.2.0"], "the history ends with 0.1.0: give a reading of 0.1.0 too, made in the same way"),
        (["0.1.0"], "give a reading of a release after 0.1.0"),
        (["0.1.0", "0.0.9", "0.2.0"], "0.0.9 is older than 0.1.0, with which the history ends: it is not added"),
    ],
)
def test_what_cannot_be_added_is_refused(readings: list[str], said: str) -> None:
    with pytest.raises(SystemExit) as refused:
        tool.extended(KNOWN, dict.fromkeys(readings, BEFORE))
    assert said in str(refused.value).splitlines()


def test_a_known_release_is_not_added_again() -> None:
    with pytest.raises(SystemExit, match=r"^0\.2\.0 is known$"):
        tool.extended(
            tool.extended(KNOWN, {"0.1.0": BEFORE, "0.2.0": AFTER, "0.3.0": AFTER}),
            {"0.3.0": AFTER, "0.2.0": AFTER, "0.4.0": AFTER},
        )


def test_a_reading_is_an_answer_or_sources(tmp_path: pathlib.Path) -> None:
    answer = tmp_path / "0.2.0.json"
    answer.write_text(json.dumps({"version": "0.2.0+cu130", **AFTER}))
    assert tool.reading(str(answer))[0] == "0.2.0"
    answer.write_text("")
    with pytest.raises(SystemExit, match=r"0\.2\.0\.json is no answer of an image"):
        tool.reading(str(answer))
    answer.write_text('{"version": "0.2.0"}')
    with pytest.raises(SystemExit, match=r"0\.2\.0\.json is no answer of an image: let read_engine_args\.py"):
        tool.reading(str(answer))
    with pytest.raises(SystemExit, match="is no package vllm: give VERSION=FOLDER/vllm of unpacked sources"):
        tool.reading(f"0.2.0={tmp_path}")
