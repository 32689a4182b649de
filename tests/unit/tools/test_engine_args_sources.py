# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments are read from sources as the parser that they make would tell them."""

from __future__ import annotations

import pathlib
import textwrap

import pytest

from ansible_collections.gpufleet.vllm.tools import engine_args_sources as tool

MAKER = '''
    import argparse
    import json
    from typing import Any, Literal
    from dataclasses import field
    from vllm.config import config
    from vllm.engine.arg_utils import AsyncEngineArgs, optional_type
    from vllm.renderers import Format

    LARGEST = 256

    @config
    class BaseArgs:
        modules: list[str] | None = None
        kwargs: dict[str, Any] | None = None

        @classmethod
        def _customize(cls, options):
            options["kwargs"]["type"] = json.loads
            options["modules"]["action"] = LoRAParserAction
            return options

        @classmethod
        def add_cli_args(cls, parser):
            """Registers them."""
            options = get_kwargs(cls)
            options = cls._customize(options)
            group = parser.add_argument_group(title="x")
            for key, value in options.items():
                group.add_argument(f"--{key}", **value)
            return parser

    @config
    class FrontendArgs(BaseArgs):
        port: int = 8000
        content: Format = "auto"
        headers: int = LARGEST
        origins: list[str] = field(default_factory=list)
        flag: bool = True

        @classmethod
        def _customize(cls, options):
            options = super()._customize(options)
            options["origins"]["type"] = json.loads
            if "nargs" in options["origins"]:
                del options["origins"]["nargs"]
            return options

    def make_arg_parser(parser):
        parser.add_argument("model_tag", nargs="?")
        parser.add_argument("--headless", action="store_true", default=False)
        parser = FrontendArgs.add_cli_args(parser)
        parser = AsyncEngineArgs.add_cli_args(parser)
        return parser
'''
ENGINE = """
    import argparse
    from typing import get_args
    from vllm.config import CacheConfig, ModelConfig, Level

    _OLD_DEPRECATION_MESSAGE = "old"

    class EngineArgs:
        @staticmethod
        def add_cli_args(parser):
            model = get_kwargs(ModelConfig)
            model["backend"]["choices"].remove("hidden")
            model["backend"]["help"] += "more"
            group = parser.add_argument_group(title="model")
            if not sys.argv:
                group.add_argument("--model", **model["model"])
            group.add_argument("--quantization", "-q", **model["quantization"])
            group.add_argument("--max-model-len", **{**model["max_model_len"], "default": None})
            group.add_argument("--old", action=argparse.BooleanOptionalAction, help=_OLD_DEPRECATION_MESSAGE)
            backend = model["backend"]
            backend["type"] = lambda s: s.lower()
            group.add_argument("--backend", **backend)
            group.add_argument("--cache-config", **model["cache"])
            group.add_argument("--level", choices=get_args(Level), default=argparse.SUPPRESS)
            group.add_argument("--sizes", **model["sizes"])
            group.add_argument("--limit", **model["limit"])
            group.add_argument("--ratio", **model["ratio"])
            group.add_argument("--overrides", **model["overrides"])
            group.add_argument("--device", choices=["auto"] + platform.devices)
            return parser

    class AsyncEngineArgs(EngineArgs):
        @staticmethod
        def add_cli_args(parser, only=False):
            load_general_plugins()
            if not only:
                parser = EngineArgs.add_cli_args(parser)
            parser.add_argument("--log", action=argparse.BooleanOptionalAction, default=False)
            current_platform.pre_register_and_update(parser)
            return parser
"""
CONFIG = '''
    from typing import TYPE_CHECKING, Annotated, ClassVar, Literal
    from pydantic import Field

    if TYPE_CHECKING:
        from vllm.methods import Methods
    else:
        Methods = str
    Level = Literal["DEBUG", "INFO"]
    Size = Literal[16, 8]
    Backend = Literal[Size, "auto"]

    class Limits(dict[str, int]):
        pass

    @config
    class CacheConfig:
        x: int = 1

    @config
    class ModelConfig:
        shared: ClassVar[int] = 3
        model: str = "a/b"
        quantization: Methods | str | None = None
        max_model_len: int | None = Field(default=None, ge=-1)
        backend: Literal["hidden", "auto", "fast"] = "auto"
        cache: "CacheConfig | None" = None
        sizes: list[Size] | None = None
        limit: Limits = Field(default_factory=Limits)
        ratio: Annotated[float, Field(gt=0)] = 0.9
        """[DEPRECATED] of no use."""
        overrides: dict[str, int] | Callable[[int], int] = Field(default_factory=dict)
'''
FILES = {
    "entrypoints/common/cli_args.py": MAKER,
    "engine/arg_utils.py": ENGINE,
    "config/__init__.py": CONFIG,
    "methods.py": 'from typing import Literal\nMethods = Literal["fp8", "awq"]\n',
    "renderers/__init__.py": "from .types import *\n",
    "renderers/types.py": 'from typing import Literal\nFormat = Literal["auto", "openai"]\n',
    "reasoning/__init__.py": '_REASONING_PARSERS_TO_REGISTER = {"b": (), "a": ()}\n',
    "tool_parsers/__init__.py": '_TOOL_PARSERS_TO_REGISTER = {"c": ()}\n',
    "model_executor/layers/quantization/__init__.py": (
        "from typing import get_args\n"
        "from vllm.methods import Methods\n"
        "QUANTIZATION_METHODS: list[str] = list(get_args(Methods))\n"
    ),
    "envs.py": 'environment_variables: dict = {"VLLM_A": 1, "CUDA_HOME": 2}\n',
}


def sources(folder: pathlib.Path, **others: str) -> pathlib.Path:
    package = folder / "vllm"
    for name, text in {**FILES, **others}.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return package


def test_every_way_to_make_an_option(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = tool.read(sources(tmp_path), "0.40.0")
    assert found.pop("arguments") == {
        "headless": {"type": "flag", "default": False},
        "modules": {"type": "str_or_json", "many": True},
        "kwargs": {"type": "json"},
        "port": {"type": "int", "default": 8000},
        "content": {"type": "str", "choices": ["auto", "openai"], "default": "auto"},
        "headers": {"type": "int", "default": 256},
        "origins": {"type": "json"},
        "flag": {"type": "switch", "default": True},
        "model": {"type": "str", "default": "a/b"},
        "quantization": {"type": "str", "choices": ["awq", "fp8"], "open": True, "aliases": ["q"]},
        "max_model_len": {"type": "size"},
        "old": {"type": "switch", "deprecated": True},
        "backend": {"type": "str", "choices": ["auto", "fast"], "default": "auto"},
        "cache_config": {"type": "json"},
        "level": {"type": "str", "choices": ["DEBUG", "INFO"]},
        "sizes": {"type": "int", "many": True, "choices": [8, 16]},
        "limit": {"type": "json"},
        "ratio": {"type": "float", "default": 0.9, "deprecated": True},
        "overrides": {"type": "str_or_json"},
        "device": {"type": "str"},
        "log": {"type": "switch", "default": False},
    }
    assert found == {
        "version": "0.40.0",
        "reasoning_parsers": ["a", "b"],
        "tool_parsers": ["c"],
        "quantization_methods": ["fp8", "awq"],
        "environment": ["CUDA_HOME", "VLLM_A"],
    }
    told = capsys.readouterr().err
    assert (
        "arg_utils.py:29: only running tells `['auto'] + platform.devices`: it stays as in the release before" in told
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('model["model"]["wrapped"] = 1', 'this tool cannot read `model["model"]["wrapped"]`'),
        ("model.rearrange()", "this tool cannot read `model.rearrange()`"),
        ("group.add_argument('--x', **wrapped)", "this tool cannot read `group.add_argument('--x', **wrapped)`"),
        ("while model: pass", "this tool cannot read `while model:`"),
        ("model['model'] += 1", "this tool cannot read `model['model'] += 1`"),
    ],
)
def test_what_is_not_known_is_refused_with_its_line(tmp_path: pathlib.Path, line: str, said: str) -> None:
    before = 'group = parser.add_argument_group(title="model")'
    package = sources(tmp_path, **{"engine/arg_utils.py": ENGINE.replace(before, f"{before}\n            {line}")})
    with pytest.raises(SystemExit) as refused:
        tool.read(package, "0.40.0")
    assert f"arg_utils.py:15: {said}".replace('"', "'") in str(refused.value)


def test_a_module_that_has_moved_is_said(tmp_path: pathlib.Path) -> None:
    package = sources(tmp_path)
    (package / "entrypoints/common/cli_args.py").rename(package / "moved.py")
    with pytest.raises(SystemExit, match=r"makes a parser here: put its new place in front, in read_engine_args\.py"):
        tool.read(package, "0.40.0")


@pytest.mark.parametrize("name", ["reasoning/__init__.py", "tool_parsers/__init__.py", "envs.py"])
def test_a_table_that_has_moved_is_said(tmp_path: pathlib.Path, name: str) -> None:
    with pytest.raises(SystemExit, match=r"no table \w+ in vllm\.\w+: say in engine_args_sources\.py where it went"):
        tool.read(sources(tmp_path, **{name: ""}), "0.40.0")


def test_methods_that_are_gone_are_said(tmp_path: pathlib.Path) -> None:
    package = sources(tmp_path, **{"model_executor/layers/quantization/__init__.py": ""})
    with pytest.raises(SystemExit, match=r"no list QUANTIZATION_METHODS in vllm\.model_executor\.layers\.quantization"):
        tool.read(package, "0.40.0")
