# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specification is where a key of an instance is written down; whoever else lists keys agrees with it.

What the planner reads is compared with it in test_instance_settings.
"""

from __future__ import annotations

import pathlib
import re
import typing as t

import pytest
import yaml

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine import expect
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import instances, rollout_settings
from ansible_collections.gpufleet.vllm.plugins.module_utils._state import deadlines
from ansible_collections.gpufleet.vllm.plugins.module_utils._watch import watch_policy
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings

Json = dict[str, t.Any]
CHECKOUT = pathlib.Path(__file__).resolve().parents[6]
SERVER = role_settings.options_of("vllm_server")
KEYS: Json = SERVER["vllm_server_instances"]["options"]
NESTED: dict[str, Json] = {what: SERVER[f"vllm_server_{what}"] for what in ("timeouts", "smoke", "watch")}
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Hands an inventory on with a key that is wrong, to see it refused.
WRONG_ON_PURPOSE = ("molecule/rollback/subjects/bad_input.yml",)


class Loader(yaml.SafeLoader):
    """Vaults and other tags of Ansible are whatever they are."""


Loader.add_multi_constructor("!", lambda _loader, _tag, node: str(node.value))


def page(name: str) -> str:
    return (CHECKOUT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def example(text: str, variable: str) -> t.Any:
    blocks = [yaml.load(block, Loader) for block in BLOCK.findall(text)]
    return next(block[variable] for block in blocks if variable in block)


def test_the_page_of_inventories_shows_every_key() -> None:
    text = page("inventory")
    blocks = [block for block in BLOCK.findall(text) if "vllm_server_instances:" in block]
    for block in blocks:
        assert {key for one in yaml.load(block, Loader)["vllm_server_instances"] for key in one} <= set(KEYS)
    block = "".join(blocks)
    assert [key for key in KEYS if not re.search(rf"\b{key}\b", block)] == []


def test_the_page_of_the_watch_shows_every_key_with_its_default() -> None:
    assert example(page("watch"), "vllm_server_watch") == NESTED["watch"]["default"]


def test_the_page_of_smoke_has_every_key() -> None:
    table = page("smoke").partition("## Keys")[2].partition("\n\nAn empty value")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert {key for row in rows for key in re.findall(r"`(\w+)`", row)} == set(NESTED["smoke"]["options"])


def test_what_the_host_takes_for_granted_is_what_the_specification_says() -> None:
    limits, smoke = NESTED["timeouts"]["default"], NESTED["smoke"]["default"]
    assert {key: deadlines.TIMEOUTS.get(key) for key in limits} == limits
    assert NESTED["watch"]["default"] == watch_policy.DEFAULTS
    asked = (expect.PROMPT, expect.DEADLINE, expect.AUTO, deadlines.SMOKE_DEADLINE)
    assert asked == (smoke["prompt"], smoke["deadline"], smoke["chat"], smoke["deadline"])


def test_what_has_no_default_stands_in_the_specification_with_none() -> None:
    for what, option in NESTED.items():
        assert set(option["default"]) <= set(option["options"]), what


def choices(key: str) -> tuple[str, ...]:
    return tuple(KEYS[key]["choices"])


def test_the_planner_knows_the_choices_of_the_specification() -> None:
    assert choices("goal") == instances.GOALS
    assert choices("on_failure") == rollout_settings.ON_FAILURE == tuple(SERVER["vllm_server_on_failure"]["choices"])


def written() -> list[tuple[str, str]]:
    """Every YAML of an inventory, a scenario or a page that has instances, with where it stands."""
    files = [
        path for room in ("inventories", "molecule", "lab", "playbooks") for path in (CHECKOUT / room).rglob("*.yml")
    ]
    found = [(str(path.relative_to(CHECKOUT)), path.read_text(encoding="utf-8")) for path in files]
    for path in (CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md")):
        found += [(str(path.relative_to(CHECKOUT)), block) for block in BLOCK.findall(path.read_text(encoding="utf-8"))]
    return [(where, text) for where, text in found if "vllm_server_" in text and where not in WRONG_ON_PURPOSE]


def listed(node: t.Any) -> t.Iterator[tuple[str, t.Any]]:
    """Every variable of the role in a document, at any depth."""
    if isinstance(node, dict):
        yield from ((str(key), value) for key, value in node.items() if str(key).startswith("vllm_server_"))
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from listed(inner)


def unknown(variable: str, value: t.Any) -> list[str]:
    """Keys that the specification does not have; what a template makes is not seen here."""
    given: list[tuple[str, t.Any, t.Container[str]]] = []
    for what, option in NESTED.items():
        if variable == f"vllm_server_{what}":
            given.append((variable, value, option["options"]))
    if variable == "vllm_server_instances" and isinstance(value, list):
        given += [("instance", one, KEYS) for one in value]
        given += [
            (what, one.get(what), NESTED[what]["options"]) for one in value if isinstance(one, dict) for what in NESTED
        ]
    return [f"{where}.{key}" for where, one, known in given if isinstance(one, dict) for key in one if key not in known]


def test_every_example_has_keys_of_the_specification() -> None:
    seen, wrong = 0, []
    for where, text in written():
        for document in yaml.load_all(text, Loader):
            for variable, value in listed(document):
                seen += variable == "vllm_server_instances"
                wrong += [f"{where}: {key}" for key in unknown(variable, value)]
    assert wrong == []
    assert seen > 10, "they are somewhere else by now"


@pytest.mark.parametrize(
    ("variable", "value", "found"),
    [
        ("vllm_server_instances", [{"name": "a", "metrics_port": 1}], ["instance.metrics_port"]),
        ("vllm_server_instances", [{"name": "a", "watch": {"looks": 3}}], ["watch.looks"]),
        ("vllm_server_watch", {"young": 1}, ["vllm_server_watch.young"]),
        ("vllm_server_instances", "{{ of_a_template }}", []),
    ],
)
def test_an_example_with_another_key_is_found(variable: str, value: t.Any, found: list[str]) -> None:
    assert unknown(variable, value) == found
