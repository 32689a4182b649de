# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All classes of failures of an engine. What they mean is in docs/failures.md, in the words of this table.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from . import signals
from .kinds import backends, gpu, image, memory, model, parts, place, settings
from .kinds.kind import Kind


class Besides(t.NamedTuple):
    """A class that no text tells by itself: what it means, and what to do."""

    means: str
    advice: str


# Those that say more come first.
KINDS: tuple[Kind, ...] = (
    *settings.KINDS,
    *parts.KINDS,
    *backends.KINDS,
    *memory.KINDS,
    *gpu.KINDS,
    *image.KINDS,
    *model.KINDS,
    *place.KINDS,
)
NAMED: dict[str, Kind] = {kind.name: kind for kind in KINDS}
# What is told besides: by the container's end, by a signal, by numbers, or because nothing else is.
BESIDES: dict[str, Besides] = {
    "mem.share": Besides(
        "less of the GPU is free than the share that is asked for, and nobody but driver and display holds the rest",
        "Lower gpu_memory_utilization to what is free: the rest is taken before the engine starts, next time too.",
    ),
    "flag.refused": Besides(
        "vLLM refuses settings, or the way they are combined; its line names them",
        "Do as the line says, or leave out what it names and is set.",
    ),
    "release.lacks": Besides(
        "something that this release does not do, with this model, on this GPU or with these settings",
        "This release does not do what the line says, with this model, on this GPU or with these settings: use a "
        "newer "
        "image, or another build of the model (another quantization).",
    ),
    "host.oom": Besides(
        "the kernel killed the container, which had no memory left",
        "Give the host or the container more memory, or plan a smaller model or KV cache.",
    ),
    "died.silent": Besides(
        "a process of the engine is gone and nobody says why",
        "`journalctl -k` on the host shows a signal that ended it, or a kill for lack of memory.",
    ),
    "unknown": Besides(
        "none of these; the log's best lines are shown",
        "Look for the line among vLLM's issues, and report it with the kept log.",
    ),
    **{
        signal.failure_class: Besides(f"a process died of {signal.name}: {signal.meaning}", signal.advice)
        for signal in signals.SIGNALS.values()
        if signal.failure_class not in NAMED
    },
}
# What Docker says where it cannot even start the engine's first process.
BEFORE_THE_ENGINE = ("cdi.stale", "driver.mismatch", "driver.old", "gpu.hook", "gpu.none", "image.command")
# Nothing of these is held against a release.
OF_THE_MOMENT = frozenset(kind.name for kind in KINDS if kind.of_the_moment) | {"host.killed"}
