# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments that one vLLM release takes.

Source: `history.json` (one list of spans per argument, over all releases known to the collection) and `VERSION.json`
read from an image, both as described in the README beside them.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import typing as t

from .._outside.documents import Json

Version = tuple[int, int, int]
Value = t.TypeVar("Value")
VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)((?:\.?(?:rc|a|b|dev|post)\d+)*)(\+[\w.]+)?")
# From this release on the image's entry point is `vllm serve` and the model is its positional argument.
SERVE_ENTRYPOINT: Version = (0, 11, 1)


class UnknownVersionError(ValueError):
    """A version for which no arguments are known; the text says what to do."""


@dataclasses.dataclass(frozen=True)
class Argument:
    """One option of the parser. `type` is switch, flag, int, float, str, size, json or str_or_json."""

    name: str
    type: str
    many: bool | str = False
    choices: tuple[t.Any, ...] = ()
    open: bool = False
    aliases: tuple[str, ...] = ()
    deprecated: bool = False
    default: t.Any = None

    @classmethod
    def of(cls, name: str, data: t.Mapping[str, t.Any]) -> Argument:
        return cls(
            name=name,
            type=data["type"],
            many=data.get("many", False),
            choices=tuple(data.get("choices", ())),
            open=bool(data.get("open", False)),
            aliases=tuple(data.get("aliases", ())),
            deprecated=bool(data.get("deprecated", False)),
            default=data.get("default", False if data["type"] in ("switch", "flag") else None),
        )


@dataclasses.dataclass(frozen=True)
class Schema:
    """The arguments of one release, and what is known of those that it has no longer or not yet."""

    version: str
    read_from: str
    arguments: t.Mapping[str, Argument]
    reasoning_parsers: frozenset[str] = frozenset()
    tool_parsers: frozenset[str] = frozenset()
    quantization_methods: frozenset[str] = frozenset()
    environment: frozenset[str] = frozenset()
    gone: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    coming: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    image_id: str = ""

    def aliases(self) -> dict[str, str]:
        """Short and second names to the one that is rendered."""
        return {alias: argument.name for argument in self.arguments.values() for alias in argument.aliases}


@functools.cache
def version_key(version: str) -> Version:
    """Major, minor and patch; raises UnknownVersionError."""
    match = VERSION.fullmatch(version.strip())
    if match is None:
        raise UnknownVersionError(
            f"The vLLM version '{version}' is not of the form 0.32.0: state the release that the image was built from."
        )
    return int(match[1]), int(match[2]), int(match[3])


def version_text(version: Version) -> str:
    """A release as people write it."""
    return ".".join(map(str, version))


def of_release(rows: t.Sequence[tuple[Version, Value]], at: Version) -> Value | None:
    """The value of rows (first release, value), newest first, that holds for a release; None where none does."""
    return next((value for first, value in rows if at >= first), None)


def serves_with_subcommand(version: str) -> bool:
    """Whether the image's entry point is `vllm serve`."""
    return version_key(version) >= SERVE_ENTRYPOINT


def resolve(version: str, history: Json, readings: t.Mapping[str, Json]) -> Schema:
    """The schema of a version: read from its image, else from the history, else that of the nearest older release.

    Raises UnknownVersionError where there is no older one.
    """
    wanted = version_key(version)
    for name, reading in readings.items():
        if version_key(name) == wanted:
            return _from_reading(version, name, reading, history)
    older = [known for known in history["versions"] if version_key(known) <= wanted]
    if not older:
        raise UnknownVersionError(
            f"No engine arguments are known for vLLM {version}: the oldest known release is {history['versions'][0]}. "
            "Use a newer image, or read the arguments from this one (see roles/vllm_server/files/engine_args)."
        )
    return _from_history(version, max(older, key=version_key), history)


def _past(marks: t.Iterable[str], version: Version) -> int:
    return sum(version_key(mark) <= version for mark in marks)


def _present(marks: t.Mapping[str, list[str]], version: Version) -> frozenset[str]:
    """Names whose last mark (since, gone, since again ...) makes them present."""
    return frozenset(name for name, changes in marks.items() if _past(changes, version) % 2)


def _absent(history: Json, version: Version) -> tuple[dict[str, str], dict[str, str]]:
    gone: dict[str, str] = {}
    coming: dict[str, str] = {}
    for name, spans in history["arguments"].items():
        past = [span for span in spans if version_key(span["since"]) <= version]
        later = [span for span in spans if version_key(span["since"]) > version]
        if past and past[-1].get("gone"):
            gone[name] = past[-1]["since"]
        elif not past and later:
            coming[name] = later[0]["since"]
    return gone, coming


def _from_history(version: str, known: str, history: Json) -> Schema:
    at = version_key(known)
    arguments = {}
    for name, spans in history["arguments"].items():
        past = [span for span in spans if version_key(span["since"]) <= at]
        if past and not past[-1].get("gone"):
            arguments[name] = Argument.of(name, past[-1])
    gone, coming = _absent(history, at)
    exact = at == version_key(version)
    return Schema(
        version=version,
        read_from=known,
        arguments=arguments,
        reasoning_parsers=_present(history["reasoning_parsers"], at),
        tool_parsers=_present(history["tool_parsers"], at),
        quantization_methods=_present(history["quantization_methods"], at),
        environment=_present(history["environment"], at),
        gone=gone,
        coming=coming,
        warnings=() if exact else (_nearest_text(version, known),),
    )


def _nearest_text(version: str, known: str) -> str:
    return (
        f"The arguments of vLLM {version} are not known to the collection; they are checked against those of {known}, "
        "the nearest older release. The image's own parser has the last word."
    )


def _from_reading(version: str, name: str, reading: Json, history: Json) -> Schema:
    at = version_key(name)
    gone, coming = _absent(history, at)
    arguments = {key: Argument.of(key, data) for key, data in reading["arguments"].items()}
    return Schema(
        version=version,
        read_from=name,
        arguments=arguments,
        reasoning_parsers=frozenset(reading["reasoning_parsers"]),
        tool_parsers=frozenset(reading["tool_parsers"]),
        quantization_methods=frozenset(reading["quantization_methods"]),
        environment=frozenset(reading["environment"]),
        image_id=str((reading.get("image") or {}).get("id") or ""),
        gone={key: since for key, since in gone.items() if key not in arguments},
        coming={key: since for key, since in coming.items() if key not in arguments},
    )
