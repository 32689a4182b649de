# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages of a transaction: what happens in each, and what a failure in it leads to.

The table of docs/rollout.md is written from this one by `make docs`. A journal enters none that is not here.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import enum

NOTHING_TOUCHED = "nothing was touched"
GOES_ON = "goes on"
ROLLED_BACK = "rolled back"
AS_ON_FAILURE = "rolled back, or what `on_failure` says"
NOTHING_SURE = "nothing is sure to serve; nothing further is tried"


@enum.unique
class Stage(enum.Enum):
    """In the order of a rollout; then what a failure leads to; then requests that are no rollout."""

    PREFLIGHT = (
        (
            "the state can be written, the model is there and whole, the address is the host's, the port is free or "
            "ours, what is in the image is what was planned for, the digest was not rejected before"
        ),
        NOTHING_TOUCHED,
    )
    PULL = (
        "the image is fetched, where the host does not have it; also in the middle of a start, where it was pruned",
        f"{NOTHING_TOUCHED}; in the middle of a start as in `start`",
    )
    PARSER = (
        "the image's own argument parser is asked about the command, once for each image and command",
        f"{NOTHING_TOUCHED}; one that cannot be asked is noted, and it {GOES_ON}",
    )
    BREADCRUMB = ("what is tried and what is held is written down and synced", NOTHING_TOUCHED)
    DRAIN = ("the serving engine finishes the requests that it has, within a limit", GOES_ON)
    STOP = ("the serving container is stopped and kept as `vllm-<instance>-held`, with no restart policy", ROLLED_BACK)
    REST = (
        "the member of its group that has the turn is drained, stopped and kept as `vllm-<instance>-resting`",
        ROLLED_BACK,
    )
    FREE = (
        (
            "the GPU memory that the candidate asks for is really free; who else holds it is named. With "
            "`memory_check: warn` the engine decides"
        ),
        AS_ON_FAILURE,
    )
    START = ("the candidate's container is made from the release and labelled with its digest", AS_ON_FAILURE)
    READY = (
        "the engine's log is followed until `/health` answers; an engine that exits ends the wait at once",
        AS_ON_FAILURE,
    )
    SMOKE = (
        (
            "`/v1/models` lists the served names with the planned length, and what `smoke` demands is answered within "
            "its deadline"
        ),
        AS_ON_FAILURE,
    )
    HOLD = ("the stability window: the same container, no restart, and one more answer at its end", AS_ON_FAILURE)
    COMMIT = (
        (
            "the candidate gets its restart policy and is the current release; what it replaced is kept as "
            "`vllm-<instance>-previous`"
        ),
        AS_ON_FAILURE,
    )
    FALLBACK = (
        "a release failed, and a step of its fallback is the candidate in its place: from `free` on again",
        ROLLED_BACK,
    )
    ROLLBACK = (
        "the candidate goes, and the held release serves again: `start` to `hold`, as strictly as a new one",
        NOTHING_SURE,
    )
    STOPPED = (
        "`on_failure: stop`: the candidate goes, and nothing is put in its place",
        "the candidate may still run, which the play says",
    )
    LIVE = (
        "the state and the files that clients read are new, and adapters below `live_adapters` loaded or unloaded",
        "the engine was not touched, and the adapters before it are loaded again",
    )
    REMOVE = (
        "the containers of the instance are stopped and removed; its diagnoses stay",
        "what is left is removed by the next run",
    )

    def __init__(self, happens: str, failure: str) -> None:
        self.happens, self.failure = happens, failure

    @property
    def word(self) -> str:
        """Its name in the stage log and in what is told."""
        return self.name.lower()
