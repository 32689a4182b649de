# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings by the argument specification of their role: one type each, whatever way they came.

What is blank states nothing: the default applies, and inside a mapping the key is left out. `raw` is passed on as it
is, for a reader that knows more of it. What is in a list of mappings is told by who reads it, with the name of the
instance: here only its numbers and switches become such, where they are.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import copy
import re
import typing as t

from .._outside.concealing import MASK, concealed, concealed_text
from .._outside.documents import Json
from . import secret_values, types
from .canonical_json import kind, plain
from .masking import masked
from .names import listed, meant
from .types import WrongError, is_blank

LONGEST_SHOWN = 100
# What no type says.
SHAPES = {
    "vllm_server_serial": (
        re.compile(r"[1-9][0-9]{0,8}|(100|[1-9]?[0-9])%"),
        "write a number of hosts such as 2, a share such as 25%, or a list of them",
    ),
    "vllm_server_prune": (re.compile(r"images|models|caches"), "write images, models or caches, or a list of them"),
}
NOT_SHOWN = "what it is now is not shown, because secrets belong there"


def read(options: Json, given: t.Mapping[str, t.Any], errors: list[str]) -> Json:
    """A value for each option. What is wrong is added to `errors`, a sentence each, and has its default."""
    values = {name: _one(name, option, given.get(name), errors) for name, option in options.items()}
    for name, value in values.items():
        # What is a secret as a whole is where one belongs.
        errors += [] if options[name].get("no_log") else secret_values.errors(name, value)
    return values


def without_secrets(options: Json, values: Json) -> Json:
    """The values for anybody to see: what is `no_log` is not among them, and every other secret is masked.

    So is what stands in a list of mappings under a key that is none: a key that is misspelt may be that of a secret.
    """
    kept = _without_no_log(options, values)
    of_docker = {name: masked(kept[name]) for name in secret_values.MAY_HOLD if name in kept}
    return t.cast("Json", concealed({**kept, **of_docker}))


def _without_no_log(options: Json, values: Json) -> Json:
    kept = {name: value for name, value in values.items() if not options.get(name, {}).get("no_log")}
    for name, value in kept.items():
        inner = options.get(name, {}).get("options", {})
        if isinstance(value, dict):
            kept[name] = _without_no_log(inner, value)
        elif isinstance(value, list):
            kept[name] = [_without_unknown(inner, item) if isinstance(item, dict) else item for item in value]
    return kept


def _without_unknown(options: Json, values: Json) -> Json:
    known = {key: item if key in options or not options else MASK for key, item in values.items()}
    return _without_no_log(options, known)


def _one(where: str, option: Json, value: t.Any, errors: list[str]) -> t.Any:
    if not is_blank(value):
        try:
            found = _typed(where, option, value, errors)
            shape, right = SHAPES.get(where, (None, ""))
            if shape is not None and not all(map(shape.fullmatch, found)):
                raise WrongError(right)
            return found
        except WrongError as wrong:
            errors.append(f"{where} {_what_it_is(option, value)}: {str(wrong).rstrip('.')}.".replace("?.", "?"))
    return copy.deepcopy(option.get("default"))


def _typed(where: str, option: Json, value: t.Any, errors: list[str]) -> t.Any:
    type_ = option["type"]
    if type_ == "list":
        return _listing(option, value)
    if type_ == "dict":
        found = types.mapping(value)
        return mapping(where, option["options"], found, errors) if "options" in option else plain(found, where, errors)
    if "choices" in option:
        return _choice(value, option["choices"])
    found = SCALARS[type_](value)
    # Without the blank around it that a survey or a file leaves; inside a mapping it was meant.
    return found.strip() if isinstance(found, str) and "\n" not in found.strip() and "." not in where else found


SCALARS: dict[str, t.Callable[[t.Any], t.Any]] = {
    "bool": types.switch,
    "float": types.number,
    "int": types.whole,
    # A path of the host: what ~ means there is not known here.
    "path": types.text,
    "raw": lambda value: value,
    "str": types.text,
}


def _choice(value: t.Any, choices: t.Sequence[str]) -> str:
    known = [choice for choice in choices if choice]
    right = f"write {', '.join(known[:-1])} or {known[-1]}"
    # YAML's true where the text is a choice.
    word = str(value).lower() if isinstance(value, bool) else value
    if not isinstance(word, str) or word.strip() not in choices:
        near = meant(word, known).strip() if isinstance(word, str) else ""
        raise WrongError(f"{right}. {near}" if near else right)
    return str.__str__(word).strip()


def _listing(option: Json, value: t.Any) -> list[t.Any]:
    if option.get("elements") == "dict":
        inner = option.get("options", {})
        items = types.mappings(value, [name for name, one in inner.items() if one.get("required")])
        return [{key: _settled(inner.get(key), found) for key, found in item.items()} for item in items]
    return [SCALARS[option.get("elements", "str")](item) for item in types.items(value)]


def _settled(option: Json | None, value: t.Any) -> t.Any:
    """Typed where that is possible."""
    if option is None or option["type"] not in ("bool", "int"):
        return value
    unsaid: list[str] = []
    found = _one("", option, value, unsaid)
    return value if unsaid else found


def mapping(where: str, options: Json, value: Json, errors: list[str]) -> Json:
    """The keys of a mapping that state something, typed. What is wrong is added to `errors`, with `where` it stands."""
    found = {}
    for key, item in value.items():
        if key not in options:
            errors.append(f"{where} has no key {key}; it has {listed(options)}.{meant(key, options)}")
        elif not is_blank(item):
            found[key] = _one(f"{where}.{key}", options[key], item, errors)
    return found


def _what_it_is(option: Json, value: t.Any) -> str:
    if _is_secret(option):
        return f"is of type {kind(value)} ({NOT_SHOWN})"
    return f"is {shown(value)}"


def _is_secret(option: Json) -> bool:
    return bool(option.get("no_log")) or any(map(_is_secret, option.get("options", {}).values()))


def shown(value: t.Any) -> str:
    """A value as an inventory has it, no longer than a line and without secrets."""
    if isinstance(value, bool):
        return str(value).lower()
    told = repr(concealed_text(str.__str__(value))) if isinstance(value, str) else str(concealed(value))
    return told if len(told) <= LONGEST_SHOWN else f"{told[:LONGEST_SHOWN]}..."
