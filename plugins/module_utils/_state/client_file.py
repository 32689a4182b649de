# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client of an instance needs to know: address, names, verified length, sampling. JSON and shell form.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import os
import shlex
import typing as t

from .durable import read_text, write_together
from .request import Client
from .state import Entry

# What stands behind VLLM_CLIENT_ in variables that are no values of sampling. The role vllm_client adds the files.
OWN_VARIABLES = frozenset({"MODEL", "MAX_MODEL_LEN", "API_KEY_REQUIRED", "FILE", "API_KEY_FILE"})
CLIENT_DIR = "/etc/gpufleet"


def document(entry: Entry) -> Client:
    """The client document of a verified release: the planned one with the length that the engine stated (tokens)."""
    return {**entry.client, "max_model_len": entry.verified.get("max_model_len") or entry.client.get("max_model_len")}


def environment(client: Client) -> str:
    """The same as lines for `EnvironmentFile=` or a shell's `source`: one VLLM_CLIENT_ variable a value."""
    values: dict[str, t.Any] = {
        "OPENAI_BASE_URL": client["base_url"],
        "VLLM_CLIENT_MODEL": client["served_model_names"][0],
        "VLLM_CLIENT_MAX_MODEL_LEN": client["max_model_len"],
    }
    if client.get("api_key_required"):
        values["VLLM_CLIENT_API_KEY_REQUIRED"] = True
    for name, value in sorted(client["sampling"].items()):
        if name.upper() not in OWN_VARIABLES:  # a release of before these were refused
            values[f"VLLM_CLIENT_{name.upper()}"] = value
    return "".join(f"{name}={_quoted(value)}\n" for name, value in values.items() if value is not None)


def _quoted(value: t.Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))
    return shlex.quote(text)


def differing(entry: Entry, client_dir: str = CLIENT_DIR) -> dict[str, str]:
    """The text that each file should have, by its path; only of files that have another one, or are missing."""
    client = document(entry)
    texts = {
        "client.json": json.dumps(client, indent=2, sort_keys=True) + "\n",
        "client.env": environment(client),
    }
    paths = {os.path.join(client_dir, entry.release["instance"], name): text for name, text in texts.items()}
    return {path: text for path, text in paths.items() if read_text(path) != text}


def write(entry: Entry, client_dir: str = CLIENT_DIR) -> bool:
    """Write both files where they differ, none where there is no room for both; whether anything was written."""
    texts = differing(entry, client_dir)
    write_together(texts, mode=0o644)
    return bool(texts)


def remove(instance: str, client_dir: str = CLIENT_DIR) -> None:
    folder = os.path.join(client_dir, instance)
    for name in ("client.json", "client.env"):
        if os.path.exists(os.path.join(folder, name)):
            os.remove(os.path.join(folder, name))
    if os.path.isdir(folder) and not os.listdir(folder):
        os.rmdir(folder)
