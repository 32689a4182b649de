# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every variable of every role and playbook, in every way that people write it.

Made from the argument specifications, so that an option which is added is covered by itself.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import typing as t

from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings

Json = dict[str, t.Any]
BLANK: t.Final = ("", "   ", "\n", None)


@dataclasses.dataclass(frozen=True)
class Written:
    """A value as it is written, and what it means."""

    value: t.Any
    means: t.Any


# Natives come first: what stands in a group var.
SWITCHES = [(True, "true"), (False, "false"), (True, "True"), (False, " No "), (True, "1"), (False, "0"), (True, "on"),
            (False, "off"), (True, "yes"), (True, 1), (False, 0), (True, "y"), (False, "f")]  # fmt: skip
BOOL = [Written(True, True), Written(False, False), *(Written(text, means) for means, text in SWITCHES)]
INT = [Written(7, 7), Written("7", 7), Written(" 7\n", 7), Written("0", 0), Written(7.0, 7)]
FLOAT = [Written(2.5, 2.5), Written("2.5", 2.5), Written(2, 2), Written(" 2 ", 2)]
TEXT = [
    Written("some", "some"),
    Written(" some\n", "some"),
    Written(580, "580"),
    Written("0", "0"),
    Written("no", "no"),
]
DICT = [Written({"b": 1}, {"b": 1}), Written('{"b": 1}', {"b": 1}), Written(' {"a": [true]}', {"a": [True]}),
        Written({}, {}), Written("{}", {})]  # fmt: skip


def _mappings(key: str) -> list[Written]:
    """Of one entry, by a key that its options have: what stands under another is not shown."""
    return [Written([{key: "a"}], [{key: "a"}]), Written(f'[{{"{key}": "a"}}]', [{key: "a"}]), Written([], [])]


WRONG: dict[str, list[t.Any]] = {
    "bool": ["maybe", 2, 1.0, ["true"], "null", {"a": 1}],
    "int": ["soon", "1.5", 1.5, True, "1e9", "1e999999999", "inf", float("inf"), [1], "٣٣٣x"],
    "float": ["fast", True, "nan", float("inf"), [1.0], "1e400"],
    "str": [["some"], {"a": 1}, True, 12.10],
    "list": [{"a": 1}, True, '["a"', 1.5],
    "mappings": [["some"], {"a": 1}, '[{"a": 1}', "some", True],
    "dict": ["some", ["some"], '{"a"', '{"a": 1, "a": 2}', True, 7],
    "raw": [],
}
# Values that a type alone does not say.
SPECIMENS: dict[str, list[str]] = {"vllm_server_serial": ["1", "50%"], "vllm_server_prune": ["images", "caches"]}
WRONG_SPECIMENS: dict[str, list[t.Any]] = {
    "vllm_server_serial": ["all", "0", "50 %", "-1", ["1", "x"]],
    "vllm_server_prune": ["all", ["images", "x"]],
}


def _kind(option: Json) -> str:
    kind = str(option["type"])
    if kind == "list" and option.get("elements") == "dict":
        return "mappings"
    return "str" if kind == "path" else kind


def _listed(items: t.Sequence[str]) -> list[Written]:
    means = list(items)
    return [
        Written(means, means),
        Written(",".join(items), means),
        Written(f" {' , '.join(items)}\n", means),
        Written(json.dumps(means), means),
        Written("\n".join([*items, ""]), means),
        Written([*items, ""], means),
        Written(items[0], [items[0]]),
        Written([], []),
    ]


def right(name: str, option: Json) -> list[Written]:
    """The ways to write an option, the first of them native."""
    kind = _kind(option)
    if "choices" in option:
        stated = [choice for choice in option["choices"] if choice]
        return [Written(choice, choice) for choice in stated] + [Written(f" {stated[0]}\n", stated[0])]
    if kind == "dict" and "options" in option:
        return _nested(name, option["options"])
    if kind == "list":
        return _listed(SPECIMENS.get(name, ["some", "other"]))
    if kind == "str" and "." in name:
        return [one for one in TEXT if one.value == one.means] + [Written(" some", " some"), Written(580, "580")]
    if kind == "mappings":
        return _mappings("name" if "name" in option.get("options", {"name": {}}) else "model")
    known = {"bool": BOOL, "int": INT, "float": FLOAT, "str": TEXT, "dict": DICT}
    return known.get(kind, [Written(["some"], ["some"])])


def _nested(name: str, options: Json) -> list[Written]:
    """All keys in their first way, in their second, and so on; then as JSON; then each of them blank."""
    ways = {key: right(f"{name}.{key}", option) for key, option in options.items()}
    rows = [
        {key: row for key, row in zip(ways, column, strict=True) if row is not None}
        for column in itertools.zip_longest(*ways.values())
    ]
    found = [
        Written({key: one.value for key, one in row.items()}, {key: one.means for key, one in row.items()})
        for row in rows
    ]
    return [
        *found,
        Written(json.dumps(found[0].value), found[0].means),
        *(Written(dict.fromkeys(ways, blank), {}) for blank in BLANK),
    ]


def wrong(name: str, option: Json) -> list[tuple[t.Any, str]]:
    """Values that are refused, each with the name that the refusal has to have."""
    if "choices" in option:
        return [(value, name) for value in ("no-such", ["some"], 5)]
    nested = option.get("options", {}) if option["type"] == "dict" else {}
    found = [(value, name) for value in [*WRONG[_kind(option)], *WRONG_SPECIMENS.get(name, [])]]
    found += [({"no_such": 1}, name)] if nested else []
    for key, inner in nested.items():
        found += [({key: value}, place) for value, place in wrong(f"{name}.{key}", inner)]
    return found


def every_option() -> dict[str, Json]:
    """All variables, with their options."""
    return {
        name: option
        for role in role_settings.roles()
        for options in role_settings.specification(role).values()
        for name, option in options.items()
    }


def column(written: t.Callable[[list[Written]], Written | None], options: t.Mapping[str, Json]) -> tuple[Json, Json]:
    """One way to write each of the options, and what all of it means."""
    found = {name: chosen for name, option in options.items() if (chosen := written(right(name, option)))}
    return {name: one.value for name, one in found.items()}, {name: one.means for name, one in found.items()}
