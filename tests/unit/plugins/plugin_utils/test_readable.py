# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chat templates that compile, and those that do not."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.plugin_utils import readable

# What templates of models use beyond Jinja: tojson, loop controls, the block of transformers, functions of vLLM.
RIGHT = """{%- if tools %}{{ tools | tojson(indent=4) }}{%- endif %}
{%- for message in messages -%}
  {%- if loop.index0 > 9 %}{% break %}{% endif %}
  {%- if message.role is not string %}{{ raise_exception("x") }}{% endif %}
  {%- generation %}{{ message.content | trim }}{% endgeneration %}
{%- endfor %}{{ strftime_now("%Y") }}{{ 9**9**9**9 }}{{ "a" | center(99999999999) }}"""


def test_a_template_as_models_have_it_and_constants_cost_nothing() -> None:
    assert "template" not in readable.problems(RIGHT)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{% if x %}", "line 1, Unexpected end of template"),
        ("a\n{{ x", "line 2, unexpected end of template"),
        ("{{ x | shout }}", "Jinja has no filter 'shout'"),
        ("{% if x is loud %}{% endif %}", "Jinja has no test 'loud'"),
        ("{% nothing %}", "Encountered unknown tag 'nothing'"),
        ("{% generation %}", "Unexpected end of template"),
        ("{{ " + "(" * 5000, "nested too deep"),
    ],
)
def test_a_template_that_does_not_compile(text: str, words: str) -> None:
    assert words in readable.problems(text)["template"]


@pytest.mark.parametrize(
    ("text", "words"), [('{"a": 1}', ""), ("{", "is no valid JSON"), ("[]", "holds no JSON object")]
)
def test_json(text: str, words: str) -> None:
    found = readable.problems(text).get("json", "")
    assert words in found
    assert bool(found) == bool(words)
