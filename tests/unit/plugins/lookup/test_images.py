# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup of the images that a host's variables plan."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.gpufleet.vllm.plugins.lookup.images import LookupModule

OLD, NEW = "docker.io/vllm/vllm-openai:v0.32.0", "docker.io/vllm/vllm-openai:v0.33.0"
HOST = {"vllm_server_image": OLD, "vllm_server_version": "0.32.0"}
ONE, AHEAD = {"name": "core"}, {"name": "ahead", "version": "0.33.0"}


def images(**variables: t.Any) -> list[tuple[str, str]]:
    lookup = LookupModule(loader=DataLoader(), templar=Templar(DataLoader(), variables=variables))
    return [(one["image"], one["version"]) for one in lookup.run([], {**variables})]


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, []),
        (HOST, [(OLD, "0.32.0")]),
        ({**HOST, "vllm_server_instances": [ONE, AHEAD]}, [(OLD, "0.32.0"), (NEW, "0.33.0")]),
        ({**HOST, "vllm_server_instances": [AHEAD]}, [(NEW, "0.33.0")]),
        ({**HOST, "vllm_server_target_version": "0.33.0", "vllm_server_instances": [ONE]}, [(OLD, "0.33.0")]),
        (
            {
                **HOST,
                "vllm_server_target_version": "0.33.0",
                "vllm_server_target_instance": "core",
                "vllm_server_instances": [ONE, {"name": "other"}],
            },
            [(NEW, "0.33.0"), (OLD, "0.32.0")],
        ),
        ({**HOST, "vllm_server_instances": "{{ locked }}"}, [(OLD, "0.32.0")]),
    ],
    ids=["nothing", "host", "two", "all of their own", "target", "target of one", "cannot be read"],
)
def test_every_image_that_is_planned(variables: dict[str, t.Any], found: list[tuple[str, str]]) -> None:
    assert images(**variables) == found


def test_an_image_that_is_none_is_told() -> None:
    with pytest.raises(AnsibleError, match=r"vllm_server_version is 0\.33"):
        images(vllm_server_image=OLD, vllm_server_version=0.33)
