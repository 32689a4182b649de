# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may see what at a hub of tests, in the hub's own words and codes.

Source: what the hub's client makes of answers (`utils/_http.py`, `errors.py` of huggingface_hub 1.15 and 2.4), and what
the hub has answered to people. It lists the files of a gated model to everybody, and refuses the files.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.gpufleet.vllm.tests.hub.content import Model


@dataclasses.dataclass(frozen=True)
class Refusal:
    status: int
    code: str
    message: str


INVALID = Refusal(401, "", "Invalid credentials in Authorization header")
# To somebody without a token it does not say whether there is such a repository.
UNKNOWN = Refusal(401, "RepoNotFound", "Invalid username or password.")
NOT_FOUND = Refusal(404, "RepoNotFound", "Repository not found")
DISABLED = Refusal(403, "", "Access to this resource is disabled.")


def no_revision(revision: str) -> Refusal:
    return Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")


NO_ENTRY = Refusal(404, "EntryNotFound", "Entry not found")


def refusal(model: Model | None, token: str, tokens: t.Mapping[str, t.Collection[str]], files: bool) -> Refusal | None:
    """`tokens` are the models that each may read beyond the public ones; `*` is all. `files`: a file is asked for."""
    if token and token not in tokens:
        return INVALID
    granted = tokens.get(token, ())
    allowed = model is not None and bool({"*", model.name} & set(granted))
    if model is None or (model.private and not allowed):
        return NOT_FOUND if token else UNKNOWN
    if model.disabled:
        return DISABLED
    if model.gated and files and not allowed:
        page = f"Visit https://huggingface.co/{model.name} to ask for access."
        restricted = f"Access to model {model.name} is restricted"
        if token:
            return Refusal(403, "GatedRepo", f"{restricted} and you are not in the authorized list. {page}")
        return Refusal(
            401,
            "GatedRepo",
            f"{restricted}. You must have access to it and be authenticated to access it. Please log in.",
        )
    return None
