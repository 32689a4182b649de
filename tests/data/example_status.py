# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What vllm_status returns of hosts whose engines do well, queue, are away, or say half of themselves."""

from __future__ import annotations

import copy
import typing as t

from ansible_collections.gpufleet.vllm.plugins.plugin_utils.status_page.fleet import Host

Json = dict[str, t.Any]
DIGEST, OLDER = "0123456789abcdef" * 4, "fedcba9876543210" * 4
UUID = "GPU-24b0d8c5-0000-4000-8000-000000000001"
# 12 s of an engine that has served for long, and is busy with four requests.
WELL: Json = {
    "seconds": 12.0,
    "running": 4.0,
    "waiting": 0.0,
    "kv_cache": 0.5,
    "served": 9000.0,
    "requests": 30.0,
    "prompt_tokens": 15000.0,
    "generation_tokens": 6000.0,
    "prefix_queries": 15000.0,
    "prefix_hits": 9000.0,
    "preemptions": 0.0,
    "drafted": 8000.0,
    "accepted": 5200.0,
    "first_token": 0.2,
    "next_token": 0.02,
    "queue": 0.01,
    "block_size": 16.0,
    "prefix_caching": True,
}
# Four clients at an engine with one place.
QUEUES: Json = {**WELL, "running": 1.0, "waiting": 3.0, "kv_cache": 0.02, "first_token": 2.4, "queue": 2.2}
GPU: Json = {
    "index": 0,
    "uuid": UUID,
    "busy": 0.87,
    "power_w": 151.3,
    "temperature_c": 64.0,
    "used_mib": 10400.0,
    "total_mib": 12288.0,
}
SEATS = {"well": 8, "slow": 1, "away": 8, "silent": 8}


def instance(kind: str, name: str = "assistant", **arguments: t.Any) -> Json:
    """As `_host.status` shows it. KIND is well, slow, away, or silent for one whose metrics cannot be read."""
    release: Json = {
        "instance": name,
        "image": "docker.io/vllm/vllm-openai:v0.32.0",
        "version": "0.32.0",
        "model": {"id": "Qwen/Qwen2.5-7B-Instruct-AWQ", "path": None, "revision": None},
        "served_model_names": [name],
        "arguments": {"max_model_len": 16384, "max_num_batched_tokens": 2048, "max_num_seqs": SEATS[kind], **arguments},
        "bind": "127.0.0.1",
        "port": 8000,
        "gpus": {"mode": "cdi", "uuids": [UUID]},
    }
    away = kind == "away"
    failed = {
        "digest": OLDER,
        "failure_class": "oom",
        "cause": "CUDA out of memory: 2.1 GiB were asked for, 0.4 GiB were free",
        "advice": "Lower gpu_memory_utilization.",
        "at": "2026-11-19T08:00:00Z",
        "image_id": "",
    }
    return {
        "name": name,
        "current": {"digest": DIGEST, "release": release, "verified_at": "2026-11-17T06:00:00Z", "fallback_of": ""},
        "previous": {"digest": OLDER},
        "rejected": [failed] if away else [],
        "transaction": None,
        "resting": False,
        "healthy": not away,
        "unhealthy_because": "/health does not answer 200" if away else "",
        "watch": {
            "enabled": True,
            "paused_until": None,
            "stands_down": None,
            "last_look": "healthy at 2026-11-20T09:59:40Z",
            "restarts": [{"at": "2026-11-20T03:12:00Z", "by": "watch"}] if away else [],
            "rolled_back": None,
            "events": [{"at": "2026-11-20T03:12:00Z", "what": "it was wedged, and restarted"}] if away else [],
            "problem": None,
        },
    }


def status(kind: str, name: str = "assistant", **arguments: t.Any) -> Json:
    """What the module returns of a host with one instance."""
    window = {"well": WELL, "slow": QUEUES}.get(kind)
    busy = None if window is None else {key: window[key] for key in ("running", "waiting", "kv_cache", "first_token")}
    why = {} if window else {name: "it does not serve" if kind == "away" else "/metrics answered 404"}
    return copy.deepcopy(
        {
            "changed": False,
            "instances": [instance(kind, name, **arguments)],
            "load": {name: busy and {**busy, "preemptions": 0}},
            "window": {"engines": {name: window}, "unknown": why, "gpus": [GPU]},
        }
    )


def facts() -> Json:
    """What is read of ansible_facts."""
    gpu = {"uuid": UUID, "index": 0, "name": "NVIDIA GeForce RTX 3060", "problems": []}
    return {"gpufleet": {"state": "ready", "advice": "", "gpus": [gpu]}}


def fleet() -> dict[str, Host]:
    """Hosts of every kind, as `status_page.fleet.gather` takes them."""
    due: Json = {
        "plans": [{"instance": "assistant", "change": "restart", "reasons": ["max_num_seqs: 1 -> 4 (instance)"]}]
    }
    refused: Json = {"plans": [], "errors": ["assistant: max_num_seqs is 0, expected 1 or more."]}
    return {
        "gpu-1": Host(status("well"), facts(), due, {}),
        "gpu-2": Host(status("slow"), facts(), refused, {"max_num_seqs": 2}),
        "gpu-3": Host(status("away"), facts(), None, {}),
        "gpu-4": Host(status("silent"), facts(), None, {}),
        "gpu-5": Host({}, {}, None, None),
        "gpu-6": Host({"changed": False, "instances": []}, facts(), None, {}),
    }
