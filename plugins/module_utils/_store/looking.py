# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would be fetched, with nothing written: for a check run.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import typing as t

from .._settings.model_places import on_control_node
from .._state.store import STATE_DIR
from .desk import FULL, Request
from .disk import disk_problem
from .layout import key
from .mover import Away, Resolve, known_of, listed, unhashed
from .partial import boot_id
from .progress import FAILED, WHOLE, size
from .records import Records, folder_of
from .repository import Repository
from .survey import NoRoom, must_have_room, survey
from .transfer import Failed

MISSING = "missing"


class Needed(t.TypedDict):
    """A content that is not there whole, and how many bytes of it need not come again."""

    blob: str
    there: int


class Found(t.TypedDict):
    """`detail` is a sentence."""

    outcome: str
    detail: str
    commit: str
    missing_files: int
    missing_bytes: int
    needs: list[Needed]


def look(request: Request, resolve: Resolve, state_dir: str = STATE_DIR, boot: str | None = None) -> Found:
    """A hub that cannot be asked, and a disk without room, are told as the run itself would."""
    nothing = Found(outcome=FAILED, detail="", commit="", missing_files=0, missing_bytes=0, needs=[])
    folder = folder_of(key(request["model"], request["hub_dir"]), state_dir)
    try:
        with contextlib.closing(Repository(request["hub_dir"], request["model"], make=False)) as repository:
            manifest, warning = listed(request, known_of(request, folder), resolve, repository)
            found = survey(
                repository,
                manifest,
                Records(folder),
                boot_id() if boot is None else boot,
                request["verify"] == FULL,
            )
            must_have_room(repository, found)
    except (Away, Failed, NoRoom) as error:
        return {**nothing, "detail": f"{error}."}
    except OSError as error:
        return {**nothing, "detail": f"{disk_problem(error, request['hub_dir'])}."}
    told = f"{manifest['model']} at {manifest['commit'][:12]}"
    if found.whole:
        detail = f"{told} is whole."
    elif found.needs:
        how = "sent from the control node" if on_control_node(request.get("source", "")) else "fetched"
        detail = f"{len(found.needs)} files of {told} would be {how}, {size(found.missing)}."
    else:
        detail = f"All files of {told} are there, and its links would be made."
    return {
        "outcome": WHOLE if found.whole else MISSING,
        "detail": " ".join([detail, *(f"{one}." for one in (unhashed(manifest), warning) if one)]),
        "commit": manifest["commit"],
        "missing_files": len(found.needs),
        "missing_bytes": found.missing,
        "needs": [Needed(blob=need.blob, there=need.there) for need in found.needs],
    }
