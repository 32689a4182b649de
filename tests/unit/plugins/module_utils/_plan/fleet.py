# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with GPUs, an inventory with one instance, and a planner over both."""

from __future__ import annotations

import copy
import functools
import pathlib
import typing as t

import yaml

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.release import Release
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import planner
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.changes.plan import Plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import inputs
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.request import Client
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm import schema
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import schema_files

Json = dict[str, t.Any]
ROLE = pathlib.Path(__file__).resolve().parents[5] / "roles" / "vllm_server"
HISTORY, READINGS = schema_files.load(str(ROLE / "files" / "engine_args"))
PROFILES = yaml.safe_load((ROLE / "vars" / "main" / "profiles.yml").read_text())["__vllm_server_profiles"]


def gpu(index: int, **changes: t.Any) -> Json:
    found = {
        "index": index,
        "uuid": f"GPU-{index}",
        "name": "NVIDIA RTX A6000",
        "mig": {"mode": "disabled", "pending": "disabled", "devices": []},
        "problems": [],
    }
    return {**found, **changes}


def host_facts(gpus: int = 2) -> t.Any:
    return {
        "state": "healthy" if gpus else "no_gpu",
        "advice": "",
        "gpus": [gpu(index) for index in range(gpus)],
        "engine": {
            "name": "docker",
            "version": "26.1.5",
            "running": True,
            "cdi": True,
            "nvidia_runtime": False,
            "problem": "",
        },
        "systemd": True,
        "listening": [{"address": "0.0.0.0", "port": 22}],
        "images": {},
        "instances": [],
    }


def instance(**changes: t.Any) -> Json:
    return {"name": "assistant", "model": "/srv/models/tiny", "port": 8000, **changes}


def task(**changes: t.Any) -> Json:
    """Arguments of the task; a key given here takes the place of the default."""
    args = {
        "instances": [instance()],
        "image": f"vllm/vllm-openai:v{changes.get('version', '0.32.0')}",
        "version": "0.32.0",
        "host_class": "gpu_test",
        "facts": host_facts(),
        "profiles": {},
    }
    # Draining adds an argument to every release; its own tests ask for it.
    settings = {"timeouts": {"drain": 0}, **changes.pop("settings", {})}
    return copy.deepcopy({**args, **changes, "settings": settings})


def outcome(**changes: t.Any) -> planner.Outcome:
    errors: list[str] = []
    return planner.plan_host(inputs.read(task(**changes), HISTORY, READINGS, errors), errors)


def plan(**changes: t.Any) -> t.Any:
    """The only plan of a host that can be planned, to be taken apart."""
    found = outcome(**changes)
    assert found.errors == ()
    assert len(found.plans) == 1
    return found.plans[0]


def observed(found: t.Any, **changes: t.Any) -> Json:
    """The host after it has carried a plan out."""
    entry = {
        "digest": found["digest"],
        "release": found["release"],
        "client": {**found["client"], "max_model_len": 4096},
        "settings": found["settings"],
        "container_id": "c1",
        "image_id": "sha256:aa",
        "verified_at": "2026-11-20T10:00:00Z",
        "verified": {"max_model_len": 4096, "served_model_names": found["release"]["served_model_names"]},
        "start_seconds": 34.4,
    }
    observation: Json = {
        "name": found["instance"],
        "problem": None,
        "current": entry,
        "previous": None,
        "candidate": None,
        "rejected": [],
        "failed": None,
        "transaction": None,
        "container": {"id": "c1", "running": True, "digest": found["digest"], "image_id": "sha256:aa"},
        "healthy": True,
        "unhealthy_because": "",
    }
    return copy.deepcopy({**observation, **changes})


def release_of(found: Plan) -> Release:
    """Of what is not removed."""
    assert found["release"] is not None
    return found["release"]


def client_of(found: Plan) -> Client:
    """Of what is not removed."""
    assert found["client"] is not None
    return found["client"]


def memory_of(found: Plan) -> Json:
    """Of what takes GPUs, by releases whose arithmetic is known."""
    assert found["memory"] is not None
    return found["memory"]


@functools.cache
def schema_of(version: str) -> schema.Schema:
    return schema.resolve(version, HISTORY, READINGS)


def facts_with(*observations: Json, **changes: t.Any) -> Json:
    return {**host_facts(), "instances": list(observations), **changes}
