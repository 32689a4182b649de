# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reaches a server and what the server reaches is said."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

MODEL = "/srv/models/tiny"
DOMAINS = "Nobody set allowed_media_domains"


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "192.0.2.7"])
def test_an_address_that_others_reach_without_a_key(bind: str) -> None:
    found = fleet.outcome(instances=[fleet.instance(bind=bind)])
    (warning,) = [text for text in found.warnings if "bind is" in text]
    assert f"instance assistant: bind is {bind}, and nobody is asked for an API key" in warning
    assert "ports that Docker publishes pass by the INPUT rules of ufw and firewalld" in warning
    assert "Bind it to 127.0.0.1 and put a gateway in front, or give it an api_key." in warning


def test_an_address_that_others_reach_with_a_key() -> None:
    one = fleet.instance(bind="0.0.0.0", api_key="a-key-of-sixteen-or-more")
    found = fleet.outcome(instances=[one], fingerprints={"assistant": "f" * 64})
    (warning,) = [text for text in found.warnings if "bind is" in text]
    assert "/invocations generates without one; ports that Docker publishes pass by" in warning
    assert "or give it an api_key" not in warning


@pytest.mark.parametrize("bind", ["127.0.0.1", "::1", ""])
def test_nothing_is_said_of_the_loopback(bind: str) -> None:
    assert not [text for text in fleet.outcome(instances=[fleet.instance(bind=bind)]).warnings if "bind" in text]


def test_shared_memory_that_others_read_is_said() -> None:
    said = {ipc: fleet.outcome(settings={"ipc": ipc} if ipc else {}).warnings for ipc in ("", "private", "host")}
    words = "instance assistant: ipc is host: its container reads and writes the shared memory of every other server"
    assert {ipc for ipc, warnings in said.items() if any(words in text for text in warnings)} == {"host"}


@pytest.mark.parametrize(
    ("config", "engine_args", "version", "said"),
    [
        ({"vision_config": {"depth": 2}}, {}, "0.32.0", True),
        ({"audio_config": {"d": 2}}, {}, "0.32.0", True),
        ({"vision_config": {"depth": 2}}, {"allowed_media_domains": ["a.org"]}, "0.32.0", False),
        ({"vision_config": {"depth": 2}}, {"language_model_only": True}, "0.32.0", False),
        ({"vision_config": {"depth": 2}}, {"limit_mm_per_prompt": {"image": 0, "video": 0}}, "0.32.0", False),
        ({"vision_config": {"depth": 2}}, {"limit_mm_per_prompt": {"image": 0, "video": 1}}, "0.32.0", True),
        ({"vision_config": {"depth": 2}}, {}, "0.10.2", False),
        ({"hidden_size": 8}, {}, "0.32.0", False),
    ],
)
def test_a_model_that_takes_media_fetches_them(config: t.Any, engine_args: t.Any, version: str, said: bool) -> None:
    models = {MODEL: {"config": config, "problems": [], "notes": []}}
    found = fleet.outcome(instances=[fleet.instance(engine_args=engine_args)], models=models, version=version)
    notes = next(iter([*found.plans, *found.drafts]))["notes"]
    assert any(DOMAINS in note for note in notes) is said


@pytest.mark.parametrize(
    ("engine_args", "version", "said"),
    [
        ({}, "0.10.0", True),
        ({"disable_log_requests": False}, "0.9.2", True),
        ({"disable_log_requests": True}, "0.10.0", False),
        ({}, "0.10.1", False),
        ({}, "0.33.0", False),
    ],
)
def test_an_old_release_writes_prompts_to_its_log(engine_args: t.Any, version: str, said: bool) -> None:
    found = fleet.outcome(instances=[fleet.instance(engine_args=engine_args)], version=version)
    notes = next(iter([*found.plans, *found.drafts]))["notes"]
    assert any("writes every request to its log" in note for note in notes) is said
