# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments that work and are rarely what somebody wants.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..memory.catalogue import Model

Values = t.Mapping[str, t.Any]
SMALL_BILLIONS = 7.0


def cautions(values: Values, model: Model) -> list[str]:
    """What costs speed, one sentence each."""
    tensor, billions = values.get("tensor_parallel_size"), model.billions
    if not isinstance(tensor, int) or isinstance(tensor, bool) or tensor < 2 or not billions:
        return []
    if billions >= SMALL_BILLIONS:
        return []
    text = (
        f"tensor parallel over {tensor} GPUs slows a model of {billions:.1f} billion parameters down where it fits one"
    )
    return [f"{text}: data_parallel_size gives a copy to each."]


def notes(values: Values) -> list[str]:
    """What a reader of the plan should know."""
    found = []
    if values.get("enforce_eager") is True:
        found.append(
            "enforce_eager turns CUDA graphs off: it saves memory and costs speed; leave it out in production."
        )
    if values.get("reasoning_parser"):
        found.append("A reasoning_parser keeps thoughts apart from answers: clients must not parse <think> as well.")
    return found
