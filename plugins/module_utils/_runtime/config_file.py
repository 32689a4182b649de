# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of daemon.json, read as Docker reads it, and refused where a rewrite would lose some of it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import codecs
import json
import re
import typing as t

from .._outside.documents import Json

# Docker decodes by the mark at the beginning, and takes UTF-8 where there is none.
MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
MOST = 1024 * 1024  # bytes; those that people write have a few hundred
KINDS = {"list": "a list", "str": "a text", "int": "a number", "float": "a number", "bool": "a truth value"}
# What Docker wants of the settings that are compared here, and what it is called.
SHAPES: t.Final = {
    **dict.fromkeys(("log-opts", "default-ulimits", "features", "runtimes"), dict),
    **dict.fromkeys(("insecure-registries", "registry-mirrors", "exec-opts", "storage-opts"), list),
    **dict.fromkeys(("log-driver", "data-root", "default-runtime"), str),
    "live-restore": bool,
}
NAMES: t.Final = {dict: "an object", list: "a list of texts", str: "a text", bool: "true or false"}
_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|[{}]')


class BadFile(Exception):
    """daemon.json cannot be read as one JSON object; the text says where."""


def parsed(raw: bytes, path: str) -> Json:
    """The content; an empty file is an empty object, and what is null is not set. Raises BadFile, with the place."""
    if len(raw) > MOST:
        raise _bad(path, f"has {len(raw)} bytes, which is more than anybody writes", "see what it is")
    text = _decoded(raw, path)
    if not text.strip():
        return {}
    try:
        found = json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}: {error.msg}"
        raise _bad(path, f"is no valid JSON ({where})") from error
    except (ValueError, RecursionError) as error:
        raise _bad(path, f"is no valid JSON ({error})") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise _bad(path, f"holds {KINDS[type(found).__name__]}, expected a JSON object")
    twice = _twice(text)
    if twice:
        raise _bad(path, f"says {twice}", "merge the two, of which Docker would take what it likes")
    settings = {key: value for key, value in found.items() if value is not None}
    for key, value in settings.items():
        if not _fits(value, SHAPES.get(key)):
            raise _bad(path, f"has {key}, expected {NAMES[SHAPES[key]]}")
    return settings


def rendered(config: Json) -> str:
    return json.dumps(config, indent=4) + "\n"


def _fits(value: t.Any, shape: type | None) -> bool:
    if shape is None:
        return True
    if isinstance(value, list):
        return shape is list and all(isinstance(entry, str) for entry in value)
    return isinstance(value, shape)


def _decoded(raw: bytes, path: str) -> str:
    mark, encoding = next((pair for pair in MARKS if raw.startswith(pair[0])), (b"", "utf-8"))
    try:
        return raw[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[: len(mark) + error.start].count(b"\n") + 1
        raise _bad(path, f"is not in UTF-8 (line {line})", "save it as UTF-8") from error


def _no_number(word: str) -> t.NoReturn:
    raise ValueError(f"{word} is no number")


def _twice(text: str) -> str:
    """The first key that an object of this valid JSON has twice, with its place; '' where there is none."""
    objects: list[set[str]] = []
    for token in _TOKEN.finditer(text):
        if token.group() == "{":
            objects.append(set())
        elif token.group() == "}":
            objects.pop()
        elif token.group(2):
            key = json.loads(token.group(1))
            if key in objects[-1]:
                before = text[: token.start()]
                line, column = before.count("\n") + 1, token.start() - before.rfind("\n")
                return f"{json.dumps(key)} a second time (line {line} column {column})"
            objects[-1].add(key)
    return ""


def _bad(path: str, what: str, remedy: str = "correct it") -> BadFile:
    return BadFile(f"{path} {what}. It was left alone: {remedy}, and run this again")
