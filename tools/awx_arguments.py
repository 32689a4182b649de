# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records which arguments the modules of awx.awx take: the newest Ansible packages leave it out, and tests ask.

Usage: ``python -m tools.awx_arguments > tests/awx/awx_awx.json``, where PyPI's ansible 12 or 13 is installed.
"""

from __future__ import annotations

import importlib
import json
import pathlib
import re
import typing as t

Json = dict[str, t.Any]
AWX = "ansible_collections.awx.awx"
CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
KEYS = ("type", "elements", "choices", "required", "aliases", "no_log")


class SpecifiedError(Exception):
    """Carries the specification out of a module, which would read its parameters next."""


def _caught(argument_spec: Json, **_options: t.Any) -> t.NoReturn:
    shared: t.Any = importlib.import_module(f"{AWX}.plugins.module_utils.controller_api")
    raise SpecifiedError({**shared.ControllerModule.AUTH_ARGSPEC, **argument_spec})


def options(module: str) -> Json:
    """The argument specification of one module, by option; no type is a text."""
    code: t.Any = importlib.import_module(f"{AWX}.plugins.modules.{module}")
    code.ControllerAPIModule = _caught
    try:
        code.main()
    except SpecifiedError as found:
        spec: Json = found.args[0]
        return {
            name: {"type": "str", **{key: option[key] for key in KEYS if key in option}}
            for name, option in sorted(spec.items())
        }
    raise AssertionError(f"{module} asks for no arguments")


def record(modules: t.Iterable[str]) -> Json:
    """The specifications with where they come from."""
    root = pathlib.Path(next(iter(importlib.import_module(AWX).__path__)))
    version = json.loads((root / "MANIFEST.json").read_text())["collection_info"]["version"]
    return {"collection": "awx.awx", "version": version, "modules": {name: options(name) for name in sorted(modules)}}


if __name__ == "__main__":
    used = re.findall(r"\bawx\.awx\.(\w+):", (CHECKOUT / "awx" / "configure.yml").read_text())
    print(json.dumps(record(set(used)), indent=1))
