# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages of docs/ as pages of the site: where their links lead there, and which tables of contents an index makes."""

from __future__ import annotations

import posixpath
import re
import typing as t

FORGE: t.Final = "https://github.com/gpufleet/ansible-vllm"
DOCS: t.Final = "docs"
# Made by antsibull-docs: more can be found there than on the forge's pages of the same things.
REFERENCE: t.Final = "reference"
INDEX: t.Final = f"{DOCS}/README.md"
# Headings of the forge's pages; any other anchor there is an option.
_PARTS: t.Final = {"requirements", "attributes", "parameters", "variables", "notes", "examples", "return-values"}
_KINDS: t.Final = {f"{DOCS}/modules/": "module", f"{DOCS}/roles/": "role"}
_CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)")
_SECTION = re.compile(r"^## (.*)$", re.MULTILINE)
_OWN_CONTENTS = re.compile(r"^\.\. contents::.*\n(?: +.*\n)*", re.MULTILINE)
# A line of a list or of a table that begins with a page.
_ENTRY = re.compile(r"^(?:- |\| )\[([^\]]+)\]\(([\w./-]+\.md)\)", re.MULTILINE)


def _placed(path: str, anchor: str, page: str, is_folder: t.Callable[[str], bool]) -> str:
    """Where a link of a page leads on the site; all paths are of the checkout."""
    if not path:
        return f"#{anchor}"
    target = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
    for folder, kind in _KINDS.items():
        if target == folder.rstrip("/"):
            return posixpath.relpath(f"{DOCS}/{REFERENCE}/index.rst", posixpath.dirname(page))
        if target.startswith(folder):
            name = f"{posixpath.basename(target).removesuffix('.md')}_{kind}"
            if anchor and anchor not in _PARTS:
                return f"#ansible_collections.gpufleet.vllm.{name}__parameter-{anchor}"
            return posixpath.relpath(f"{DOCS}/{REFERENCE}/{name}.rst", posixpath.dirname(page))
    fragment = f"#{anchor}" if anchor else ""
    if target == INDEX:
        return posixpath.relpath(f"{DOCS}/index.md", posixpath.dirname(page)) + fragment
    if target.startswith(f"{DOCS}/"):
        return path + fragment
    return f"{FORGE}/{'tree' if is_folder(target) else 'blob'}/main/{target}{fragment}"


def linked(text: str, page: str, is_folder: t.Callable[[str], bool]) -> str:
    """Return a page with its links as they are on the site. PAGE is its path in the checkout; code stays as it is."""
    parts = _CODE.split(text)
    parts[::2] = [
        _LINK.sub(lambda found: f"]({_placed(found[1], found[2] or '', page, is_folder)})", part) for part in parts[::2]
    ]
    return "".join(parts)


def without_own_contents(text: str) -> str:
    """Return a page of the reference without its list of sections, which every page has at its side."""
    return _OWN_CONTENTS.sub("", text)


def entries(text: str) -> list[str]:
    """The pages that an index lists, without those of which it lists a part."""
    return [path for _title, path in _ENTRY.findall(text)]


def _contents(caption: str, listed: list[tuple[str, str]]) -> str:
    lines = [f"{title} <{path}>" for title, path in listed]
    head = ["```{toctree}", ":hidden:", *([f":caption: {caption}"] if caption else []), ""]
    return "\n".join(["", *head, *lines, "```", ""])


def with_contents(text: str, more: t.Mapping[str, tuple[str, str]] | None = None) -> str:
    """Return an index with a table of contents for each of its sections that lists pages.

    MORE are entries, (title, page), for the end of the section that is named.
    """
    parts = _SECTION.split(text)
    captions = ["", *parts[1::2]]
    tables = []
    for caption, body in zip(captions, parts[::2], strict=True):
        listed = [(title, path) for title, path in _ENTRY.findall(body) if not path.startswith("../")]
        listed += [more[caption]] if more and caption in more else []
        tables += [_contents(caption, listed)] if listed else []
    return text.rstrip("\n") + "\n" + "".join(tables)
