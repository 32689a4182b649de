# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What awx/configure.yml gives to AWX, as Ansible fills it in."""

from __future__ import annotations

import pathlib
import typing as t

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

Json = dict[str, t.Any]
CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
PLAYBOOK = CHECKOUT / "awx" / "configure.yml"
COLLECTION = "awx.awx."
LINKS = ("success_nodes", "failure_nodes", "always_nodes")


def _loaded(path: pathlib.Path) -> t.Any:
    """A file as Ansible reads its own: what stands in braces is to be filled in."""
    return DataLoader().load_from_file(str(path), trusted_as_template=True)


def play() -> Json:
    """The play of configure.yml, as it is written."""
    return t.cast("Json", _loaded(PLAYBOOK)[0])


def tasks() -> list[tuple[str, Json]]:
    """Its tasks for AWX, each with the module's name, without that of the collection."""
    found = [(name, task) for task in play()["tasks"] for name in task if name.startswith(COLLECTION)]
    return [(name.removeprefix(COLLECTION), task) for name, task in found]


def _filled_in(value: t.Any, variables: Json) -> t.Any:
    templar: t.Any = Templar(loader=DataLoader(), variables=variables)
    return templar.template(value)


def written(**given: t.Any) -> Json:
    """Everything that awx/config states, not yet filled in, with what somebody gives instead."""
    found: Json = {}
    for name in play()["vars_files"]:
        found |= _loaded(PLAYBOOK.parent / name)
    return {**found, **play()["vars"], **given}


def variables(**given: t.Any) -> Json:
    """The same, filled in."""
    here = written(**given)
    return {name: _filled_in(value, here) for name, value in here.items()}


def filled_in(value: t.Any, **given: t.Any) -> t.Any:
    """What is written in the play, with these variables."""
    return _filled_in(value, written(**given))


def calls(**given: t.Any) -> list[tuple[str, Json]]:
    """Each call of a module with its arguments, in their order."""
    here, found = written(**given), []
    for name, task in tasks():
        for item in _filled_in(task["loop"], here):
            arguments = task.get("args") or task[COLLECTION + name]
            found.append((name, t.cast("Json", _filled_in(arguments, {**here, "item": item}))))
    return found
