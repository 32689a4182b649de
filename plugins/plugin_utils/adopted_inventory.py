# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of a host for what was found on it, as YAML with remarks.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

import yaml

from ansible_collections.gpufleet.vllm.plugins.module_utils._adopt.instance import Adopted, adopted, release_of
from ansible_collections.gpufleet.vllm.plugins.module_utils._adopt.served import Served
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.printable import all_printable, printable
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm import schema

INSTANCES = "vllm_server_instances"
WIDTH = 110


class Unsafe(str):
    """A text that Ansible must not take for a template."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


_Dumper.add_representer(Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text), style="'"))


def adopt(found: t.Sequence[Served], history: Json, readings: t.Mapping[str, Json]) -> list[Adopted]:
    """An instance for each, with names of their own. Whatever release a server does not tell is read as the newest."""
    made: list[Adopted] = []
    for served in found:
        release = release_of(served)
        try:
            known = schema.resolve(release or history["versions"][-1], history, readings)
        except schema.UnknownVersionError:
            known = schema.resolve(history["versions"][0], history, readings)
        taken = [str(one.instance["name"]) for one in made]
        made.append(adopted(t.cast("Served", all_printable(served)), known, taken))
    return made


def variables(made: t.Sequence[Adopted]) -> tuple[Json, list[str]]:
    """What the host gets, and where two servers would have it differ."""
    beside: Json = {}
    remarks = []
    for one in made:
        for name, value in one.variables.items():
            if beside.setdefault(name, value) != value:
                remarks.append(f"{name} is {beside[name]} for one and {value} for another: a host has one.")
    return {INSTANCES: [one.instance for one in made], **beside}, remarks


def render(found: t.Sequence[Served], made: t.Sequence[Adopted]) -> str:
    """The file. What a remark says stands above its instance."""
    stated, remarks = variables(made)
    lines = ["---", "# Written by the playbook adopt, of what it found. Read the remarks, then run the playbook plan."]
    lines += [f"# {printable(one)}" for one in remarks]
    lines += ["", f"{INSTANCES}:" if made else f"{INSTANCES}: []"]
    for served, one in zip(found, made, strict=True):
        lines += [f"  # {printable(served['what'])}"]
        lines += [f"  # - {printable(remark)}" for remark in one.remarks]
        lines += [f"  {line}" for line in _yaml([_instance(one.instance)])]
    beside = {name: value for name, value in stated.items() if name != INSTANCES}
    if beside:
        lines += ["", *_yaml(_marked(beside))]
    return "\n".join(lines) + "\n"


def _yaml(value: t.Any) -> list[str]:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH).splitlines()


def _instance(instance: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The place of its own API key is a template of ours. What has that name further down was said by a host."""
    return {name: value if name == "api_key" else _marked(value) for name, value in instance.items()}


def _marked(value: t.Any) -> t.Any:
    """Braces of others are no templates, whatever they stand under."""
    if isinstance(value, dict):
        return {_marked(name): _marked(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_marked(one) for one in value]
    return Unsafe(value) if isinstance(value, str) and _is_template(value) else value


def _is_template(text: str) -> bool:
    return any(mark in text for mark in ("{{", "{%", "{#"))
