# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model that the control node has: its list comes with what is asked for, its files in pieces before that.

A piece goes on where the one before it ended, in the file on its way that a download has too, so that what came is kept
whatever happens, and the mover compares it with its hash before it takes its place.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import typing as t

from .._hub import manifest as manifests
from .._hub.manifest import MODEL, SHA256, BadManifest, Manifest
from .._settings.model_places import on_control_node
from .desk import Request
from .folder import Folder
from .layout import LOCK, PARTS
from .partial import Partial, boot_id
from .repository import Repository
from .transfer import Failed, Open, Stream

# Bytes of a piece, which the control node holds in memory.
PIECE = 64 * 1024 * 1024
READ = 1024 * 1024


class NotReceived(Exception):
    """A piece that is not taken; a sentence without its full stop."""


class Received(t.TypedDict):
    """How many bytes of the file are there now."""

    size: int


def listed(request: Request) -> Manifest:
    """Raises Failed."""
    try:
        found = manifests.parse(request.get("listed", ""))
    except BadManifest as error:
        raise Failed(f"the list that the control node sent cannot be read: {error}") from error
    if (found["model"], found["source"]["endpoint"]) != (request["model"], request["source"]):
        raise Failed(f"the list that the control node sent is not that of {request['model']} ({request['source']})")
    return found


def opening(request: Request) -> Open:
    """Nothing can be read here: what is not there yet has to be sent."""

    def refuse(path: str, _begin: int) -> Stream:
        raise Failed(
            f"what the host has of {path} is not what {on_control_node(request['source'])} of the control node has to "
            "have of it: run this again where that is, and only what is wrong is sent"
        )

    return refuse


def received(
    hub_dir: str, model: str, blob: str, at: int, size: int, body: t.BinaryIO, boot: str | None = None
) -> Received:
    """Add what comes where it begins at the end of what is there. What is longer than the whole file begins anew.
    Raises NotReceived, OSError."""
    try:
        if not (MODEL.fullmatch(model) and SHA256.fullmatch(blob) and hub_dir.startswith("/") and at >= 0):
            raise NotReceived("this is no model, content and place in it")
        repository = Repository(hub_dir, model, make=True)
        with contextlib.closing(repository), repository.open(PARTS) as parts, _locked(parts, model):
            partial = Partial(parts, blob, boot_id() if boot is None else boot)
            try:
                if partial.size > size:
                    partial.restart()
                if partial.size == at:
                    _add(partial, body)
                return Received(size=partial.size)
            finally:
                partial.close()
    finally:
        # Whoever sends sees what is said of a piece when all of it was taken.
        for _piece in iter(lambda: body.read(READ), b""):
            pass


def _add(partial: Partial, body: t.BinaryIO) -> None:
    left = PIECE
    while left:
        piece = body.read(min(READ, left))
        if not piece:
            return
        partial.write(piece)
        left -= len(piece)


@contextlib.contextmanager
def _locked(parts: Folder, model: str) -> t.Iterator[None]:
    """As a mover does. Raises NotReceived, OSError."""
    descriptor = parts.open(LOCK, os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotReceived(f"another download of {model} is under way: run this again when it has ended") from None
        yield
    finally:
        os.close(descriptor)
