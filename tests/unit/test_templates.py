# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forms for issues are of GitHub's shape, and ask for what there is."""

from __future__ import annotations

import pathlib
import re
import typing as t

import pytest
import yaml

from ansible_collections.gpufleet.vllm.plugins.module_utils._host import arguments
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import STATE_DIR
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.units import PROGRAM

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
FORMS = sorted((CHECKOUT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: str(form.stem))
def test_a_form(form: pathlib.Path) -> None:
    found: dict[str, t.Any] = yaml.safe_load(form.read_text())
    assert found["name"] and found["description"]
    fields = [field for field in found["body"] if field["type"] != "markdown"]
    ids = [field["id"] for field in fields]
    assert len(set(ids)) == len(ids) > 0
    assert all(field["attributes"]["label"] for field in fields)


def test_what_is_asked_for_is_there() -> None:
    text = " ".join((CHECKOUT / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text().split())
    assert f"`{PROGRAM} status`" in text and f"`{STATE_DIR}/INSTANCE/diagnosis`" in text
    assert arguments.parser("").parse_args(["status"]).verb == "status"
    for path in re.findall(r"\b(?:playbooks|docs)/[\w.]+", text):
        assert (CHECKOUT / path.rstrip(".")).is_file(), path


def test_the_request_names_what_there_is() -> None:
    text = (CHECKOUT / ".github" / "PULL_REQUEST_TEMPLATE.md").read_text()
    targets = "\n".join(path.read_text() for path in (CHECKOUT / "make").glob("*.mk"))
    for target in re.findall(r"`make (\w+)`", text):
        assert re.search(rf"^{target}:", targets, re.MULTILINE), target
