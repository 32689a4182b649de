# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that applications read, on the host where they run: all of them new, or what was there before.

A list of what is ours stands beside them, so that what is not wanted any more goes, a key above all, and nothing of
others does.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import typing as t

from .._outside import documents
from .._settings.canonical_json import canonical_json
from .._state.durable import make_folder, read_text, sweep, write_together
from .document import may_hold_key

LIST = ".gpufleet.json"
OURS = re.compile(r"[a-z0-9][a-z0-9-]*\.(json|env|key)|gpufleet_client/[a-z_]+\.(py|typed)")
PLAIN_MODE = 0o644


class Wanted(t.NamedTuple):
    """Contents by name. What holds a key is of `owner`, numbers of a user and a group, and has `mode`."""

    plain: t.Mapping[str, str]
    secret: t.Mapping[str, str]
    owner: tuple[int, int]
    mode: int


class Change(t.NamedTuple):
    """One file: what it was, None where there was none, and what it is to be, None where it goes."""

    name: str
    before: str | None
    after: str | None
    secret: bool


class NotOurs(Exception):
    """A file of somebody else has the name of one of ours."""


def changes(folder: str, wanted: Wanted) -> list[Change]:
    """What differs in content, mode or owner. Raises NotOurs, and OSError where a file cannot be read."""
    ours = ours_in(folder)
    found = []
    for secret, texts in ((False, wanted.plain), (True, wanted.secret)):
        for name, text in sorted(texts.items()):
            path = os.path.join(folder, name)
            before = _text(path)
            if before is not None and name not in ours:
                raise NotOurs(
                    f"{path} is there and was not written by this role: move it away, or have another folder in "
                    "vllm_client_path. Nothing was changed."
                )
            # What held a key until now is not shown either, whatever mode somebody gave it.
            hidden = secret or (before is not None and (_mode(path) != PLAIN_MODE or may_hold_key(name, before)))
            if before != text or not _is_right(path, wanted, secret):
                found.append(Change(name, before, text, hidden))
    gone = [
        name for name in sorted(ours - {*wanted.plain, *wanted.secret}) if _text(os.path.join(folder, name)) is not None
    ]
    return found + [Change(name, _text(os.path.join(folder, name)), None, True) for name in gone]


def carry_out(folder: str, wanted: Wanted, due: t.Sequence[Change]) -> None:
    """Write them: what is for everybody, then keys, each group whole or not at all. Raises OSError."""
    names = {*wanted.plain, *wanted.secret}
    make_folder(folder)
    sweep(folder)
    _list(folder, names | ours_in(folder))  # before the first file: one that is cut off leaves nothing that is nobody's
    # Keys first: a document names its key's file.
    for texts, mode, owner in ((wanted.secret, wanted.mode, wanted.owner), (wanted.plain, PLAIN_MODE, None)):
        named = {one.name for one in due if one.after is not None} & set(texts)
        write_together({os.path.join(folder, name): texts[name] for name in sorted(named)}, mode, owner)
    for one in due:
        if one.after is None:
            os.remove(os.path.join(folder, one.name))
    _list(folder, names)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.join(folder, "gpufleet_client"))  # only where it is empty


def _list(folder: str, names: t.Iterable[str]) -> None:
    path, text = os.path.join(folder, LIST), canonical_json({"schema": 1, "files": sorted(names)}) + "\n"
    if read_text(path) != text:
        write_together({path: text}, PLAIN_MODE)


def ours_in(folder: str) -> set[str]:
    """Whoever changed the list, nothing is removed that this role does not write."""
    try:
        known = documents.parse(read_text(os.path.join(folder, LIST)) or "{}")
    except ValueError:
        return set()
    files = known.get("files") if isinstance(known, dict) else None
    return (
        {name for name in files if isinstance(name, str) and OURS.fullmatch(name)} if isinstance(files, list) else set()
    )


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def _is_right(path: str, wanted: Wanted, secret: bool) -> bool:
    found = os.stat(path)
    if not secret:
        return stat.S_IMODE(found.st_mode) == PLAIN_MODE
    return (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (wanted.mode, *wanted.owner)
