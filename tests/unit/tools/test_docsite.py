# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages of docs/ on the site: where links lead, and the contents that an index makes."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.tools.docsite import pages

FORGE = "https://github.com/gpufleet/ansible-vllm"
OPTION = "#ansible_collections.gpufleet.vllm.vllm_server_role__parameter-vllm_server_hub_token"


@pytest.mark.parametrize(
    ("page", "link", "placed"),
    [
        ("docs/plan.md", "rollout.md", "rollout.md"),
        ("docs/plan.md", "rollout.md#stages", "rollout.md#stages"),
        ("docs/plan.md", "#memory", "#memory"),
        ("docs/contributing/role.md", "../plan.md", "../plan.md"),
        ("docs/plan.md", "modules/gpu_facts.md", "reference/gpu_facts_module.rst"),
        ("docs/contributing/role.md", "../modules/gpu_facts.md#return-values", "../reference/gpu_facts_module.rst"),
        ("docs/plan.md", "roles/vllm_server.md#vllm_server_hub_token", OPTION),
        ("docs/README.md", "roles", "reference/index.rst"),
        ("docs/contributing/role.md", "../README.md", "../index.md"),
        ("docs/plan.md", "../CONTRIBUTING.md#commit", f"{FORGE}/blob/main/CONTRIBUTING.md#commit"),
        ("docs/plan.md", "../inventories", f"{FORGE}/tree/main/inventories"),
        ("docs/plan.md", "https://docs.vllm.ai/a.md", "https://docs.vllm.ai/a.md"),
    ],
)
def test_a_link_leads_to_the_same_on_the_site(page: str, link: str, placed: str) -> None:
    made = pages.linked(f"see [it]({link}).", page, lambda name: name == "inventories")
    assert made == f"see [it]({placed})."


def test_code_stays_as_it_is() -> None:
    text = "`[a](roles/x.md)`\n```markdown\n[a](roles/x.md)\n```\n"
    assert pages.linked(text, "docs/plan.md", lambda _name: False) == text


INDEX = """# Index

## Begin

- [Start](start.md): from nothing
- [Plans](plan.md#memory): a part of a page

## Reference

Variables are in [roles](roles).
"""


def test_an_index_makes_a_table_of_contents_of_each_section() -> None:
    made = pages.with_contents(INDEX, {"Reference": ("Modules", "reference/index")})
    assert made.startswith(INDEX)
    tables = [table.partition("```")[0].split("\n")[1:] for table in made.split("```{toctree}")[1:]]
    begin, reference = ([line for line in table if line and not line.startswith(":hidden")] for table in tables)
    assert begin == [":caption: Begin", "Start <start.md>"]
    assert reference == [":caption: Reference", "Modules <reference/index>"]


def test_entries_are_whole_pages() -> None:
    assert pages.entries(INDEX) == ["start.md"]


def test_a_page_of_the_reference_has_no_list_of_its_sections() -> None:
    text = "Title\n=====\n\n.. contents::\n   :local:\n   :depth: 1\n\n.. Synopsis\n\nText\n"
    assert pages.without_own_contents(text) == "Title\n=====\n\n\n.. Synopsis\n\nText\n"
