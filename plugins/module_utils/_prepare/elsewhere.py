# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository of apt that the host has already, from a file that is not ours.

apt reads no source at all where two of them name different keys for one repository. So the host's own is used, with
its key, if that is the right one.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from . import archive
from .files import Files
from .placing import Offer
from .repository import Apt

_NO_LINE = re.compile(r"^[ \t]*\.?", re.MULTILINE)


def offers(of: Apt, files: Files, listed: t.Callable[[str], list[str]], replaced: t.Container[str] = ()) -> list[Offer]:
    """The files of the host that offer this repository too; those that are replaced do not count."""
    names = [name for name in listed(archive.FOLDER) if name.endswith((".list", ".sources"))]
    paths = [archive.SOURCES, *(f"{archive.FOLDER}/{name}" for name in sorted(names))]
    found = []
    for path in paths:
        if path in replaced or path == of.source_path:
            continue
        text = (files.read(path) or b"").decode("utf-8", "replace")
        found += [
            Offer(path, _key(dict(source.fields).get("Signed-By", ""), files))
            for source in archive.sources({path: text})
            if set(source.uris) & {uri.rstrip("/") for uri in of.uris} and set(source.suites) & set(of.suites)
        ]
    return found


def _key(signed_by: str, files: Files) -> bytes | None:
    """The key that a source names: in a file, or written into the source itself."""
    if "BEGIN PGP" in signed_by:
        return _NO_LINE.sub("", signed_by).encode()
    path = signed_by.split(maxsplit=1)[0] if signed_by else ""
    return files.read(path) if path.startswith("/") else None
