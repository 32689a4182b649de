# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of Docker that the role's variables ask for, in the words of daemon.json.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

Json = dict[str, t.Any]

# Settings that have a variable of their own; container_runtime_daemon_options may not say them as well.
VARIABLES = {
    "live-restore": "container_runtime_live_restore",
    "log-driver": "container_runtime_log_max_size",
    "log-opts": "container_runtime_log_max_size",
    "default-ulimits": "container_runtime_nofile",
    "data-root": "container_runtime_data_root",
    "insecure-registries": "container_runtime_insecure_registries",
    "registry-mirrors": "container_runtime_registry_mirrors",
    "exec-opts": "container_runtime_cgroup_driver",
}


def wanted(asked: Json, gpus: bool) -> Json:
    """daemon.json as far as it is ours."""
    settings: Json = {}
    if asked["live_restore"]:
        settings["live-restore"] = True
    if asked["log_max_size"]:
        options = {"max-size": asked["log_max_size"], "max-file": str(asked["log_max_files"])}
        settings.update({"log-driver": "json-file", "log-opts": options})
    if asked["nofile"]:
        limit = {"Name": "nofile", "Hard": asked["nofile"], "Soft": asked["nofile"]}
        settings["default-ulimits"] = {"nofile": limit}
    if asked["data_root"]:
        settings["data-root"] = asked["data_root"]
    if asked["insecure_registries"]:
        settings["insecure-registries"] = list(asked["insecure_registries"])
    if asked["registry_mirrors"]:
        settings["registry-mirrors"] = list(asked["registry_mirrors"])
    if asked["cgroup_driver"]:
        settings["exec-opts"] = [f"native.cgroupdriver={asked['cgroup_driver']}"]
    options = dict(asked["daemon_options"])
    if gpus:
        # On by default from 28.2 on, and harmless there.
        settings["features"] = {**options.pop("features", {}), "cdi": True}
    return {**settings, **options}


def mistakes(asked: Json, gpus: bool) -> list[str]:
    """What is wrong with the variables, a sentence each."""
    wrong = [
        f"container_runtime_daemon_options has {key}, which {variable} sets: remove it from one of the two."
        for key, variable in VARIABLES.items()
        if key in asked["daemon_options"] and _is_set(asked, variable)
    ]
    size, files = str(asked["log_max_size"]), asked["log_max_files"]
    if size and not re.fullmatch(r"\d+[kmg]", size):
        wrong.append(f"container_runtime_log_max_size is {size!r}, expected a number with k, m or g: correct it.")
    if size and files < 1:
        wrong.append(f"container_runtime_log_max_files is {files}, expected at least 1: correct it.")
    if asked["nofile"] < 0:
        wrong.append(f"container_runtime_nofile is {asked['nofile']}, expected 0 or more: correct it.")
    if asked["data_root"] and not str(asked["data_root"]).startswith("/"):
        wrong.append(f"container_runtime_data_root is {asked['data_root']!r}, expected an absolute path: correct it.")
    wrong += [
        f"container_runtime_registry_mirrors has {mirror!r}, expected http:// or https:// in front: correct it."
        for mirror in asked["registry_mirrors"]
        if not str(mirror).startswith(("http://", "https://"))
    ]
    wrong += [
        f"container_runtime_insecure_registries has {registry!r}, expected host or host:port: correct it."
        for registry in asked["insecure_registries"]
        if not registry or "://" in str(registry)
    ]
    features = asked["daemon_options"].get("features", {})
    if not isinstance(features, dict):
        wrong.append("container_runtime_daemon_options has features, expected a mapping: correct it.")
    elif gpus and features.get("cdi", True) is not True:
        wrong.append("container_runtime_daemon_options switches features.cdi off, which the GPUs need: remove it.")
    return wrong


def _is_set(asked: Json, variable: str) -> bool:
    return bool(asked[variable.replace("container_runtime_", "")])
