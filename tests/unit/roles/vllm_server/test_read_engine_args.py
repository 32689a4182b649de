# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read from a parser, on small ones; tests/integration/test_engine_args.py asks a real one."""

from __future__ import annotations

import argparse
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.roles.vllm_server.files import read_engine_args


class EnableDisable(argparse.BooleanOptionalAction):
    """As vLLM has it from 0.33.0: --enable-x and --disable-x turn off each other."""

    def __init__(self, option_strings: list[str], dest: str, **others: t.Any) -> None:
        super().__init__(option_strings, dest, **others)
        swapped = {"--enable-": "--disable-", "--disable-": "--enable-"}
        inverses = [
            inverse + option.removeprefix(prefix)
            for option in option_strings
            for prefix, inverse in swapped.items()
            if option.startswith(prefix)
        ]
        self.negative = {*inverses, *(option for option in self.option_strings if option not in option_strings)}
        self.option_strings = [*self.option_strings, *inverses]

    def __call__(self, parser: t.Any, namespace: argparse.Namespace, values: t.Any, option: str | None = None) -> None:
        setattr(namespace, self.dest, option not in self.negative)


@pytest.mark.parametrize("action", [argparse.BooleanOptionalAction, EnableDisable])
@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--enable-lora"], {"type": "switch"}),
        (["--disable-sliding-window"], {"type": "switch"}),
        (["--enable-expert-parallel", "-ep"], {"type": "switch", "aliases": ["ep"]}),
    ],
)
def test_what_turns_a_switch_off_is_no_other_name_of_it(
    action: type[argparse.Action], options: list[str], found: dict[str, t.Any]
) -> None:
    parser = argparse.ArgumentParser()
    assert read_engine_args.argument(parser.add_argument(*options, action=action), deprecated=False) == found


def test_other_names_of_a_value() -> None:
    parser = argparse.ArgumentParser()
    action = parser.add_argument("--quantization", "-q")
    assert read_engine_args.argument(action, deprecated=False) == {"type": "str", "aliases": ["q"]}
