# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adapters that are loaded and unloaded while their server runs: those below one folder, which the container has whole.

They are no part of the release: its command line names none of them, and the host loads them after each start. Only
what vLLM's request for it can say is loaded so, a name and a path.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import typing as t

from .._outside.documents import Shape, misfit
from .._settings.rollout import Adapter, Settings
from .path_arguments import ADAPTERS, INSIDE, Values, adapter_names, named_path

# Without it vLLM has no such route.
VARIABLE = "VLLM_ALLOW_RUNTIME_LORA_UPDATING"
ADAPTER: Shape = {"path": str, "sha256": str}
# Of those that were unloaded.
MOST, LONGEST = 1000, 1000
BY_MEDIUM = "default_mm_loras"
# Where the container finds the folder.
FOLDER = f"{INSIDE}/live_adapters"


def is_below(path: str, folder: str) -> bool:
    """As it is written: what leads out of the folder again is not below it."""
    plain = path.rstrip("/")
    return bool(folder) and plain.startswith(f"{folder.rstrip('/')}/") and os.path.normpath(plain) == plain


def of(values: Values, folder: str) -> dict[str, str]:
    """The path of each such adapter by its name."""
    found = (named_path(one) for one in _listed(values))
    return {name: path for name, path in found if name and is_below(path, folder)}


def without(values: Values, names: t.Container[str]) -> dict[str, t.Any]:
    """The arguments as the command line has them: without the adapters of these names, which are loaded later."""
    left = [one for one in _listed(values) if named_path(one)[0] not in names]
    if len(left) == len(_listed(values)):
        return dict(values)
    rest = {name: value for name, value in values.items() if name != ADAPTERS}
    return {**rest, ADAPTERS: left} if left else rest


def not_ours(values: Values, served: t.Iterable[str]) -> frozenset[str]:
    """What a server lists from its command line: the model's names, and all adapters that it starts with.

    Source: vLLM 0.32.0, `process_lora_modules`: one of default_mm_loras is listed by the name of its medium.
    """
    return frozenset([*served, *adapter_names(values), *media(values)])


def media(values: Values) -> t.Collection[str]:
    """The names that default_mm_loras takes."""
    stated = values.get(BY_MEDIUM)
    return stated if isinstance(stated, dict) else ()


def inside(path: str, folder: str) -> str:
    """Where the container finds what lies below the folder."""
    return FOLDER + path[len(folder.rstrip("/")) :].rstrip("/")


def outside(path: str, folder: str) -> str:
    """Where the host has what its container finds there."""
    return folder + path[len(FOLDER) :]


def folder_of(volumes: t.Iterable[str]) -> str:
    """The folder of the host that a container has them from; '' where its server takes none."""
    split = (str(volume).rsplit(":", 2) for volume in volumes)
    return next((parts[0] for parts in split if len(parts) == 3 and parts[1] == FOLDER), "")


def wanted(settings: Settings) -> dict[str, Adapter]:
    """Those that a host is to load. What it keeps may be damaged: what is no adapter is none."""
    found: t.Mapping[str, t.Any] = settings.get("adapters") or {}
    return {name: t.cast(Adapter, one) for name, one in found.items() if misfit(one, ADAPTER, name) == ""}


def key(name: str, path: str) -> str:
    return f"{name}={path}"


def contents(settings: Settings) -> dict[str, str]:
    """The digest of each that an engine has had by these settings, by its key; '' where nobody knows it."""
    gone: t.Mapping[str, t.Any] = settings.get("unloaded") or {}
    had = {key(name, one["path"]): one["sha256"] for name, one in wanted(settings).items()}
    return {**{name: digest for name, digest in gone.items() if isinstance(digest, str)}, **had}


def with_gone(settings: Settings, gone: t.Mapping[str, str]) -> Settings:
    """The settings that know of these too. Others may have chosen names: of too many, those new here are forgotten."""
    loaded = {key(name, one["path"]) for name, one in wanted(settings).items()}
    known = {**gone, **{name: digest for name, digest in contents(settings).items() if name not in loaded}}
    kept = [(name, digest) for name, digest in known.items() if name not in loaded and len(name) <= LONGEST]
    rest = t.cast(Settings, {name: value for name, value in settings.items() if name != "unloaded"})
    return {**rest, "unloaded": dict(kept[-MOST:])} if kept else rest


def _listed(values: Values) -> list[t.Any]:
    stated = values.get(ADAPTERS)
    return [] if stated is None else stated if isinstance(stated, list) else [stated]
