# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""API keys in a plan: whether an instance has one and whether its release can keep it, never the key itself.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from ..._vllm.gates import KEYS_OUT_OF_THE_LOG
from ..._vllm.schema import Schema, version_key

GIVEN, EMPTY, WRONG = "given", "empty", "wrong"
# What an Authorization header can carry; a hyphen at the front would be taken for an option.
KEY = re.compile(r"[A-Za-z0-9._~+/][A-Za-z0-9._~+/-]*=*")
SHORTEST = 16
# Where the engine finds its keys: a file of its own, read by `--config`.
INSIDE = "/run/gpufleet/api-key.yaml"
RUST_FRONTEND = "VLLM_USE_RUST_FRONTEND"


def keys_of(value: t.Any) -> list[str]:
    """An `api_key` of the inventory as a list; empty where it is none that can be used."""
    keys = [_text(key) for key in (value if isinstance(value, (list, tuple)) else [value])]
    return keys if all(len(key) >= SHORTEST and KEY.fullmatch(key) for key in keys) else []


def _text(key: t.Any) -> str:
    """A plain text, without what Ansible knows of where it comes from."""
    return str.__str__(key) if isinstance(key, str) else ""


def withheld(instances: t.Any) -> t.Any:
    """The instances with a word in the place of each `api_key`: nothing that is planned or told has the key."""
    if not isinstance(instances, (list, tuple)):
        return instances
    return [
        {**one, "api_key": _word(one["api_key"])} if isinstance(one, dict) and "api_key" in one else one
        for one in instances
    ]


def stated(instances: t.Any) -> dict[str, list[str]]:
    """The usable keys by instance; what is wrong is told by the planner."""
    listed = instances if isinstance(instances, (list, tuple)) else []
    found = {str(one["name"]): keys_of(one.get("api_key")) for one in listed if isinstance(one, dict) and "name" in one}
    return {name: keys for name, keys in found.items() if keys}


def _word(value: t.Any) -> str | None:
    if value is None:
        return None
    if value in ("", []):
        return EMPTY
    return GIVEN if keys_of(value) else WRONG


def problems(values: t.Mapping[str, t.Any], env: t.Mapping[str, str], schema: Schema) -> list[str]:
    """Why a release with these arguments and variables would not keep a key to itself."""
    found = []
    if not KEYS_OUT_OF_THE_LOG.open_at(version_key(schema.version)):
        found.append(
            f"vLLM {schema.version} writes its API keys to its log, until {KEYS_OUT_OF_THE_LOG.release}: use a newer "
            "image, or leave api_key out and ask for a key in front of the server."
        )
    if env.get(RUST_FRONTEND, "0") not in ("", "0"):
        found.append(
            f"env.{RUST_FRONTEND} starts a process that has the API keys on its command line: leave it out, or api_key."
        )
    if values.get("grpc"):
        found.append("grpc writes its arguments to the log, the API keys among them: leave it out, or api_key.")
    return found
