# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares every role's defaults with its argument specification: names, values and types.

Usage: ``python -m tools.check_argument_specs``. Prints what differs, and exits with 1 when anything does.
"""

from __future__ import annotations

import pathlib
import sys
import typing as t

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from .markdown import ROLE_ENTRY_POINT

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
Options = dict[str, dict[str, t.Any]]

PYTHON_TYPES: t.Final[dict[str, tuple[type, ...]]] = {
    "str": (str,),
    "path": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
    "raw": (object,),
}
OF_THE_SPECIFICATION_ONLY: t.Final = ("description", "version_added", "default", "required")


def is_template(value: object) -> bool:
    """Whether a value is only known once Ansible has rendered it."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def has_type(value: object, name: str) -> bool:
    """Whether a default is of its declared type as written, without Ansible converting it."""
    if isinstance(value, bool) and name not in {"bool", "raw"}:
        return False
    return isinstance(value, PYTHON_TYPES[name])


def validator_spec(options: Options) -> dict[str, dict[str, t.Any]]:
    """Return the options as an argument spec of a module; what is required is required of users, not of defaults."""
    spec: dict[str, dict[str, t.Any]] = {}
    for name, option in options.items():
        spec[name] = {key: value for key, value in option.items() if key not in OF_THE_SPECIFICATION_ONLY}
        if "options" in option:
            spec[name]["options"] = validator_spec(option["options"])
            # Of type raw, a user's value is judged by the role itself; its default is still a dictionary of these.
            spec[name]["type"] = "dict" if option["type"] == "raw" else option["type"]
    return spec


def undescribed(options: Options, prefix: str = "") -> list[str]:
    """Return a line for each option, at any depth, that lacks a description or a type, or has an unknown type."""
    problems = []
    for name, option in options.items():
        path = f"{prefix}{name}"
        if not option.get("description"):
            problems.append(f"{path}: has no description")
        if option.get("type") not in PYTHON_TYPES:
            problems.append(f"{path}: type is {option.get('type')!r}, must be one of {', '.join(PYTHON_TYPES)}")
        problems.extend(undescribed(option.get("options", {}), f"{path}."))
    return problems


def value_problem(name: str, option: dict[str, t.Any], value: object) -> str | None:
    """Return what is wrong with one default, or nothing."""
    if option.get("required"):
        return f"{name}: is required and has a default"
    if value is not None and option.get("default") != value:
        return f"{name}: defaults/main.yml says {value!r}, the specification says {option.get('default')!r}"
    if value is None or is_template(value):
        return None
    if not has_type(value, option["type"]):
        return f"{name}: {value!r} is {type(value).__name__}, must be {option['type']}"
    return None


def compare(role: str, defaults: dict[str, object], options: Options) -> list[str]:
    """Return a line for each way in which a role's defaults and specification differ, or break the rules for both."""
    problems = [f"{name}: in defaults, not in the specification" for name in sorted(set(defaults) - set(options))]
    problems += [
        f"{name}: in the specification, not in defaults and not required"
        for name, option in sorted(options.items())
        if name not in defaults and not option.get("required")
    ]
    problems += [
        f"{name}: must start with {role}_" for name in sorted({*defaults, *options}) if not name.startswith(f"{role}_")
    ]
    described = undescribed(options)
    if described:
        return problems + described
    both = {name: value for name, value in defaults.items() if name in options}
    problems += [problem for name, value in both.items() if (problem := value_problem(name, options[name], value))]
    known = {name: value for name, value in both.items() if value is not None and not is_template(value)}
    spec = validator_spec({name: options[name] for name in known})
    problems += ArgumentSpecValidator(spec).validate(known).error_messages
    return problems


def read(path: pathlib.Path) -> dict[str, t.Any]:
    """Return a YAML mapping; a file that does not exist is an empty one."""
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.exists() else {}


def check_role(role: pathlib.Path) -> list[str]:
    """Return what is wrong with the specification of the role in this folder."""
    entry_points = read(role / "meta" / "argument_specs.yml").get("argument_specs", {})
    if "main" in entry_points:
        return [
            "meta/argument_specs.yml has an entry point main, by which Ansible refuses blank values: name it settings"
        ]
    if ROLE_ENTRY_POINT not in entry_points:
        return [f"meta/argument_specs.yml has no entry point {ROLE_ENTRY_POINT}"]
    options = entry_points[ROLE_ENTRY_POINT].get("options", {})
    problems = compare(role.name, read(role / "defaults" / "main.yml"), options)
    for name, entry_point in entry_points.items():
        if not entry_point.get("short_description"):
            problems.append(f"entry point {name} has no short_description")
        if name != ROLE_ENTRY_POINT:
            problems.extend(undescribed(entry_point.get("options", {})))
    return problems


def main() -> int:
    """Check every role of the checkout."""
    found = 0
    for role in sorted(path for path in (CHECKOUT / "roles").glob("*") if path.is_dir()):
        for problem in check_role(role):
            print(f"roles/{role.name}: {problem}")
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
