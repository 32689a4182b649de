# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Different GPUs in one host: which they are, what that means, and what to write for it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._settings.names import listed
from .fact import Facts, Gpu

Kind = tuple[str, int, str]
CONSEQUENCE = (
    "What is split over different GPUs takes the same share of each, the smallest decides what fits, and the oldest "
    "which formats there are"
)
WRITE = "name the GPUs of each instance (gpus: [0])"


def version(text: str) -> tuple[int, ...]:
    """A compute capability in order: 8.9 is before 8.10."""
    return tuple(int(part) for part in text.split("."))


def mixed(facts: Facts) -> str:
    """The GPUs that differ, by what NVML tells; empty where they are alike or tell nothing."""
    kinds = _kinds(facts["gpus"])
    if len(kinds) < 2:
        return ""
    return "The GPUs of this host differ: " + listed(
        f"GPU {', '.join(indices)} is {_spelt(kind)}" for kind, indices in kinds.items()
    )


def warning(facts: Facts) -> str:
    """For a host whose class allows that its GPUs differ."""
    found = mixed(facts)
    return f"{found}. {CONSEQUENCE}: {WRITE}." if found else ""


def own_class(facts: Facts) -> str:
    """For a host that is of no class because its GPUs differ: the one to describe."""
    found = mixed(facts)
    if not found:
        return ""
    kinds = _kinds(facts["gpus"])
    sizes = [memory for _name, memory, _capability in kinds]
    oldest = min((capability for _name, _memory, capability in kinds), key=version)
    wanted = (
        f"mixed: {{count: {len(facts['gpus'])}, memory_mib: {{min: {min(sizes)}, max: {max(sizes)}}}, "
        f'min_compute_capability: "{oldest}"}}'
    )
    return (
        f"{found}. {CONSEQUENCE}. Describe such a host in gpu_detect_host_classes, for example {wanted}, put it into "
        f"the group of that class, and {WRITE}."
    )


def _kinds(gpus: t.Sequence[Gpu]) -> dict[Kind, list[str]]:
    """Indices by kind. A GPU that tells half of itself is of no kind: it may be like the others."""
    found: dict[Kind, list[str]] = {}
    for gpu in gpus:
        name, total, capability = gpu["name"], gpu["memory_mib"]["total"], gpu["compute_capability"]
        if name is not None and total is not None and capability is not None:
            found.setdefault((name, total, capability), []).append(str(gpu["index"]))
    return found


def _spelt(kind: Kind) -> str:
    name, memory, capability = kind
    return f"{name} ({memory} MiB, compute capability {capability})"
