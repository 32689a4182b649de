# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action that writes an inventory for what runs already."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
import yaml

from ansible_collections.gpufleet.vllm.plugins.module_utils._adopt import pasted
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import adopted_inventory, schema_files
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._adopt.adopting import ROLE

TEXT = """
docker run --name one -p 127.0.0.1:1:8000 --shm-size 8g \\
  vllm/vllm-openai:v0.26.0 m --chat-template '{{ bos }}' --api-key k
docker run --name one -p 127.0.0.1:2:8000 --shm-size 4g vllm/vllm-openai:v0.7.0 m
"""


class Loader(yaml.SafeLoader):
    """Knows Ansible's mark."""


Loader.add_constructor("!unsafe", lambda loader, node: ("unsafe", loader.construct_scalar(t.cast("t.Any", node))))


def test_a_file_that_ansible_reads_as_it_is_meant() -> None:
    found = pasted.servers(TEXT)
    made = adopted_inventory.adopt(found, *schema_files.load(str(ROLE / "files" / "engine_args")))
    text = adopted_inventory.render(found, made)
    read = yaml.load(text, Loader)
    first, second = read["vllm_server_instances"]
    # Braces of the server's own words are no template, the place of its key is one.
    assert first["engine_args"]["chat_template"] == ("unsafe", "{{ bos }}")
    assert first["api_key"] == "{{ vault_vllm_api_key_one }}"
    assert (first["name"], second["name"]) == ("one", "one-2")
    # A release older than any known one is read as the oldest, and stays as it is: the plan says that it is unknown.
    assert second["version"] == "0.7.0"
    assert read["vllm_server_shm_size_mib"] == 8192
    assert "# vllm_server_shm_size_mib is 8192 for one and 4096 for another: a host has one." in text


def test_nothing_found_is_an_empty_list() -> None:
    assert yaml.safe_load(adopted_inventory.render([], [])) == {"vllm_server_instances": []}


@pytest.mark.parametrize("hostile", ["\x1b[31mred", "a\nvllm_server_image: evil", "# x"])
def test_what_a_host_says_stays_within_its_place(hostile: str) -> None:
    (served,) = pasted.servers("vllm serve m")
    told = {**served, "what": f"container {hostile}", "name": hostile, "words": ["m", "--x", hostile]}
    found = [t.cast("t.Any", told)]
    text = adopted_inventory.render(
        found, adopted_inventory.adopt(found, *schema_files.load(str(ROLE / "files" / "engine_args")))
    )
    assert "\x1b" not in text
    assert set(yaml.load(text, Loader)) == {"vllm_server_instances"}


def test_the_file_is_never_replaced(tmp_path: pathlib.Path) -> None:
    from ansible_collections.gpufleet.vllm.plugins.action import vllm_adopt  # noqa: PLC0415

    target = tmp_path / "new" / "g1.yml"
    assert vllm_adopt._write(str(target), "a") == ""
    assert "cannot be written (File exists)" in vllm_adopt._write(str(target), "b")
    assert target.read_text() == "a"


@pytest.mark.parametrize("there", ["g1.yml", "g1.yaml", "g1.json", "g1"])
def test_variables_that_the_host_has_already_are_not_hidden(tmp_path: pathlib.Path, there: str) -> None:
    from ansible_collections.gpufleet.vllm.plugins.action import vllm_adopt  # noqa: PLC0415

    assert vllm_adopt._there(str(tmp_path / "g1.yml")) == ""
    (tmp_path / there).touch()
    assert vllm_adopt._there(str(tmp_path / "g1.yml")) == str(tmp_path / there)


@pytest.mark.parametrize("option", ["--lora-modules", "--kv-transfer-config", "--kv-transfer-config.x"])
@pytest.mark.parametrize("name", ["api_key", "name", "{{ evil }}"])
def test_nothing_that_a_host_says_is_a_template(option: str, name: str) -> None:
    """Only the place of an instance's own key is: one of that name further down would run on the control node."""
    (served,) = pasted.servers("vllm serve m --api-key k")
    told = {**served, "words": [*served["words"], option, json.dumps({name: "{{ evil }}"})]}
    found = [t.cast("t.Any", told)]
    made = adopted_inventory.adopt(found, *schema_files.load(str(ROLE / "files" / "engine_args")))
    text = adopted_inventory.render(found, made)
    live = [line for line in text.splitlines() if "{{" in line and "!unsafe" not in line]
    assert live == ["    api_key: '{{ vault_vllm_api_key_m }}'"]
