# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reaches a server, and what the server reaches.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import ipaddress
import typing as t

from ..._vllm.schema import Schema
from ..memory.catalogue import Model

Values = t.Mapping[str, t.Any]
DOMAINS = "allowed_media_domains"
# Until 0.10.0 requests are logged unless somebody turns that off.
QUIET, LOUD = "disable_log_requests", "enable_log_requests"
MEDIA = ("vision_config", "audio_config", "thinker_config")
# Docker rewrites the address of a packet before INPUT, so that the packet is forwarded and never meets that chain.
FIREWALL = "ports that Docker publishes pass by the INPUT rules of ufw and firewalld"


def cautions(bind: str, api_key: bool) -> list[str]:
    """An address that others reach, and what answers them there."""
    if ipaddress.ip_address(bind).is_loopback:
        return []
    if api_key:
        guarded = (
            "vLLM asks for the API key below /v1, /v2, /inference and /cohere only: /invocations generates without one"
        )
    else:
        guarded = "nobody is asked for an API key: whoever reaches the host has every path of the server"
    return [
        f"bind is {bind}, and {guarded}; {FIREWALL}. Bind it to 127.0.0.1 and put a gateway in front"
        + ("." if api_key else ", or give it an api_key.")
    ]


def shared(ipc: str) -> str:
    """What a container shares with the host where its `ipc` is `host`: Docker mounts the host's /dev/shm into it."""
    if ipc != "host":
        return ""
    return (
        "ipc is host: its container reads and writes the shared memory of every other server and process on the host, "
        "prompts among them. Use private, with the shm_size_mib that it needs."
    )


def notes(values: Values, model: Model, schema: Schema) -> list[str]:
    """A model that takes media takes their addresses, too; old releases write down what clients say."""
    return [*_media(values, model, schema), *_logged(values, schema)]


def _logged(values: Values, schema: Schema) -> list[str]:
    if QUIET not in schema.arguments or LOUD in schema.arguments or values.get(QUIET) is True:
        return []
    return [f"vLLM {schema.version} writes every request to its log, prompts with it, unless {QUIET} is true."]


def _media(values: Values, model: Model, schema: Schema) -> list[str]:
    if DOMAINS not in schema.arguments or values.get(DOMAINS) or not _takes_media(values, model):
        return []
    text = f"Nobody set {DOMAINS}: a request may have the server fetch from any address that it reaches"
    return [f"{text}, those of your own network included."]


def _takes_media(values: Values, model: Model) -> bool:
    limits = values.get("limit_mm_per_prompt")
    none_at_all = isinstance(limits, dict) and bool(limits) and all(limit == 0 for limit in limits.values())
    if values.get("language_model_only") is True or none_at_all:
        return False
    return any((model.config or {}).get(key) for key in MEDIA)
