# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found becomes an instance of an inventory, with remarks on whatever has no place in one.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .._findings.findings import Findings
from .._outside.concealing import MASK
from .._plan.arguments import translate
from .._settings.names import listed
from .._vllm import path_arguments
from .._vllm.schema import VERSION, Schema
from . import arguments
from .served import Mount, Served

# Variables of the host's own layout, of its GPUs, or of what planning sets by itself.
NOT_TAKEN = re.compile(
    r"HOME|XDG_CACHE_HOME|CUDA_VISIBLE_DEVICES|CUDA_DEVICE_ORDER|HF_(HOME|HUB_CACHE|HUB_OFFLINE|HUB_ENABLE_HF_TRANSFER"
    r"|XET_HIGH_PERFORMANCE|TOKEN_PATH|ENDPOINT)|HUGGINGFACE_HUB_CACHE|TRANSFORMERS_\w+|VLLM_(VERSION|USAGE_SOURCE"
    r"|CACHE_ROOT|ASSETS_CACHE|CONFIG_ROOT|NO_USAGE_STATS|DO_NOT_TRACK|HOST_IP|PORT)|CUDA_(HOME|PATH|VERSION)"
)
TAG = re.compile(r":v?(\d+\.\d+\.\d+)(?:[-+.][\w.-]+)?(?:@.*)?$")
IN_ROOT = "/root"
EVERYWHERE = "0.0.0.0"
TLS = ("ssl_certfile", "ssl_keyfile", "ssl_ca_certs")
KEYS = ("host", "port", "api_key", "hf_token", "model", "served_model_name", "revision", "config", "uds", "headless")


@dataclasses.dataclass
class Adopted:
    """`instance` is an entry of vllm_server_instances, `variables` belong beside it."""

    instance: dict[str, t.Any]
    variables: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    remarks: list[str] = dataclasses.field(default_factory=list)


def adopted(served: Served, schema: Schema, taken: t.Container[str] = ()) -> Adopted:
    """An instance that serves the same. TAKEN are names that others of the host have."""
    words = arguments.read(served["words"], schema)
    given, remarks = dict(words.arguments), []
    own = {name: given.pop(name) for name in KEYS if name in given}
    model = str(words.model or own.get("model") or "")
    if not model:
        remarks.append("No model is named: vLLM's own default is served. Write the one that is meant.")
    paths = _Paths(served["mounts"], served["contained"], remarks)
    served_names = own.get("served_model_name") or [model]
    name = _name(served["name"] or str(served_names[0]).rpartition("/")[2], taken)
    found: dict[str, t.Any] = {"name": name, "model": paths.model(model)}
    found["served_model_name"] = served_names if len(served_names) > 1 else served_names[0]
    version = release_of(served)
    found |= {key: value for key, value in (("image", served["image"]), ("version", version)) if value}
    if own.get("revision"):
        found["revision"] = str(own["revision"])
    found |= _address(served, own, remarks)
    if served["gpus"]:
        found["gpus"] = [int(one) if one.isdecimal() else one for one in served["gpus"]]
    if "api_key" in own or "VLLM_API_KEY" in served["withheld"]:
        found["api_key"] = f"{{{{ vault_vllm_api_key_{name.replace('-', '_')} }}}}"
        remarks.append("Its API key was not read: put it into a vault under the name that api_key has here.")
    engine_args = _engine_args(given, schema, paths, remarks)
    if engine_args:
        found["engine_args"] = engine_args
    variables = {key: value for key, value in served["variables"].items() if not NOT_TAKEN.fullmatch(key)}
    if variables:
        found["env"] = path_arguments.replaced_variables(variables, paths.replaced)
    remarks += _told(served, version, schema.version, own, words)
    return Adopted(found, _host_variables(served, model, paths), remarks)


def release_of(served: Served) -> str:
    """The vLLM release, as the server or its image's tag says it; '' where neither does."""
    said = TAG.search(served["image"])
    return served["version"] if VERSION.fullmatch(served["version"]) else said[1] if said else ""


def _engine_args(given: t.Mapping[str, t.Any], schema: Schema, paths: _Paths, remarks: list[str]) -> dict[str, t.Any]:
    """In the release's own names, with the paths that the host has for them."""
    kept = {name: value for name, value in given.items() if name not in TLS}
    # What is warned of is which spelling was meant: the inventory gets the right one.
    findings = Findings(unknown="warn")
    layer = translate.translate("engine_args", kept, schema, findings)
    remarks += findings.errors
    return path_arguments.replaced(layer, paths.replaced)


def _address(served: Served, own: t.Mapping[str, t.Any], remarks: list[str]) -> dict[str, t.Any]:
    port, bind = served["port"], served["bind"]
    if port < 0:
        remarks.append("No port of it was published, so clients reach it in its Docker network only: choose a port.")
        return {"port": 8000}
    if not port:
        stated = own.get("port")
        port = stated if isinstance(stated, int) else 8000
        bind = str(own.get("host") or EVERYWHERE)
    if bind in (EVERYWHERE, "::") and not ("api_key" in own or "VLLM_API_KEY" in served["withheld"]):
        remarks.append(
            f"It answers everybody who reaches port {port}, with no key: state an api_key, or bind: 127.0.0.1."
        )
    return {"bind": bind, "port": port} if bind and bind not in ("127.0.0.1", "localhost") else {"port": port}


def _told(served: Served, version: str, release: str, own: t.Mapping[str, t.Any], words: arguments.Words) -> list[str]:
    """What an instance has no place for, or has to be told. RELEASE is the one whose arguments were looked at."""
    tokens = [one for one in served["withheld"] if "TOKEN" in one.upper()]
    others = [one for one in served["withheld"] if one not in (*tokens, "api_key", "VLLM_API_KEY")]
    known = bool(version)
    return [
        text
        for holds, text in (
            (
                not known,
                "Its vLLM release could not be told: write image and version, or leave it to those of the host.",
            ),
            (known and not served["image"], f"It runs without a container: choose an image that holds vLLM {version}."),
            (tokens, "It has a token of the hub: state vllm_server_hub_token from a vault where a model is gated."),
            (others, f"Secrets that were not read, and are not passed on: {listed(others)}."),
            (
                MASK in str({name: one for name, one in words.arguments.items() if name not in KEYS}),
                f"{MASK} stands for a secret that was not read: write a variable of a vault in its place.",
            ),
            (words.unknown, f"vLLM {release} has no {listed(sorted(set(words.unknown)))}."),
            (served["unread"], f"Options of Docker that have no place here: {listed(served['unread'])}."),
            ("config" in own, f"It reads {own.get('config')}: write what stands there under engine_args."),
            (
                any(name in words.arguments for name in TLS),
                "It speaks TLS itself: a door (vllm_gateway) does that for it.",
            ),
            ("uds" in own or "headless" in own, "It listens on no port of its own: an instance has one."),
        )
        if holds
    ]


def _host_variables(served: Served, model: str, paths: _Paths) -> dict[str, t.Any]:
    found: dict[str, t.Any] = {}
    if served["host_ipc"]:
        found["vllm_server_ipc"] = "host"
    elif served["shm_mib"] > 64:
        found["vllm_server_shm_size_mib"] = served["shm_mib"]
    hub = paths.hub(served["variables"])
    if hub.startswith("/") and not model.startswith("/"):
        found["vllm_server_hub_dir"] = hub
    return found


@dataclasses.dataclass
class _Paths:
    """Paths inside, as the host has them."""

    mounts: t.Sequence[Mount]
    contained: bool
    remarks: list[str]

    def outside(self, path: str) -> str:
        """The host's path; '' where the host has none."""
        if not self.contained:
            return path
        under = [
            one for one in self.mounts if path == one["inside"] or path.startswith(one["inside"].rstrip("/") + "/")
        ]
        if not under:
            return ""
        nearest = max(under, key=lambda one: len(one["inside"]))
        return nearest["host"].rstrip("/") + path[len(nearest["inside"].rstrip("/")) :]

    def model(self, model: str) -> str:
        return self.replaced("model", "model", model) if model.startswith("/") else model

    def replaced(self, place: str, _kind: str, path: str) -> str:
        found = self.outside(path)
        if found and not found.startswith("/"):
            self.remarks.append(f"{place} is {found} on the host: write its whole path.")
        if not found:
            self.remarks.append(f"{place} is {path} in its container, which is nowhere on the host: bring it there.")
        return found or path

    def hub(self, variables: t.Mapping[str, str]) -> str:
        """The folder of a hub's cache; '' where it is lost with the container."""
        for name, below in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "/hub")):
            if variables.get(name):
                return self.outside(variables[name].rstrip("/") + below)
        if not self.contained and "HOME" not in variables:
            return ""
        home = variables.get("XDG_CACHE_HOME") or f"{variables.get('HOME') or IN_ROOT}/.cache"
        return self.outside(f"{home.rstrip('/')}/huggingface/hub")


def _name(wanted: str, taken: t.Container[str]) -> str:
    """A name that an instance may have."""
    bare = re.sub(r"[^a-z0-9]+", "-", wanted.lower()).strip("-")[:50] or "vllm"
    names = [bare, *(f"{bare}-{number}" for number in range(2, 1000))]
    return next(name for name in names if name not in taken)
