# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference says what the documentation says, and is told when it does not."""

from __future__ import annotations

import pytest
from antsibull_docs_parser import dom

from ansible_collections.gpufleet.vllm.tools import markdown, reference

MODULE = dom.PluginIdentifier("gpufleet.vllm.gpu_facts", "module")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max_num_seqs in C(vllm serve)", "max_num_seqs in `vllm serve`"),
        ("O(state_dir) or O(state_dir=/x)", "`state_dir` or `state_dir=/x`"),
        ("V(true), RV(gpus[].uuid), E(HF_TOKEN)", "`true`, `gpus[].uuid`, `HF_TOKEN`"),
        ("M(gpufleet.vllm.vllm_plan) P(gpufleet.vllm.vllm_plan#module)", "`gpufleet.vllm.vllm_plan` " * 2),
        ("I(one) B(two)", "*one* **two**"),
        ("U(https://docs.vllm.ai) L(vLLM,https://vllm.ai)", "<https://docs.vllm.ai> [vLLM](https://vllm.ai)"),
    ],
)
def test_markup(text: str, expected: str) -> None:
    assert markdown.paragraphs(text, MODULE) == [expected.strip()]


def test_wrong_markup_is_an_error() -> None:
    with pytest.raises(ValueError, match="state_dir"):
        markdown.paragraphs("see M(state_dir)", MODULE)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ({"type": "list", "elements": "str", "required": True}, "list of str, **required**"),
        ({"type": "bool", "default": False}, "bool, default `false`"),
        ({"type": "str", "default": ""}, 'str, default `""`'),
        ({"default": "a", "choices": ["a", "b"]}, "str, default `a`, one of `a`, `b`"),
        ({"type": "int"}, "int"),
    ],
)
def test_facts_of_an_option(option: dict[str, object], expected: str) -> None:
    assert markdown.facts_of(option) == expected


def test_module_page() -> None:
    page = reference.module_page(
        "gpufleet.vllm.example",
        {
            "doc": {
                "short_description": "Reads a host",
                "description": ["Changes nothing."],
                "requirements": ["Python 3.9"],
                "attributes": {"check_mode": {"support": "full", "description": "Can run in check mode."}},
                "options": {
                    "paths": {
                        "type": "list",
                        "elements": "dict",
                        "description": ["Where to look."],
                        "suboptions": {"name": {"type": "str", "description": "Its name."}},
                    }
                },
                "notes": ["Needs no driver."],
            },
            "examples": "- gpufleet.vllm.example:\n",
            "return": {"gpus": {"type": "list", "returned": "always", "description": "GPUs."}},
        },
    )
    assert page.splitlines() == [
        "# gpufleet.vllm.example",
        "",
        "<!-- Written by `make docs` from plugins/modules/example.py: change it there. -->",
        "",
        "Reads a host.",
        "",
        "Changes nothing.",
        "",
        "## Requirements",
        "",
        "- Python 3.9",
        "",
        "## Attributes",
        "",
        "- `check_mode`: **full**. Can run in check mode.",
        "",
        "## Parameters",
        "",
        "### `paths`",
        "",
        "list of dict",
        "",
        "Where to look.",
        "",
        "- `name` (str): Its name.",
        "",
        "## Notes",
        "",
        "- Needs no driver.",
        "",
        "## Examples",
        "",
        "```yaml",
        "- gpufleet.vllm.example:",
        "```",
        "",
        "## Return values",
        "",
        "- `gpus` (list): GPUs.",
        "  Returned: always.",
    ]


def test_role_page() -> None:
    page = reference.role_page(
        "gpu_detect",
        {
            "settings": {
                "short_description": "Find GPUs",
                "options": {"gpu_detect_host_class": {"type": "str", "required": True, "description": "Its class."}},
            }
        },
    )
    assert "## Variables\n\n### `gpu_detect_host_class`\n\nstr, **required**\n\nIts class.\n" in page


@pytest.mark.parametrize(
    ("made", "written", "line"),
    [
        ({"a.md": "new\n"}, {"a.md": "old\n"}, "+new"),
        ({"a.md": "new\n"}, {}, "+new"),
        ({}, {"a.md": "old\n"}, "-old"),
    ],
)
def test_stale_pages_are_told(made: dict[str, str], written: dict[str, str], line: str) -> None:
    assert line in reference.differences(made, written)


def test_pages_that_are_up_to_date() -> None:
    assert reference.differences({"a.md": "x\n"}, {"a.md": "x\n"}) == []
