# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true of the host, and of its instances together, before anything can be planned on it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import collections
import ipaddress
import typing as t

from ..._gpu.fact import Facts
from ..._outside.documents import Json
from ..._state.observed import Observed
from ..inventory.instances import Instance

CPU = "cpu"


def host_problems(facts: Facts, host_class: str) -> list[str]:
    """One sentence for each thing that the host lacks."""
    found = []
    engine = facts["engine"]
    if not engine.get("name"):
        found.append("The host has no container engine: install Docker.")
    elif not engine.get("running"):
        advice = engine.get("problem") or "Start it, for example with systemctl start docker."
        found.append(f"Docker is not running on the host or does not answer as it should. {advice}")
    if not facts.get("systemd"):
        found.append(
            "The host does not run systemd, which the rollout needs to finish on its own: use a host that does."
        )
    if host_class != CPU:
        found += _gpu_problems(facts, host_class)
    return found


def _gpu_problems(facts: Facts, host_class: str) -> list[str]:
    state = facts["state"]
    if state == "no_gpu" or (state == "healthy" and not facts["gpus"]):
        return [
            f"The host's class {host_class} needs a GPU and the host has none: put it in the group {CPU} or fit a GPU."
        ]
    if state != "healthy":
        advice = facts.get("advice") or "See the facts of the host."
        return [f"The host's class {host_class} needs a GPU and its GPUs cannot be used ({state}): {advice}"]
    return []


def duplicates(instances: t.Sequence[Instance]) -> list[str]:
    """Names and ports that are given twice, and exclusive groups with more than one active instance."""
    found = []
    names = collections.Counter(instance.name for instance in instances)
    found += [
        f"Two instances are called {name}: every instance needs its own name." for name, n in names.items() if n > 1
    ]
    for number, one in enumerate(instances):
        for other in instances[number + 1 :]:
            if one.port and one.port == other.port and overlap(one.bind, other.bind):
                found.append(f"Instances {one.name} and {other.name} both have port {one.port}: give each its own.")
    groups = collections.defaultdict(list)
    for instance in instances:
        if instance.exclusive_group and instance.active:
            groups[instance.exclusive_group].append(instance.name)
    for group, members in groups.items():
        if len(members) > 1:
            found.append(
                f"The exclusive group {group} has {len(members)} active instances ({', '.join(members)}): set active: "
                "false "
                "on all but one."
            )
    return found


def overlap(one: str, other: str) -> bool:
    """Whether sockets on the two addresses collide on one port. `::` takes IPv4 as well."""
    first, second = _address(one), _address(other)
    if first == second or "::" in (str(first), str(second)):
        return True
    wildcard = first.is_unspecified or second.is_unspecified
    return wildcard and first.version == second.version


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """IPv4 in the form of IPv6, as some sockets are listed, is IPv4."""
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def ports_taken(instances: t.Sequence[Instance], facts: Facts, leaving: t.Container[str]) -> list[str]:
    """One sentence for each port that somebody else holds. `leaving` are instances that are removed first."""
    found = []
    ours = held(t.cast("t.Sequence[Observed]", facts["instances"]))
    for instance in instances:
        if not instance.active or not instance.port:
            continue
        for name, bind, port in ours:
            listed = any(other.name == name for other in instances)
            if port == instance.port and not listed and name not in leaving and overlap(bind, instance.bind):
                found.append(
                    f"instance {instance.name}: port {port} is held by instance {name}, which runs on the host and is "
                    "not listed: "
                    "list it, remove it, or take another port."
                )
        if any(port == instance.port for _name, _bind, port in ours):
            continue
        for socket in facts["listening"]:
            if socket["port"] == instance.port and overlap(socket["address"], instance.bind):
                found.append(
                    f"instance {instance.name}: port {instance.port} is taken on {socket['address']} by something "
                    "else on the "
                    "host: free it or take another port."
                )
                break
    return found


def held(observed: t.Iterable[Observed]) -> list[tuple[str, str, int]]:
    """Name, address and port of each of our containers that listens, or is about to."""
    found = []
    for observation in observed:
        name = observation["name"]
        found += [(name, holds["address"], holds["port"]) for holds in observation.get("holds") or []]
        container = observation.get("container") or {}
        if not container.get("running") and not observation.get("transaction"):
            continue
        for entry in (observation.get("current"), observation.get("candidate")):
            if entry:
                found.append((name, entry["release"]["bind"], entry["release"]["port"]))
    return list(dict.fromkeys(found))


def model_problems(
    instance: Instance, models: t.Mapping[str, Json], dummy: bool = False
) -> tuple[list[str], list[str]]:
    """Errors and warnings about the model's files, as vllm_model saw them on the host. DUMMY: none are loaded."""
    seen = models.get(instance.model)
    if seen is None:
        return [], []
    where = f"instance {instance.name}"
    without = seen.get("without_weights") if dummy else None
    found = [problem for problem in seen.get("problems", []) if problem != without]
    errors = [f"{where}: {problem}" for problem in found]
    return errors, [f"{where}: {note}" for note in seen.get("notes", [])]
