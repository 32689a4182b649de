#!/usr/bin/env python3
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a CUDA library smaller: fatbin.py FROM TO [--keep-ptx] keeps the device code of one compute capability.

A fat binary is a row of containers, each a header and entries: machine code (cubin) or PTX for one architecture. What
goes is zeros then, which pack to nothing, so that every address in the library stays.
"""

from __future__ import annotations

import pathlib
import struct
import sys
import typing as t
from dataclasses import dataclass

MAGIC = b"\x50\xed\x55\xba"
SECTIONS = (".nv_fatbin", "__nv_relfatbin")
PTX, CUBIN = 1, 2
ARCHITECTURE = 90


@dataclass(frozen=True)
class Entry:
    """One piece of device code: where it begins, the lengths of its header and of itself, its kind and architecture."""

    place: int
    header: int
    size: int
    kind: int
    architecture: int


def sections(library: bytearray) -> dict[str, tuple[int, int]]:
    """Place and size of each section of an ELF file, by name."""
    table = struct.unpack_from("<Q", library, 0x28)[0]
    size, count, names = struct.unpack_from("<HHH", library, 0x3A)
    headers = [struct.unpack_from("<IIQQQQIIQQ", library, table + number * size) for number in range(count)]
    texts = headers[names][4]
    found = {}
    for header in headers:
        end = library.index(b"\0", texts + header[0])
        found[bytes(library[texts + header[0] : end]).decode()] = (header[4], header[5])
    return found


def containers(library: bytearray) -> t.Iterator[tuple[int, int, int]]:
    """Place, length of the header, and size of each container."""
    known = sections(library)
    for name in SECTIONS:
        place, size = known.get(name, (0, 0))
        end = place + size
        while place < end - 16:
            if library[place : place + 4] != MAGIC:
                place += 8
                continue
            _version, header, held = struct.unpack_from("<HHQ", library, place + 4)
            yield place, header, held
            place += header + held


def entries(library: bytearray, place: int, end: int) -> t.Iterator[Entry]:
    while place < end - 64:
        kind, _version, header, size = struct.unpack_from("<HHIQ", library, place)
        architecture = struct.unpack_from("<I", library, place + 28)[0]
        yield Entry(place, header, size, kind, architecture)
        place += header + size


def kept(found: t.Sequence[Entry], keep_ptx: bool) -> list[Entry]:
    own = [one for one in found if one.kind == CUBIN and one.architecture == ARCHITECTURE]
    if own or not keep_ptx:
        return own
    return [one for one in found if one.kind == PTX and one.architecture <= ARCHITECTURE]


def trim(library: bytearray, keep_ptx: bool) -> int:
    """Zero what is not kept; how many bytes that is."""
    zeroed = 0
    for place, header, held in containers(library):
        start = place + header
        found = list(entries(library, start, start + held))
        pieces = [bytes(library[one.place : one.place + one.header + one.size]) for one in kept(found, keep_ptx)]
        if not pieces and found:
            # The header of a foreign one stays: whoever uses it is told that there is no kernel image.
            one = min([one for one in found if one.kind == CUBIN] or found, key=lambda one: one.size)
            pieces = [bytes(library[one.place : one.place + one.header]) + bytes(one.size)]
        body = b"".join(pieces)
        struct.pack_into("<Q", library, place + 8, len(body))
        library[start : start + held] = body + bytes(held - len(body))
        zeroed += held - len(body)
    return zeroed


def main(source: str, target: str, *options: str) -> None:
    library = bytearray(pathlib.Path(source).read_bytes())
    zeroed = trim(library, "--keep-ptx" in options)
    pathlib.Path(target).write_bytes(library)
    print(f"{target}: {zeroed} of {len(library)} bytes are zeros now")


if __name__ == "__main__":
    main(*sys.argv[1:])
