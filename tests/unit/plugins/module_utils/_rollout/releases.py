# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases that the tests roll out: documents as the planner makes them, which a test may take apart."""

from __future__ import annotations

import hashlib
import json
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import Entry

Json = dict[str, t.Any]
NAME = "assistant"
IMAGE = "vllm/vllm-openai:v0.32.0"
IMAGE_ID = "sha256:" + "1" * 64
PORT = 8000
START = 1_700_000_000


def release(max_model_len: int = 1024, **changes: t.Any) -> t.Any:
    """A release document; another length makes another release."""
    arguments = {"max_model_len": max_model_len}
    return {
        "schema": 1,
        "instance": NAME,
        "image": IMAGE,
        "version": "0.32.0",
        "model": {"id": "acme/tiny", "path": None, "revision": None},
        "served_model_names": [NAME],
        "arguments": arguments,
        "command": ["acme/tiny", "--max-model-len", str(max_model_len)],
        "env": {"B": "2", "A": "1"},
        "bind": "127.0.0.1",
        "port": PORT,
        "gpus": {"mode": "none", "uuids": []},
        "container": {
            "name": f"vllm-{NAME}",
            "shm_size_mib": 2048,
            "ipc": "private",
            "volumes": ["/srv/hub:/root/.cache/huggingface:ro"],
            "container_port": 8000,
        },
        **changes,
    }


def digest_of(document: Json) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def client(**changes: t.Any) -> t.Any:
    base: Json = {
        "schema": 1,
        "instance": NAME,
        "base_url": f"http://127.0.0.1:{PORT}/v1",
        "served_model_names": [NAME],
    }
    return {**base, "max_model_len": None, "sampling": {}, **changes}


def plan(
    max_model_len: int = 1024, *, settings: Json | None = None, sampling: Json | None = None, **changes: t.Any
) -> t.Any:
    document = release(max_model_len, **changes)
    return {
        "digest": digest_of(document),
        "release": document,
        "client": client(sampling=sampling or {}),
        "settings": settings if settings is not None else {"smoke": {}, "timeouts": {}},
    }


def step(max_model_len: int, *helps: str, **changes: t.Any) -> t.Any:
    """A step of its fallback, as the planner makes it."""
    document = release(max_model_len, **changes)
    return {
        "helps": list(helps),
        "changes": f"max_model_len -> {max_model_len}",
        "digest": digest_of(document),
        "release": document,
        "client": client(),
    }


def entry(max_model_len: int = 1024, **changes: t.Any) -> Entry:
    """The entry of a release that was not tried yet."""
    planned = plan(max_model_len)
    return Entry(**{**planned, **changes})
