# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of inventories/production, planned by the real planner: what vllm_plan returns for each of them.

Only what a host would say about itself is written down here: its GPUs, its models' files, and what runs already.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import pathlib
import typing as t

import yaml

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import overview, planner
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import inputs
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import schema_files
from ansible_collections.gpufleet.vllm.tests.data.model_configs import CONFIGS

Json = dict[str, t.Any]
CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
ROLE = CHECKOUT / "roles" / "vllm_server"
GIB = 1024**3
VERSION = "0.32.0"
# MiB that the driver keeps, by class; one that is not here keeps 500.
RESERVED_MIB = {"gpu_12gb": 400, "gpu_16gb": 450, "gpu_96gb": 470, "gpu_4x48gb": 613}
# config.json as of another model of the same build, and the size of the weight files in GiB.
MODELS: dict[str, tuple[str, float]] = {
    "Qwen/Qwen2.5-7B-Instruct-AWQ": ("Qwen/Qwen2.5-7B-Instruct-AWQ", 5.2),
    "Qwen/Qwen2.5-14B-Instruct-AWQ": ("Qwen/Qwen2.5-14B-Instruct-AWQ", 9.3),
    "Qwen/Qwen2.5-Coder-14B-Instruct-AWQ": ("Qwen/Qwen2.5-14B-Instruct-AWQ", 9.3),
    "Qwen/Qwen2.5-32B-Instruct": ("Qwen/Qwen2.5-32B-Instruct", 61.0),
    "Qwen/Qwen3-VL-2B-Thinking": ("Qwen/Qwen3-VL-2B-Instruct", 3.96),
    "openai/gpt-oss-20b": ("openai/gpt-oss-20b", 12.8),
    "openai/gpt-oss-120b": ("openai/gpt-oss-120b", 60.77),
}


def _yaml(path: pathlib.Path) -> Json:
    found: Json = yaml.safe_load(path.read_text())
    return found


HOST_CLASSES: dict[str, Json] = _yaml(CHECKOUT / "roles/gpu_detect/vars/main/host_classes.yml")[
    "__gpu_detect_host_classes"
]


@functools.cache
def _profiles() -> Json:
    found: Json = _yaml(ROLE / "vars" / "main" / "profiles.yml")["__vllm_server_profiles"]
    return found


@functools.cache
def _schemas() -> tuple[Json, t.Mapping[str, Json]]:
    return schema_files.load(str(ROLE / "files" / "engine_args"))


def gpu(host: str, index: int, host_class: str, card_name: str = "") -> Json:
    """A card of the class, the first one if none is named."""
    cards: Json = HOST_CLASSES[host_class]["cards"]
    name = card_name or next(iter(cards))
    card = cards[name]
    total, reserved = card["memory_mib"], RESERVED_MIB.get(host_class, 500)
    return {
        "uuid": f"GPU-{hash_text(host)}-0000-4000-8000-{index:012x}",
        "index": index,
        "name": name,
        "pci_id": f"0000:{index + 1}1:00.0",
        "compute_capability": card["compute_capability"],
        "memory_mib": {
            "total": total,
            "reserved": reserved,
            "used": 4,
            "free": total - reserved - 4,
            "source": "nvml",
        },
        "mig": {"mode": "disabled", "pending": "disabled", "devices": []},
        "processes": [],
        "problems": [],
    }


def hash_text(text: str) -> str:
    """Eight hexadecimal digits, the same in every run."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def facts(host: str, host_class: str, card_name: str = "") -> Json:
    count = HOST_CLASSES[host_class].get("count", 0)
    return {
        "state": "healthy" if count else "no_gpu",
        "advice": "",
        "driver": {"version": "580.95.05", "cuda_version": "13.0"} if count else {},
        "gpus": [gpu(host, index, host_class, card_name) for index in range(count)],
        "engine": {
            "name": "docker",
            "version": "26.1.5",
            "running": True,
            "cdi": True,
            "nvidia_runtime": False,
            "problem": "",
        },
        "memory_mib": {"total": 131072, "available": 120000},
        "systemd": True,
        "listening": [],
        "images": {},
        "instances": [],
    }


def class_vars(host_class: str) -> Json:
    path = CHECKOUT / "inventories" / "host_classes" / f"{host_class}.yml"
    return _yaml(path) if path.exists() else {}


def instances(host_class: str) -> list[Json]:
    """What inventories/production lists for hosts of this class."""
    path = CHECKOUT / "inventories" / "production" / "group_vars" / host_class / "instances.yml"
    found: list[Json] = copy.deepcopy(_yaml(path)["vllm_server_instances"])
    return found


def task(host: str, host_class: str, listed: t.Sequence[Json], **changes: t.Any) -> Json:
    """The arguments of vllm_plan."""
    given = class_vars(host_class)
    models: Json = {
        model: {
            "path": f"/var/cache/gpufleet/hub/{model}",
            "revision": None,
            "config": CONFIGS[like],
            "weights": {"files": 4, "bytes": int(gib * GIB), "parameters": None, "dtypes": {}},
            "problems": [],
        }
        for model, (like, gib) in MODELS.items()
    }
    return {
        "instances": list(listed),
        "image": f"docker.io/vllm/vllm-openai:v{VERSION}",
        "version": VERSION,
        "host_class": host_class,
        "class_engine_args": given.get("vllm_server_class_engine_args", {}),
        "class_limits": given.get("vllm_server_class_limits", {}),
        "environment_engine_args": {"enable_log_requests": False, "disable_uvicorn_access_log": True},
        "profiles": _profiles(),
        "facts": facts(host, host_class),
        "models": models,
        "settings": {"hub_dir": "/var/cache/gpufleet/hub", "cache_dir": "/var/cache/gpufleet/vllm"},
        **changes,
    }


def result(host: str, host_class: str, listed: t.Sequence[Json] | None = None, **changes: t.Any) -> Json:
    """What vllm_plan returns for HOST with only_plan."""
    args = task(host, host_class, instances(host_class) if listed is None else listed, **changes)
    errors: list[str] = []
    read = inputs.read(args, *_schemas(), errors)
    found = planner.plan_host(read, errors)
    return {
        "host": overview.host(read),
        "plans": list(found.plans),
        "drafts": list(found.drafts),
        "errors": list(found.errors),
        "warnings": list(found.warnings),
    }


def running(plan: Json, seconds: float | None = 74.2, **changes: t.Any) -> Json:
    """The host's own account of an instance that has carried PLAN out."""
    entry = {
        "digest": plan["digest"],
        "release": plan["release"],
        "client": plan["client"],
        "settings": plan["settings"],
        "container_id": "c1",
        "image_id": "sha256:aa",
        "verified_at": "2026-11-20T10:00:00Z",
        "verified": {"max_model_len": 4096, "served_model_names": plan["release"]["served_model_names"]},
        "start_seconds": seconds,
    }
    return {
        "name": plan["instance"],
        "problem": None,
        "rebuilt": None,
        "current": entry,
        "previous": None,
        "candidate": None,
        "rejected": [],
        "failed": None,
        "transaction": None,
        "container": {"id": "c1", "running": True, "digest": plan["digest"], "image_id": "sha256:aa"},
        "healthy": True,
        "unhealthy_because": "",
        **changes,
    }


def served(host: str, host_class: str, before: t.Sequence[Json], after: t.Sequence[Json] | None = None) -> Json:
    """HOST, which runs BEFORE, and AFTER is planned for it; without AFTER nothing changes."""
    runs = [running(plan) for plan in result(host, host_class, before)["plans"] if plan["active"]]
    seen = {**facts(host, host_class), "instances": runs}
    return result(host, host_class, before if after is None else after, facts=seen)


def fleet() -> Json:
    """One host of each class and of each state, by name."""
    longer = [{**one, "engine_args": {**one["engine_args"], "max_model_len": 16384}} for one in instances("gpu_12gb")]
    warmer = [{**one, "sampling": {"temperature": 0.2}} for one in instances("gpu_96gb")]
    hopeless = [{"name": "writer", "model": "Qwen/Qwen2.5-32B-Instruct", "port": 8000}]
    typo = [{**one, "engine_args": {"max_model_length": 4096}} for one in instances("gpu_12gb")]
    # Refused, were it not for its switch.
    batch = {"max_model_len": 1024, "max_num_seqs": 128, "max_num_batched_tokens": 100}
    tiny = [{"name": "demo", "model": "/models/tiny-64", "port": 8000, "engine_args": batch, "value_check": "warn"}]
    two = [
        {"name": name, "model": "Qwen/Qwen2.5-7B-Instruct-AWQ", "port": port, "engine_args": arguments}
        for name, port, arguments in (
            ("chat", 8000, {"gpu_memory_utilization": 0.5, "max_model_len": 8192, "max_num_seqs": 8}),
            ("tools", 8001, {"gpu_memory_utilization": 0.4, "max_model_len": 4096, "max_num_seqs": 4}),
        )
    ]
    return {
        "gpu-12gb-1.example.com": served("gpu-12gb-1", "gpu_12gb", instances("gpu_12gb"), longer),
        "gpu-12gb-2.example.com": served("gpu-12gb-2", "gpu_12gb", instances("gpu_12gb")),
        "gpu-12gb-3.example.com": result("gpu-12gb-3", "gpu_12gb", typo),
        "gpu-16gb-1.example.com": result("gpu-16gb-1", "gpu_16gb"),
        "gpu-16gb-2.example.com": result("gpu-16gb-2", "gpu_16gb", two),
        "gpu-16gb-3.example.com": result("gpu-16gb-3", "gpu_16gb", hopeless),
        "gpu-4x48gb-1.example.com": result("gpu-4x48gb-1", "gpu_4x48gb"),
        "gpu-96gb-1.example.com": served("gpu-96gb-1", "gpu_96gb", instances("gpu_96gb"), warmer),
        "cpu-1.example.com": result("cpu-1", "cpu", tiny),
        "gpu-12gb-4.example.com": {"unreachable": True, "msg": "Failed to connect to the host via ssh: timed out"},
    }
