# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies of answers, whole, in ranges, and as faults have them."""

from __future__ import annotations

import contextlib
import re
import time
import typing as t

from ansible_collections.gpufleet.vllm.tests.hub.content import File
from ansible_collections.gpufleet.vllm.tests.hub.faults import HTML, Fault
from ansible_collections.gpufleet.vllm.tests.hub.wire import reset

if t.TYPE_CHECKING:
    from ansible_collections.gpufleet.vllm.tests.hub.handlers import Handler

PIECE = 64 * 1024
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
Read = t.Callable[[int, int], bytes]


def instead(asked: Handler, fault: Fault) -> bool:
    """Faults that take the place of an answer; False where the answer is still to come."""
    if fault.kind == "slow":
        time.sleep(fault.seconds)
    elif fault.kind == "status":
        asked.say(fault.status, {"Content-Type": "text/plain"} | fault.headers, fault.body.encode())
    elif fault.kind == "html":
        asked.say(200, {"Content-Type": "text/html; charset=utf-8"} | fault.headers, HTML)
    elif fault.kind == "redirect":
        asked.say(302, {"Location": fault.to} | fault.headers)
    elif fault.kind == "garbage":
        asked.wfile.write(b"\x16\x03\x01 this is no HTTP \xff\xfe\n" * 3)
        asked.close_connection = True
    elif fault.kind == "reset" and fault.after < 0:
        end(asked, hard=True)
    return fault.kind in ("status", "html", "redirect", "garbage") or (fault.kind == "reset" and fault.after < 0)


def send_file(asked: Handler, file: File, headers: t.Mapping[str, str]) -> None:
    """The file, or the range of it that is asked for."""
    start, stop = 0, file.size
    kind = asked.fault.kind if asked.fault else ""
    wanted = None if kind == "whole" else _wanted(asked, file)
    if wanted is not None:
        start, stop = wanted
        if start >= file.size or start >= stop:
            asked.say(416, {"Content-Range": f"bytes */{file.size}", "Content-Type": "text/plain"})
            return
    if wanted is not None and asked.fault and kind == "shifted":
        start = min(start + asked.fault.by, file.size - 1)
    asked.asked.status = 200 if wanted is None else 206
    asked.send_response(asked.asked.status)
    for key, value in headers.items():
        asked.send_header(key, value)
    if wanted is not None:
        asked.send_header("Content-Range", f"bytes {start}-{stop - 1}/{file.size}")
    flipped = asked.fault.after if asked.fault and kind == "changed" else -1

    def read(first: int, last: int) -> bytes:
        raw = bytearray(file.content.read(start + first, start + last))
        if start + first <= flipped < start + last:
            raw[flipped - start - first] ^= 1
        return bytes(raw)

    send(asked, stop - start, read)


def send(asked: Handler, size: int, read: Read) -> None:
    """The rest of the headers, and the body, with what the fault makes of it."""
    fault = asked.fault
    kind = fault.kind if fault else ""
    stop = size
    if fault and kind == "length":
        stop = size + min(fault.by, 0)
        asked.send_header("Content-Length", str(max(0, size + fault.by)))
        asked.send_header("Connection", "close")
    elif kind == "endless":
        asked.send_header("Connection", "close")
    elif asked.asked.status != 204:
        asked.send_header("Content-Length", str(size))
    asked.end_headers()
    if asked.command == "HEAD":
        return
    if fault and kind in ("cut", "reset", "stall"):
        _write(asked, min(fault.after, size), read)
        if kind == "stall":
            time.sleep(fault.seconds)
        end(asked, hard=kind == "reset")
        return
    if fault and kind == "drip":
        _write(asked, size, read, fault.piece, fault.seconds)
        return
    _write(asked, size if stop > size else stop, read)
    while kind == "endless":
        asked.wfile.write(b"x" * PIECE)
        asked.asked.sent += PIECE
    if kind == "length":
        end(asked, hard=False)


def end(asked: Handler, hard: bool) -> None:
    """No more of this connection."""
    asked.close_connection = True
    if hard:
        reset(asked.connection)
    else:
        with contextlib.suppress(OSError):
            asked.wfile.flush()


def _write(asked: Handler, size: int, read: Read, piece: int = PIECE, pause: float = 0.0) -> None:
    for start in range(0, size, piece):
        raw = read(start, min(start + piece, size))
        asked.wfile.write(raw)
        asked.asked.sent += len(raw)
        if pause:
            time.sleep(pause)


def _wanted(asked: Handler, file: File) -> tuple[int, int] | None:
    """The range that is asked for; None where the whole file is, or only a file that has changed since."""
    found = _RANGE.fullmatch(asked.headers.get("Range", "").strip())
    unless = asked.headers.get("If-Range", "")
    if not found or found.groups() == ("", "") or (unless and unless.strip('"') != file.etag):
        return None
    first, last = found.groups()
    if not first:
        return max(0, file.size - int(last)), file.size
    return int(first), min(int(last) + 1, file.size) if last else file.size
