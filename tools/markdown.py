# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns Ansible's documentation, as data, into Markdown: markup, options, return values."""

from __future__ import annotations

import json
import re
import typing as t

from antsibull_docs_parser import dom
from antsibull_docs_parser.parser import Context, parse

Paragraphs = str | list[str]
# Of a role's argument specification; plugins/plugin_utils/role_settings.py says why it is not `main`.
ROLE_ENTRY_POINT: t.Final = "settings"


def _named(name: str, value: str | None) -> str:
    return f"`{name}`" if value is None else f"`{name}={value}`"


def _part(part: dom.AnyPart) -> str:  # noqa: C901, PLR0912
    match part:
        case dom.TextPart() | dom.RSTRefPart():
            return part.text
        case dom.ItalicPart():
            return f"*{part.text}*"
        case dom.BoldPart():
            return f"**{part.text}**"
        case dom.CodePart():
            return f"`{part.text}`"
        case dom.OptionValuePart():
            return f"`{part.value}`"
        case dom.EnvVariablePart():
            return f"`{part.name}`"
        case dom.OptionNamePart() | dom.ReturnValuePart():
            return _named(part.name, part.value)
        case dom.ModulePart():
            return f"`{part.fqcn}`"
        case dom.PluginPart():
            return f"`{part.plugin.fqcn}`"
        case dom.URLPart():
            return f"<{part.url}>"
        case dom.LinkPart():
            return f"[{part.text}]({part.url})"
        case dom.HorizontalLinePart():
            return "\n\n---\n\n"
        case dom.ErrorPart():
            raise ValueError(part.message)


def paragraphs(text: Paragraphs | None, plugin: dom.PluginIdentifier | None = None) -> list[str]:
    """Return paragraphs of Ansible markup as paragraphs of Markdown; ValueError where the markup is wrong."""
    given = [text] if isinstance(text, str) else (text or [])
    parsed = parse(
        given, Context(current_plugin=plugin, role_entrypoint=ROLE_ENTRY_POINT), errors="message", strict=True
    )
    return ["".join(_part(part) for part in paragraph).strip() for paragraph in parsed]


def yaml_value(value: object) -> str:
    """Return a default or a choice the way YAML would have it on one line."""
    if isinstance(value, str):
        return value if re.fullmatch(r"[\w./:-]+", value) else json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)


def _type(option: dict[str, t.Any]) -> str:
    name = str(option.get("type", "str"))
    elements = option.get("elements")
    return f"{name} of {elements}" if elements else name


def facts_of(option: dict[str, t.Any]) -> str:
    """Return the line of an option that says type, default or requirement, and choices."""
    facts = [_type(option)]
    if option.get("required"):
        facts.append("**required**")
    elif option.get("default") is not None:
        facts.append(f"default `{yaml_value(option['default'])}`")
    if option.get("choices"):
        facts.append("one of " + ", ".join(f"`{yaml_value(choice)}`" for choice in option["choices"]))
    return ", ".join(facts)


def _indent(lines: t.Iterable[str], by: str) -> list[str]:
    return [f"{by}{line}" if line else "" for line in lines]


def nested(
    entries: dict[str, dict[str, t.Any]], children: str, plugin: dom.PluginIdentifier | None = None
) -> list[str]:
    """Return options or return values as a nested list; ``children`` is the key their own entries stand under."""
    lines: list[str] = []
    for name, entry in entries.items():
        about = " ".join(paragraphs(entry.get("description"), plugin))
        lines.append(f"- `{name}` ({facts_of(entry)}): {about}")
        if entry.get("returned"):
            lines.append(f"  Returned: {' '.join(paragraphs(entry['returned'], plugin))}.")
        lines.extend(_indent(nested(entry.get(children) or {}, children, plugin), "  "))
    return lines


def sections(
    options: dict[str, dict[str, t.Any]], children: str, plugin: dom.PluginIdentifier | None = None
) -> list[str]:
    """Return options or return values with a heading each, and what lies inside them as lists."""
    lines: list[str] = []
    for name, option in options.items():
        lines += [f"### `{name}`", "", facts_of(option), ""]
        if option.get("returned"):
            lines += [f"Returned: {' '.join(paragraphs(option['returned'], plugin))}.", ""]
        for paragraph in paragraphs(option.get("description"), plugin):
            lines += [paragraph, ""]
        inner = nested(option.get(children) or {}, children, plugin)
        if inner:
            lines += [*inner, ""]
    return lines
