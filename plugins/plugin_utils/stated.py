# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each role would find wrong with its variables later, as far as that can be said before a host is looked at.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._driver import driver_options
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import host_class as classes
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.class_description import CLASSES
from ansible_collections.gpufleet.vllm.plugins.module_utils._images import sources
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import stated as plan_stated
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import inputs
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime import settings as runtime
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import (
    data_files,
    fetch_requests,
    role_settings,
    schema_files,
)

SERVER = "vllm_server"
ROLE = role_settings.ROLES / SERVER
# By roles/vllm_server/tasks/plan.yml: arguments of the plan, and what stands among its settings.
ARGUMENTS = (
    *("instances", "promotion", "image", "version", "class_engine_args", "class_limits", "environment_engine_args"),
    *("unknown_arguments", "retry", "remove_unlisted", "apply_hardening", "active"),
)
SETTINGS = (
    *("hub_dir", "cache_dir", "shm_size_mib", "ipc", "timeouts", "smoke", "on_failure", "fallback_steps"),
    *("fallback_shorter", "ask_parser", "watch", "accept_advisories", "allow_trust_remote_code", "memory_check"),
    *("allow_dangerous", "capability_check", "quantization_check", "value_check", "model_sources", "hub_offline"),
)
# By roles/vllm_server/tasks/image_sources.yml.
SOURCES = {"registries": "registries", "mirrors": "image_mirrors", "archives": "image_archives"}


def errors(read: t.Mapping[str, Json], told: t.Sequence[str]) -> list[str]:
    """`read` is what each role read, by role; `told` is wrong with that already, and has its default there."""
    found = [text for role in read if role in CHECKS for text in CHECKS[role](Stated(role, read, told))]
    said = {text.split()[0] for text in told}
    return [text for text in dict.fromkeys(found) if text not in told and text.split()[0] not in said]


class Stated(t.NamedTuple):
    """The values of ROLE among those that are read together, and what is wrong with their types already."""

    role: str
    read: t.Mapping[str, Json]
    told: t.Sequence[str] = ()

    @property
    def own(self) -> Json:
        """By the names that tasks of the role know: `manage`."""
        return {name.removeprefix(f"{self.role}_"): value for name, value in self.read[self.role].items()}


def _server(stated: Stated) -> list[str]:
    own = stated.own
    found = _servers(own, stated.read.get("gpu_detect", {}))
    sources.read({name: own[variable] for name, variable in SOURCES.items()}, found)
    return found


def _class(stated: Stated) -> list[str]:
    if any(text.startswith(CLASSES) for text in stated.told):
        return []
    own = stated.own
    known = classes.combined(_brought(stated.role, "host_classes"), own["host_classes"])
    return classes.stated_wrong(own["host_class"], known)


def _driver(stated: Stated) -> list[str]:
    found: list[str] = []
    own = stated.own
    driver_options.read({**own, "fingerprint": own["key_fingerprint"]}, found)
    return found


def _servers(own: Json, detect: Json) -> list[str]:
    host_class = detect.get("gpu_detect_host_class") or "auto"
    target = {name: own[f"target_{name}"] for name in ("instance", "profile", "version")}
    profiles = {**_brought(SERVER, "profiles"), **own["profiles"]}
    if host_class == classes.AUTO:
        # The class brings variables of its own, once it is known; profiles may be among them.
        return plan_stated.target_problems(target["version"], "", ())
    given = {
        **{name: own[name] for name in ARGUMENTS},
        "host_class": host_class,
        "profiles": profiles,
        "settings": {**{name: own[name] for name in SETTINGS}, "fallback": _brought(SERVER, "fallback")},
        "target": target,
    }
    found = plan_stated.target_problems(target["version"], target["profile"], profiles)
    try:
        history, readings = schema_files.load(str(ROLE / "files" / "engine_args"), own["engine_args_dir"])
        documents = {
            "catalogue": data_files.read(str(ROLE / "files" / "models.json"), "catalogue"),
            "advisories": data_files.read(str(ROLE / "files" / "advisories.json"), "advisories"),
        }
    except (schema_files.BadSchemaError, data_files.BadDataError) as error:
        return [str(error)]
    return plan_stated.problems(inputs.read({**given, **documents}, history, readings, found), found)


@functools.cache
def _brought(role: str, name: str) -> t.Any:
    """A variable that a role brings."""
    found = role_settings.document(role_settings.ROLES / role / "vars" / "main" / f"{name}.yml")
    return found[f"__{role}_{name}"]


# What types allow and a role does not. Each returns sentences that begin with the variable.
CHECKS: dict[str, t.Callable[[Stated], list[str]]] = {
    SERVER: _server,
    "gpu_detect": _class,
    "container_runtime": lambda stated: runtime.mistakes(stated.own, gpus=False),
    fetch_requests.ROLE: lambda stated: fetch_requests.stated_wrong(stated.own),
    "nvidia_driver": _driver,
}
