# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models that no hub has: what their releases say, and that no other release changes."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

COMMIT = "c" * 40
HUB = {"model": "acme/tuned"}
THERE: fleet.Json = {
    "acme/tuned": {"path": "/x", "revision": COMMIT, "config": None, "weights": None, "problems": [], "notes": []}
}
SOURCES = {"acme/tuned": "/srv/models/tuned"}


def settings(sources: fleet.Json) -> fleet.Json:
    return {"hub_dir": "/var/cache/gpufleet/hub", "model_sources": sources}


@pytest.mark.parametrize("source", ["/srv/models/tuned", "control_node:/srv/models/tuned", "https://x.example/m"])
def test_its_engine_asks_no_hub_and_starts_from_the_content_that_is_on_the_host(source: str) -> None:
    sources = {"acme/tuned": source}
    found = fleet.plan(instances=[fleet.instance(**HUB)], models=THERE, settings=settings(sources))
    assert found["release"]["env"]["HF_HUB_OFFLINE"] == "1"
    assert found["release"]["model"] == {"id": "acme/tuned", "path": None, "revision": COMMIT}
    assert "--revision" in found["release"]["command"] and COMMIT in found["release"]["command"]


@pytest.mark.parametrize("sources", [{}, {"acme/other": "/srv/models/other"}])
def test_a_model_of_a_hub_has_the_release_that_it_had(sources: fleet.Json) -> None:
    plain = fleet.plan(instances=[fleet.instance(**HUB)], models=THERE, settings={"hub_dir": "/var/cache/gpufleet/hub"})
    found = fleet.plan(instances=[fleet.instance(**HUB)], models=THERE, settings=settings(sources))
    assert found["digest"] == plain["digest"] and "HF_HUB_OFFLINE" not in found["release"]["env"]


def test_a_drafter_of_a_source_keeps_the_engine_from_hubs_too() -> None:
    speculative = {"model": "acme/tuned", "method": "eagle3", "num_speculative_tokens": 2}
    found = fleet.plan(
        instances=[fleet.instance(model="org/base", engine_args={"speculative_config": speculative})],
        settings=settings(SOURCES),
    )
    assert found["release"]["env"]["HF_HUB_OFFLINE"] == "1"


def test_what_an_instance_says_itself_comes_first() -> None:
    one = fleet.instance(**HUB, env={"HF_HUB_OFFLINE": "0"})
    assert fleet.plan(instances=[one], settings=settings(SOURCES))["release"]["env"]["HF_HUB_OFFLINE"] == "0"


def test_a_source_that_is_none_stops_the_plan() -> None:
    errors = fleet.outcome(settings=settings({"acme/tuned": "models"})).errors
    assert any(text.startswith("vllm_server_model_sources['acme/tuned'] is 'models'") for text in errors)


@pytest.mark.parametrize("model", ["acme/tuned", "/models/tuned"])
def test_where_no_hub_is_to_be_asked_no_engine_asks_one(model: str) -> None:
    one = [fleet.instance(model=model)]
    offline = {"hub_dir": "/var/cache/gpufleet/hub", "hub_offline": "true"}
    found = fleet.plan(instances=one, models=THERE, settings=offline)["release"]["env"]
    plain = fleet.plan(instances=one, models=THERE, settings=settings({}))["release"]["env"]
    assert found == {**plain, "HF_HUB_OFFLINE": "1"} and "HF_HUB_OFFLINE" not in plain
