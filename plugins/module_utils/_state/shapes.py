# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be in what a host keeps of an instance: whoever can write there can write anything.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._outside.documents import Shape, misfit

# What a rollback, the watch and the planner read of a release.
RELEASE: Shape = {
    "instance": str,
    "image": str,
    "arguments": {},
    "bind": str,
    "port": int,
    "served_model_names": [str],
    "container": {"name": str, "schema?": int, "volumes": [str]},
    "gpus": {"uuids": [str]},
    "files?": {},
}
CLIENT: Shape = {"base_url": str, "served_model_names": [str], "max_model_len?": int, "sampling": {}}
_ENTRY: Shape = {
    "digest": str,
    "release": RELEASE,
    "client": CLIENT,
    "settings": {"timeouts?": {}, "smoke?": {}, "watch?": {}, "adapters?": {}, "unloaded?": {}},
    "container_id": str,
    "image_id": str,
    "image_digest?": str,
    "verified_at": str,
    "verified": {"served_model_names?": [str], "max_model_len?": int},
    "start_seconds?": float,
    "fallback_of?": str,
    "fallback?": str,
}
_TEXTS = ("digest", "failure_class", "cause", "advice", "at")
_STATE: Shape = {
    "instance": str,
    "current?": _ENTRY,
    "previous?": _ENTRY,
    "candidate?": _ENTRY,
    "held?": _ENTRY,
    "resting?": _ENTRY,
    "others?": [str],
    "instead_of?": [str],
    "turn?": {"at": str, "said": str, "seconds": float},
    "owner": str,
    "failed": str,
    "rejected": [{**dict.fromkeys(_TEXTS, str), "image_id?": str}],
}
_WATCH: Shape = {
    **dict.fromkeys(("digest?", "image_id?", "verified_at?", "container_id?", "paused_until?", "failure?"), str),
    "restart_count?": int,
    "restarts?": [{"at": str, "by": str}],
    "rolled_back?": {"from?": str, "to?": str, "at?": str},
    "started?": bool,
    "events?": [{"at": str, "what": str}],
}
_MEMORY: Shape = {"at?": float, "bad?": int, "seen?": [str], "told?": str}


def of_client(document: t.Any) -> str:
    """What is wrong with a client's document, or ''."""
    wrong = misfit(document, CLIENT, "the client's file")
    return wrong or ("" if document["served_model_names"] else "the client's file has no name of a model")


def of_state(document: t.Any) -> str:
    """What is wrong with a state, or ''."""
    wrong = misfit(document, _STATE, "the state")
    if wrong:
        return wrong
    known = (document.get(name) for name in ("current", "previous", "candidate", "held", "resting"))
    return next(filter(None, (of_client(entry["client"]) for entry in known if entry)), "")


def of_watch(document: t.Any) -> str:
    """What is wrong with a record of the watch, or ''."""
    return misfit(document, _WATCH, "the record")


def of_memory(document: t.Any) -> str:
    """What is wrong with what the watch remembers of its last looks, or ''."""
    return misfit(document, _MEMORY, "it")
