# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventories that the collection brings, as the planner gets them: one task for each kind of host."""

from __future__ import annotations

import pathlib
import typing as t

import yaml

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import planner
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.fleet import Json

INVENTORIES = fleet.ROLE.parents[1] / "inventories"
SETTINGS = (
    "hub_dir", "cache_dir", "shm_size_mib", "ipc", "timeouts", "smoke", "on_failure", "fallback_steps",
    "allow_dangerous", "fallback_shorter", "ask_parser", "watch",
)  # fmt: skip
GPUS = {"gpu_4x48gb": 4}


def _variables(*folders: pathlib.Path) -> Json:
    files = [path for folder in folders for path in sorted(folder.rglob("*.yml"))]
    return {name: value for path in files for name, value in yaml.safe_load(path.read_text()).items()}


def hosts() -> dict[str, Json]:
    """The variables of `environment/group`, the role's defaults below them."""
    defaults: Json = yaml.safe_load((fleet.ROLE / "defaults" / "main.yml").read_text())
    found: dict[str, Json] = {}
    for environment in ("production", "staging"):
        folder = INVENTORIES / environment / "group_vars"
        for group in sorted(path for path in folder.iterdir() if path.name != "gpu_hosts"):
            found[f"{environment}/{group.name}"] = {**defaults, **_variables(folder / "gpu_hosts", group)}
    demo = yaml.safe_load((INVENTORIES / "demo" / "group_vars" / "cpu.yml").read_text())
    found["demo/cpu"] = {**defaults, **demo}
    for variables in found.values():
        # What stands in braces is the version, or the lab's own registry.
        tag = str(variables["vllm_server_image"]).rpartition("/")[2].partition(":")[0]
        variables["vllm_server_image"] = f"docker.io/vllm/{tag}:v{variables['vllm_server_version']}"
    return found


def plan(variables: Json, instances: t.Sequence[Json] = (), **changes: t.Any) -> planner.Outcome:
    """The plan of a host with these variables, on which these instances are."""
    group = variables["gpu_detect_host_class"]
    gpus = 0 if group == "cpu" else GPUS.get(group, 1)
    given = {name: variables[f"vllm_server_{name}"] for name in SETTINGS}
    given.update(changes.pop("settings", {}))
    return fleet.outcome(
        instances=variables["vllm_server_instances"],
        image=variables["vllm_server_image"],
        version=variables["vllm_server_version"],
        host_class=group,
        class_engine_args=variables["vllm_server_class_engine_args"],
        class_limits=variables["vllm_server_class_limits"],
        environment_engine_args=variables["vllm_server_environment_engine_args"],
        profiles=fleet.PROFILES,
        facts={**fleet.host_facts(gpus), "instances": list(instances)},
        settings=given,
        **changes,
    )
