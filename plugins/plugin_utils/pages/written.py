# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report is written to: a table on a terminal, files of the control node.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import json
import os
import pathlib
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.printable import printable

# Characters of a cell: every other line is padded to the longest one.
CELL = 240


def now() -> str:
    """The time in UTC, ISO 8601."""
    return dt.datetime.now(tz=dt.UTC).isoformat(timespec="seconds")


def document(gathered: Json) -> str:
    return json.dumps(gathered, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def files(
    makers: t.Iterable[tuple[str, t.Callable[[Json], str]]], args: Json, gathered: Json
) -> tuple[dict[str, str], list[str]]:
    """Write what is asked for: the paths by their option, and what went wrong. MAKERS make the text of an option."""
    written: dict[str, str] = {}
    problems: list[str] = []
    for option, make in makers:
        if args[option]:
            target = os.path.abspath(args[option])
            if target in written.values():
                problems.append(
                    f"{option}: {printable(target)} is written already, and would be lost: name another one."
                )
                continue
            written[option] = target
            problems += write(written[option], option, make(gathered))
    return written, problems


def write(target: str, option: str, text: str) -> list[str]:
    """Whole or not at all: a reader never finds half a file."""
    path = pathlib.Path(target)
    part = None
    try:
        if not path.name:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        part = path.with_name(f".{path.name}.{os.getpid()}")
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except (OSError, ValueError) as error:  # a ValueError of a path that is none, or of half a character
        if part is not None:
            with contextlib.suppress(OSError, ValueError):
                part.unlink()
        why = printable(getattr(error, "strerror", None) or error)
        return [f"{option}: {printable(target)} cannot be written ({why}): name a file in a folder that is there."]
    return []


def table(headings: t.Sequence[str], rows: t.Sequence[t.Sequence[str]], right: t.Collection[int] = ()) -> list[str]:
    """Lines with columns as wide as they have to be; those of RIGHT end where the others begin. None without rows.

    A cell is one line, whoever wrote it: what ends a line would make one that looks like another host's.
    """
    if not rows:
        return []
    rows = [[shortened(printable(cell), CELL) for cell in cells] for cells in rows]
    widths = [max(len(line[column]) for line in (headings, *rows)) for column in range(len(headings))]
    return [_line(cells, widths, right) for cells in (headings, *rows)]


def shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _line(cells: t.Sequence[str], widths: t.Sequence[int], right: t.Collection[int]) -> str:
    padded = [
        f"{cell:>{width}}" if column in right else f"{cell:<{width}}"
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()
