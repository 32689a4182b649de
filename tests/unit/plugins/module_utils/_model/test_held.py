# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several models at once, and when an answer of before will do."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._model.held import answered, held

ASKED: t.Final = {"models": ["/models/a"], "hub_dir": "/hub", "references": ["main"]}
FOUND: t.Final = {"/models/a": {"path": "/models/a"}, "/models/b": {"path": "/models/b"}}
OBSERVED: t.Final = {
    "asked": {"models": ["/models/a", "/models/b"], "hub_dir": "/hub", "references": ["main", "v1"]},
    "found": FOUND,
}


def test_each_model_with_its_references(tmp_path: pathlib.Path) -> None:
    (tmp_path / "m").mkdir()
    found = held([str(tmp_path / "m"), "org/other"], str(tmp_path / "hub"), {}, ["main"])
    assert found[str(tmp_path / "m")]["path"] == str(tmp_path / "m")
    assert found["org/other"]["path"] is None
    assert all("references" in one for one in found.values())


def test_what_was_seen_answers() -> None:
    assert answered(ASKED, OBSERVED) == {"/models/a": FOUND["/models/a"]}
    assert answered({**ASKED, "models": []}, OBSERVED) == {}


@pytest.mark.parametrize(
    "more",
    [
        {"models": ["/models/a", "/models/c"]},
        {"hub_dir": "/another"},
        {"references": ["main", "v2"]},
        {"revisions": {"/models/a": "v1"}},
    ],
)
def test_what_was_not_asked_is_not_answered(more: dict[str, t.Any]) -> None:
    assert answered({**ASKED, **more}, OBSERVED) is None


@pytest.mark.parametrize(
    "observed", [None, {}, [], "text", {"asked": {}, "found": {}}, {"asked": [], "found": FOUND}, {"found": FOUND}]
)
def test_nothing_seen_is_no_answer(observed: t.Any) -> None:
    assert answered(ASKED, observed) is None
