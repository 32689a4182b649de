# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that arguments and variables name, against what the container sees of the host.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._vllm import path_arguments
from ..._vllm.images import OF_IMAGE, OFFICIAL

Values = t.Mapping[str, t.Any]


def missing(values: Values, variables: t.Mapping[str, str], volumes: t.Sequence[str]) -> list[path_arguments.Stated]:
    """What no container of this instance can see. VOLUMES: as in a release."""
    seen = tuple(f"{volume.rsplit(':', 2)[1].rstrip('/')}/" for volume in volumes)
    return [
        one for one in path_arguments.stated(values, variables) if not f"{one.path}/".startswith((*seen, *OF_IMAGE))
    ]


def problem(one: path_arguments.Stated, volumes: t.Sequence[str]) -> str:
    """One sentence about one of them. Only single files are brought, folders lie on the host."""
    folders = sorted({volume.rsplit(":", 2)[1] for volume in volumes})
    there = f"only {', '.join(folders)} and its own files" if folders else "only its own files"
    is_folder = one.kind in path_arguments.FOLDERS
    brought = (
        f"write {path_arguments.BROUGHT}NAME for a single file that is brought from the control node "
        "(vllm_server_files_dir), or "
    )
    return (
        f"{one.place} is {one.path}, which is not there on the host, and so is not there in the container: it sees "
        f"{there}. Put {'the folder' if is_folder else 'it'} there on the host, or {'' if is_folder else brought}build "
        "an image that has it."
    )


def official(image: str) -> bool:
    """Whether what the image brings is known."""
    return OFFICIAL.search(image) is not None
