# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders that are ours: what of them goes, and what stays because somebody put it there or has it mounted.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import re
import typing as t

from .._prune.due import Due, Stays
from .._prune.folders import measured, meets

FOLDER = "folder"
# A link leads to a folder that was made for us where it is named like ours; any other may be somebody's disk.
OURS = "gpufleet"
_OCTAL = re.compile(r"\\([0-7]{3})")


def mounts(mountinfo: str) -> frozenset[str]:
    """Where something is mounted: a folder of somebody else's may be below one of ours, on the same disk too."""
    rows = (line.split() for line in mountinfo.splitlines())
    return frozenset(_OCTAL.sub(lambda found: chr(int(found[1], 8)), row[4]) for row in rows if len(row) > 4)


def below(path: str, top: str) -> bool:
    return path.startswith(f"{top.rstrip('/')}/")


def due(
    top: str,
    because: str,
    mounted: t.Collection[str] = (),
    keep: t.Collection[str] = (),
    held: t.Mapping[str, str] | None = None,
) -> tuple[list[Due], list[Stays]]:
    """What goes of a folder: all of it but KEEP, what is MOUNTED in it, and what containers of others have.

    HELD: folders of the host that containers of somebody else have, with a name of such a container. Those that have
    more of the host than ours, as one that watches the whole of it has, have no claim to it.
    """
    if not os.path.lexists(top):
        return [], []
    stays: list[Stays] = []
    place = top
    if os.path.islink(top):
        place = os.path.realpath(top)
        if os.path.basename(place) != OURS:
            return [], [Stays(FOLDER, top, f"it is a link to {place}, which may be for others too")]
        stays.append(Stays(FOLDER, top, f"it is a link, and what is in {place} goes without it"))
    elif top in mounted:
        stays.append(Stays(FOLDER, top, "something is mounted there: it is emptied and not unmounted"))
    stays += [Stays(FOLDER, one, "something is mounted there") for one in sorted(mounted) if below(one, place)]
    kept = {one for one in (*keep, *mounted) if below(one, place)}
    whole = place == top and top not in mounted
    pieces = _pieces(place, kept) if whole else [piece for one in _inside(place) for piece in _pieces(one, kept)]
    going = []
    for piece in pieces:
        claims = ((source, name) for source, name in (held or {}).items() if below(f"{source}/", place))
        other = next((name for source, name in claims if meets(source, piece)), "")
        if other:
            stays.append(Stays(FOLDER, piece, f"the container {other}, which is not ours, has it"))
        else:
            going.append(piece)
    size = sum(measured(piece)[0] for piece in going)
    return ([Due(FOLDER, top, tuple(going), size, because)] if going else []), stays


def _inside(folder: str) -> list[str]:
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))] if os.path.isdir(folder) else []


def _pieces(path: str, kept: t.Collection[str]) -> list[str]:
    """Paths that go whole, none of which holds anything that is kept."""
    if path in kept:
        return []
    if os.path.islink(path) or not any(below(one, path) for one in kept):
        return [path]
    return [piece for one in _inside(path) for piece in _pieces(one, kept)]
