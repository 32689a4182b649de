# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release: a plan made concrete, as one document that its digest and its container's labels are made of.

Hosts keep it for as long as it can be rolled back to, so one of an older program may lack what is new since: whoever
reads what was not always there asks for it with `get`.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t


class Model(t.TypedDict, total=False):
    """`path` is None for a model of the hub, `revision` where nobody knows it. `asked` is the branch or tag that is
    stated, where `revision` is the commit that it stood for."""

    id: str
    path: str | None
    revision: str | None
    asked: str


class Gpus(t.TypedDict, total=False):
    """`mode` says how the container gets them: cdi, runtime, or none."""

    mode: str
    uuids: list[str]


class Container(t.TypedDict, total=False):
    """`schema` is that of `_docker.hardening`; without it the first one."""

    schema: int
    name: str
    user: str
    memory_limit_mib: int
    shm_size_mib: int
    ipc: str
    volumes: list[str]
    container_port: int


class ApiKey(t.TypedDict):
    """Of keys there is only what tells one from another, and where the container finds them."""

    fingerprint: str
    path: str


class Release(t.TypedDict, total=False):
    """`arguments` are those that are set, by vLLM's own names."""

    schema: int
    instance: str
    image: str
    version: str
    model: Model
    served_model_names: list[str]
    arguments: dict[str, t.Any]
    command: list[str]
    env: dict[str, str]
    bind: str
    port: int
    gpus: Gpus
    container: Container
    api_key: ApiKey
    files: dict[str, str]
