# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host holds of several models, and whether an answer of before has what is asked now.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._outside.documents import Json
from .hub import references as commits
from .inspect import inspect


def held(models: t.Sequence[str], hub_dir: str, revisions: t.Mapping[str, t.Any], references: t.Sequence[str]) -> Json:
    """Each model as vllm_model returns it, by its name."""
    return {
        name: {
            **inspect(name, hub_dir, str(revisions.get(name) or "")),
            "references": commits(name, hub_dir, references),
        }
        for name in models
    }


def answered(asked: t.Mapping[str, t.Any], observed: t.Any) -> Json | None:
    """What is asked now, from what gpu_facts returned as `models`; None where that has not all of it."""
    before = observed.get("asked") if isinstance(observed, dict) else None
    found = observed.get("found") if isinstance(observed, dict) else None
    if not isinstance(before, dict) or not isinstance(found, dict) or asked.get("revisions"):
        return None
    same = str(before.get("hub_dir") or "") == str(asked.get("hub_dir") or "")
    known = set(before.get("references") or [])
    models = list(asked.get("models") or [])
    if not same or not known.issuperset(asked.get("references") or []) or not set(found).issuperset(models):
        return None
    return {name: found[name] for name in models}
