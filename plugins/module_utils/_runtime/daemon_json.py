# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our part of daemon.json: which keys are ours, which are somebody else's, and where the two contradict each other.

A claim is one setting: a member of a mapping (`features.cdi`), an entry of a list (`insecure-registries[host:5000]`),
or the value of any other key (`live-restore`). What we claimed is recorded beside the file, so that a setting that we
give up is removed, and one that somebody else made is kept.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass

from .._outside.documents import Json
from .._settings.masking import masked

Path = tuple[str, ...]

# Settings that have a variable of their own.
VARIABLES: t.Final = {
    "live-restore": "container_runtime_live_restore",
    "log-driver": "container_runtime_log_max_size",
    "log-opts": "container_runtime_log_max_size",
    "log-opts.max-file": "container_runtime_log_max_files",
    "default-ulimits": "container_runtime_nofile",
    "data-root": "container_runtime_data_root",
    "insecure-registries": "container_runtime_insecure_registries",
    "registry-mirrors": "container_runtime_registry_mirrors",
    "exec-opts": "container_runtime_cgroup_driver",
}

# Entries of these lists are options `name=value`: two of the same name contradict each other.
OPTION_LISTS = ("exec-opts", "storage-opts")

# What a running daemon takes over when it is told to reload. For the rest it has to be restarted.
RELOADABLE = frozenset(
    (
        *("debug", "insecure-registries", "labels", "live-restore", "max-concurrent-downloads"),
        *("max-concurrent-uploads", "max-download-attempts", "registry-mirrors", "shutdown-timeout"),
    )
)


class Conflict(t.NamedTuple):
    """A setting that is not ours and has another value than the one we want."""

    name: str
    theirs: t.Any
    wanted: t.Any


@dataclass(frozen=True)
class Merged:
    """What daemon.json becomes and which part of it is ours, or what stands in the way."""

    config: Json
    ours: Json
    conflicts: tuple[Conflict, ...]


def merge(current: Json, ours: Json, wanted: Json, take_over: t.Collection[str] = ()) -> Merged:
    """Bring our settings up to date in what the file holds.

    `ours` is what we recorded last; `take_over` names settings that become ours whoever made them, by their claim or by
    the whole key.
    """
    had, have, want = _claims(ours), _claims(current), _claims(wanted)
    kept = {path: value for path, value in have.items() if had.get(path, _NOTHING) != value}
    conflicts: list[Conflict] = []
    claimed: dict[Path, t.Any] = {}
    for path, value in want.items():
        for rival in [other for other in kept if _contradict(other, path, kept[other], value)]:
            theirs = kept.pop(rival)
            if not {name_of(path), name_of(rival), path[0]} & set(take_over):
                conflicts.append(Conflict(name_of(rival), theirs, value))
        if kept.get(path, _NOTHING) != value:
            claimed[path] = value
    if conflicts:
        return Merged(current, ours, tuple(conflicts))
    result = {**kept, **claimed}
    order = [*have, *(path for path in claimed if path not in have)]
    config = _config({path: result[path] for path in order if path in result})
    empty = {key: value for key, value in current.items() if value in ([], {}) and key not in config}
    return Merged({**config, **empty}, _config(claimed), ())


def theirs(current: Json, ours: Json, take_over: t.Collection[str] = ()) -> Json:
    """What the file holds that somebody else set and that is not to become ours."""
    had = _claims(ours)
    return _config(
        {
            path: value
            for path, value in _claims(current).items()
            if had.get(path, _NOTHING) != value and not {name_of(path), path[0]} & set(take_over)
        }
    )


def yielding(wanted: Json, others: Json) -> Json:
    """What is wanted, without what somebody else's settings contradict."""
    rivals = _claims(others)
    return _config(
        {
            path: value
            for path, value in _claims(wanted).items()
            if not any(_contradict(rival, path, rivals[rival], value) for rival in rivals)
        }
    )


def named(settings: Json, names: t.Collection[str]) -> Json:
    """The part of the settings that is named, by its claims or by the whole key."""
    return _config({path: value for path, value in _claims(settings).items() if {name_of(path), path[0]} & set(names)})


def combined(*parts: Json) -> Json:
    """All of these settings in one; members and entries of one key go together, and of two values the later stays."""
    claims: dict[Path, t.Any] = {}
    for part in parts:
        claims.update(_claims(part))
    return _config(claims)


def told(conflicts: t.Sequence[Conflict], path: str) -> str:
    """The contradictions as an operator is told of them, with the ways out."""
    parts = ", ".join(
        f"{masked(conflict.name)} is {_said(conflict.name, conflict.theirs)} and shall be "
        + _said(conflict.name, conflict.wanted)
        if conflict.theirs is not True or conflict.wanted is not True
        else f"{masked(conflict.name)} is set"
        for conflict in conflicts
    )
    names = ", ".join(dict.fromkeys(masked(conflict.name) for conflict in conflicts))
    variables = ", ".join(dict.fromkeys(_variable(conflict.name) for conflict in conflicts))
    return (
        f"Somebody else's settings in {path} contradict ours: {parts}. Nothing was changed. Change them there, change "
        f"{variables}, or have ours take their place with container_runtime_take_over: [{names}]."
    )


def _said(name: str, value: t.Any) -> str:
    return json.dumps(masked(value, name))


def _variable(name: str) -> str:
    """The variable that sets what a claim names."""
    key = re.split(r"[.\[]", name)[0]
    return VARIABLES.get(name, VARIABLES.get(key, "container_runtime_daemon_options"))


def satisfied(current: Json, wanted: Json) -> bool:
    """Whether the file holds every setting that is wanted, whoever made it."""
    have = _claims(current)
    return all(have.get(path, _NOTHING) == value for path, value in _claims(wanted).items())


def lacking(current: Json, wanted: Json) -> list[str]:
    """Names of the settings that are wanted and not in the file."""
    have = _claims(current)
    return [name_of(path) for path, value in _claims(wanted).items() if have.get(path, _NOTHING) != value]


def present(current: Json, wanted: Json) -> Json:
    """The part of what is wanted that the file holds already."""
    have = _claims(current)
    return _config({path: value for path, value in _claims(wanted).items() if have.get(path, _NOTHING) == value})


def needs_restart(before: Json, after: Json) -> bool:
    """Whether the daemon has to be restarted to take this change over; a key that goes is not forgotten by a reload."""
    return any(
        key not in RELOADABLE or key not in after
        for key in {*before, *after}
        if before.get(key, _NOTHING) != after.get(key, _NOTHING)
    )


def name_of(path: Path) -> str:
    """A claim as people write it: features.cdi, insecure-registries[host:5000], live-restore."""
    if len(path) == 1:
        return path[0]
    return f"{path[0]}.{path[2]}" if path[1] == "." else f"{path[0]}[{path[2]}]"


def names(settings: Json) -> list[str]:
    """What the settings claim, as people write it."""
    return [name_of(path) for path in _claims(settings)]


_NOTHING = object()


def _claims(config: Json) -> dict[Path, t.Any]:
    claims: dict[Path, t.Any] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            claims.update({(key, ".", member): inner for member, inner in value.items()})
        elif isinstance(value, list) and value and all(isinstance(entry, str) for entry in value):
            claims.update({(key, "[", entry): True for entry in value})
        else:
            claims[key,] = value
    return claims


def _config(claims: dict[Path, t.Any]) -> Json:
    """The file that makes these claims."""
    config: Json = {}
    for path, value in claims.items():
        if len(path) == 1:
            config[path[0]] = value
        elif path[1] == ".":
            config.setdefault(path[0], {})[path[2]] = value
        else:
            config.setdefault(path[0], []).append(path[2])
    return config


def _contradict(one: Path, other: Path, value: t.Any, wanted: t.Any) -> bool:
    if one == other:
        return bool(value != wanted)
    if one[0] != other[0]:
        return False
    if len(one) != len(other) or one[1] != other[1]:
        return True
    return one[0] in OPTION_LISTS and _option(one[2]) == _option(other[2])


def _option(entry: str) -> str:
    return entry.partition("=")[0]
