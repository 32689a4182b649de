# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the first look at a host has told already, and when it is asked all the same."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

TASKS = pathlib.Path(__file__).resolve().parents[4] / "roles" / "vllm_server" / "tasks"
SEEN: t.Final = {"asked": {"models": ["/m"]}, "found": {"/m": {}}}
STATED: t.Final[dict[str, t.Any]] = {
    "__vllm_server_registries": {},
    "__vllm_server_archives": {},
    "__vllm_server_settings": {"image_mirrors": {}},
}


def task(file: str, module: str) -> dict[str, t.Any]:
    tasks: list[dict[str, t.Any]] = yaml.safe_load((TASKS / file).read_text())
    return next(one for one in tasks if f"gpufleet.vllm.{module}" in one)


def evaluated(text: str, variables: dict[str, t.Any]) -> t.Any:
    return Templar(DataLoader(), variables=variables).template(trust_as_template(text))


@pytest.mark.parametrize(
    ("variables", "observed"),
    [
        ({}, {}),
        ({"__gpu_detect_observed": {"changed": False}}, {}),
        ({"__gpu_detect_observed": {"models": SEEN}}, SEEN),
        ({"__gpu_detect_observed": {"models": SEEN}, "__model_store_fetched": {"changed": False}}, SEEN),
        ({"__gpu_detect_observed": {"models": SEEN}, "__model_store_fetched": {"skipped": True}}, SEEN),
        ({"__gpu_detect_observed": {"models": SEEN}, "__model_store_fetched": {"changed": True}}, {}),
    ],
)
def test_models_that_came_since_are_looked_at(variables: dict[str, t.Any], observed: t.Any) -> None:
    stated = task("observe.yml", "vllm_model")["gpufleet.vllm.vllm_model"]["observed"]
    assert evaluated(stated, variables) == observed


@pytest.mark.parametrize(
    ("variables", "asked"),
    [
        ({}, True),
        ({"__gpu_detect_observed": {"image_sources": True}}, True),
        ({"__gpu_detect_observed": {"image_sources": False}}, False),
        ({"__gpu_detect_observed": {"image_sources": False}, "__vllm_server_registries": {"ghcr.io": {}}}, True),
        ({"__gpu_detect_observed": {"image_sources": False}, "__vllm_server_archives": {"image": "/a"}}, True),
        (
            {
                "__gpu_detect_observed": {"image_sources": False},
                "__vllm_server_settings": {"image_mirrors": {"docker.io": "mirror"}},
            },
            True,
        ),
    ],
)
def test_what_is_stated_or_kept_is_brought(variables: dict[str, t.Any], asked: bool) -> None:
    when = task("image_sources.yml", "vllm_image_sources")["when"]
    assert evaluated("{{ " + when + " }}", {**STATED, **variables}) is asked
