# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a text is what vLLM will read it as: a chat template, or JSON.

A template is parsed and never compiled: Jinja works out constants on the way, and `9**9**9` would never end.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

from ansible_collections.gpufleet.vllm.plugins.module_utils._model.reading import document


class Generation(Extension):
    """The block `{% generation %}`, which transformers adds to Jinja."""

    tags = {"generation"}  # noqa: RUF012 - as the base class has it

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


# As transformers renders chat templates.
ENVIRONMENT = jinja2.Environment(
    autoescape=False,
    trim_blocks=True,
    lstrip_blocks=True,
    extensions=[Generation, "jinja2.ext.loopcontrols"],
)


def problems(text: str) -> dict[str, str]:
    """By what it would be read as; each continues a sentence that begins with the file's name."""
    found = {"template": _template(text), "json": _json(text)}
    return {kind: problem for kind, problem in found.items() if problem}


def _template(text: str) -> str:
    try:
        tree = ENVIRONMENT.parse(text)
        used = [(ENVIRONMENT.filters, "filter", one.name) for one in tree.find_all(nodes.Filter)]
        used += [(ENVIRONMENT.tests, "test", one.name) for one in tree.find_all(nodes.Test)]
    except jinja2.TemplateSyntaxError as error:
        return f"is no chat template that compiles: line {error.lineno}, {error.message}"
    except RecursionError:
        return "is no chat template that compiles: it is nested too deep"
    unknown = next(((what, name) for known, what, name in used if name not in known), None)
    return f"is no chat template that compiles: Jinja has no {unknown[0]} {unknown[1]!r}" if unknown else ""


def _json(text: str) -> str:
    try:
        found = document(text)
    except ValueError as error:
        return f"is no valid JSON ({error})"
    return "" if isinstance(found, dict) else "holds no JSON object"
