# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that hold a secret where none may stand: what is said of each, and never what it is.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from .._outside.concealing import NAME, Found, secrets

# What is an option of Docker's own may hold a password, as that of a proxy, and logins to registries are made of them:
# they go into files that root alone reads. The door's keys are for what they are; none is told.
MAY_HOLD: t.Final = ("container_runtime_daemon_options", "vllm_server_registries", "vllm_gateway_api_keys")
# Lists of what has an `api_key` of its own, and what one of them is called.
KEYED: t.Final = {"vllm_server_instances": "instance", "instances": "instance", "vllm_client_endpoints": "endpoint"}
# The planner says it of variables by their names, which it has from the vLLM release, and of what is known to be ours.
_PLANNERS = re.compile(r"(settings\.|defaults\.|^)env\.|engine_args\.(api[_-]key|hf[_-]token)$")

_IN_CLEAR = (
    "it would stand in clear in docker inspect and in files of the host. Leave it out: the key that clients show is "
    "the instance's api_key, a model behind a login is brought to the host before and stated as a path, and a proxy "
    "that asks for a password is reached by one on the host that knows it"
)
_REPOSITORY = (
    "it would stand in a file that everybody on the host reads. Leave it out, and put it into a file in "
    "/etc/apt/auth.conf.d with mode 0600 (man apt_auth.conf), or use a mirror that asks for none"
)
_OF_BUNDLES = (
    "it would stand in the folder of the bundle, and repositories that ask for a login are not taken: use a mirror "
    "that asks for none"
)
_OF_DOCKER = "Docker takes no such address with credentials: leave them out"
_OF_CLIENTS = (
    "it would stand in files that everybody on the client's host reads. Leave it out: the key that a server asks for "
    "is the endpoint's api_key"
)
_ADVICE: t.Final = (
    (("vllm_client_",), _OF_CLIENTS),
    (("container_runtime_registry_mirrors", "container_runtime_insecure_registries"), _OF_DOCKER),
    (("container_runtime_", "nvidia_driver_"), _REPOSITORY),
    (("vllm_bundle_archive",), _OF_BUNDLES),
    (("",), _IN_CLEAR),
)


def errors(name: str, value: t.Any) -> list[str]:
    """A sentence for each secret in the value of an option; an `api_key` is one, and is not looked at."""
    if name in MAY_HOLD:
        return []
    advice = next(text for prefixes, text in _ADVICE if name.startswith(prefixes))
    if name in KEYED and isinstance(value, (list, tuple)):
        placed = [
            (f"{KEYED[name]} {_name(one) or at + 1}: {found.where}", found)
            for at, one in enumerate(value)
            for found in secrets(_without_key(one))
        ]
    else:
        placed = [(found.where, found) for found in secrets(value, name)]
    return [
        f"{where} {found.what} (what it is now is not shown): {advice}."
        for where, found in placed
        if not _said_by_the_planner(found)
    ]


def _said_by_the_planner(found: Found) -> bool:
    return found.what == NAME and bool(_PLANNERS.search(found.where))


def _name(instance: t.Any) -> str:
    """The instance's name, where it is one that can be told."""
    name = instance.get("name") if isinstance(instance, dict) else None
    return name if isinstance(name, str) and not secrets(name) else ""


def _without_key(instance: t.Any) -> t.Any:
    return {key: part for key, part in instance.items() if key != "api_key"} if isinstance(instance, dict) else instance
