# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where models come from that no hub has, as people state it: by a model's name an address, or a path of the host or of
the control node.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os.path
import re
import typing as t
from urllib.parse import urlsplit

from .._outside.documents import Json
from . import types
from .model_places import CONTROL_NODE, is_path

VARIABLE = "vllm_server_model_sources"
_NAME = re.compile(r"(?!.*(?:\.\.|--))[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")
_SECRET = re.compile(r"[?#@]")
HELP = (
    "write an address such as https://models.example.com/acme/tuned, a path of a folder or a tar on the host, or "
    f"{CONTROL_NODE} and one on the control node"
)


def read(value: t.Any, errors: list[str]) -> dict[str, str]:
    """By models; what is wrong is added to `errors`, without what may be a password."""
    found: dict[str, str] = {}
    unset: Json = {}
    for name, given in types.stated(types.mapping, value, VARIABLE, errors, unset).items():
        where = f"{VARIABLE}[{str(name)[:200]!r}]"
        source = given.strip() if isinstance(given, str) else ""
        if not _NAME.fullmatch(str(name)):
            errors.append(f"{where}: write the name that instances have in `model`, as ORGANISATION/NAME.")
        elif not isinstance(given, str) or not source.isprintable() or not source:
            errors.append(f"{where} is no text, or an empty one: {HELP}.")
        elif is_path(source):
            prefix = CONTROL_NODE if source.startswith(CONTROL_NODE) else ""
            path = source[len(prefix) :]
            if ".." in path.split("/") or not path.startswith("/") or not path.rstrip("/"):
                errors.append(f"{where} is {source[:200]!r}: {HELP}.")
            else:
                found[str(name)] = prefix + os.path.normpath(path)
        else:
            wrong = _address_problem(source)
            errors += [f"{where} {wrong}: {HELP}."] if wrong else []
            if not wrong:
                found[str(name)] = source.rstrip("/")
    return found


def _address_problem(source: str) -> str:
    """What is wrong with an address; its text is not repeated where it may hold a secret."""
    if _SECRET.search(source):
        return "has a query, a fragment or credentials in it, which are sent nowhere from here"
    try:
        where = urlsplit(source)
        sound = where.scheme in ("http", "https") and bool(where.hostname) and where.port != 0
    except ValueError:
        sound = False
    return "" if sound and source.isascii() and " " not in source else f"is {source[:200]!r}"
