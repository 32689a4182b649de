# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adapters that are loaded and unloaded while their server runs, until it has those that it should, and no others.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._docker.release import Release
from .._outside import documents
from .._outside.printable import printable
from .._settings.rollout import Settings
from .._vllm.live_adapters import contents, folder_of, key, not_ours, wanted
from .http_client import Http, Reply
from .openai_client import ask
from .smoke_errors import NotProved

LISTED: documents.Shape = {"data": [{"id": str, "root?": str}]}
LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
DEADLINE = 120.0
# Seconds for a look, which an engine that hangs must not hold up; what is told of names that anybody may have chosen.
LOOK = 10.0
NAME, TOLD = 80, 10


def amiss(http: Http, url: str, release: Release, settings: Settings) -> list[str]:
    """What the server has loaded otherwise, one sentence each. Raises NotProved."""
    if not folder_of(release["container"]["volumes"]):
        return []
    has, wants = _loaded(http, url, release, LOOK), wanted(settings)
    lacks = [name for name, one in wants.items() if has.get(name) != one["path"]]
    extra = [name for name in has if name not in wants]
    return [*_told(lacks, "not loaded"), *_told(extra, "loaded, and not planned")]


def _told(names: list[str], what: str) -> list[str]:
    """One sentence each, and one for all that are too many to be read."""
    more = [f"{len(names) - TOLD} more adapters are {what}"] if len(names) > TOLD else []
    return [*(f"adapter {printable(name)[:NAME]} is {what}" for name in names[:TOLD]), *more]


def bring(
    http: Http, url: str, release: Release, settings: Settings, before: Settings, gone: dict[str, str]
) -> list[str]:
    """Have a server load what it should have and unload the rest; what was done. BEFORE: what it was last brought to,
    for what it lists says nothing of an adapter's content. GONE learns of each that was unloaded, as `contents` has it,
    however this ends. Raises NotProved.
    """
    if not folder_of(release["container"]["volumes"]):
        return []
    has, wants, had = _loaded(http, url, release, DEADLINE), wanted(settings), wanted(before)
    done, known = [], contents(before)

    def load(name: str) -> None:
        body = {"lora_name": name, "lora_path": wants[name]["path"]}
        _must(ask(http, "POST", url + LOAD, DEADLINE, body), f"loading the adapter {name}")
        done.append(f"{name} loaded")

    def unload(name: str) -> None:
        mark = key(name, has[name])
        gone[mark] = known.get(mark, "")
        _must(ask(http, "POST", url + UNLOAD, DEADLINE, {"lora_name": name}), f"unloading the adapter {name}")
        done.append(f"{name} unloaded")

    # What is new comes first: where it fails, those that serve were not touched.
    for name in wants:
        if name not in has:
            load(name)
    for name, path in has.items():
        one = wants.get(name)
        if one is None or one["path"] != path or had.get(name, one)["sha256"] != one["sha256"]:
            unload(name)
            if one is not None:
                load(name)
    return done


def _loaded(http: Http, url: str, release: Release, deadline: float) -> dict[str, str]:
    """The path of each adapter that its command line does not name."""
    reply = ask(http, "GET", f"{url}/v1/models", deadline)
    if reply.status != 200 or documents.misfit(reply.body, LISTED, "the answer"):
        raise NotProved("smoke.models", f"/v1/models answered {reply.status}: {reply.error}")
    own = not_ours(release["arguments"], release["served_model_names"])
    cards: list[dict[str, t.Any]] = reply.body["data"]
    return {card["id"]: card.get("root") or "" for card in cards if card["id"] not in own}


def _must(reply: Reply, what: str) -> None:
    if reply.status != 200:
        raise NotProved("smoke.adapter", f"{what} answered {reply.status}: {reply.error}")
