# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adapters that are loaded while their server runs: what the host is to load, and what it must not.

vLLM keeps the cache of a prompt's beginning under the name of its adapter, in newer releases with its path
(`gates.PREFIX_BY_PATH`), and nothing but a restart or a route for developers empties it. So one name, and later one
path, is one content while an engine runs.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from ..._outside.documents import Json
from ..._settings.rollout import Adapter, Settings
from ..._state.observed import Kept
from ..._vllm.gates import PREFIX_BY_PATH
from ..._vllm.live_adapters import contents, key, wanted
from ..._vllm.schema import version_key
from ..arguments.mounts import Mounts


def settings(mounted: Mounts, goes_on: Kept | None) -> Settings:
    """What the host goes by; nothing where the instance has no folder of them. GOES_ON: what is not started again."""
    if not mounted.live_folder:
        return {}
    loaded = {key(name, one["path"]) for name, one in mounted.adapters.items()}
    gone = {known: content for known, content in _before(goes_on).items() if known not in loaded}
    return {"adapters": mounted.adapters, **({"unloaded": gone} if gone else {})}


def problems(mounted: Mounts, goes_on: Kept | None, values: Json, version: str) -> list[str]:
    """One sentence for each that the running engine has known with another content."""
    if values.get("enable_prefix_caching") is False:
        return []
    before, by_path = _before(goes_on), PREFIX_BY_PATH.open_at(version_key(version))
    changed = {
        name: content
        for name, one in mounted.adapters.items()
        for known, content in before.items()
        if content != one["sha256"]
        and (known == key(name, one["path"]) or (not by_path and known.startswith(f"{name}=")))
    }
    where = "name and the folder: put the new one into another folder, or" if by_path else "name:"
    return [
        f"lora_modules.{name} {'has' if content else 'may have'} another content than the adapter that the running "
        f"engine had under this name, and its prefix cache goes by the {where} give it a name of its own, such as "
        f"{name}-2, or set enable_prefix_caching to false."
        for name, content in changed.items()
    ]


def differences(running: Settings, planned: Settings) -> list[str]:
    """`adapters.sql: unset -> /etc/gpufleet/files/live_adapters/sql (0123456789ab)`."""
    before, after = wanted(running), wanted(planned)
    names = sorted({*before, *after})
    return [
        f"adapters.{name}: {_shown(before.get(name))} -> {_shown(after.get(name))}"
        for name in names
        if before.get(name) != after.get(name)
    ]


def _shown(one: Adapter | None) -> str:
    return "unset" if one is None else f"{one['path']} ({one['sha256'][:12]})"


def _before(goes_on: Kept | None) -> dict[str, str]:
    """Contents by name and path, as the engine that is to go on running has had them."""
    return contents((goes_on or {}).get("settings") or {})
