# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host tells, before Ansible shows it: a host is outside too, and so is all that speaks through it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.concealing import concealed, concealed_text
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.printable import (
    all_printable,
    printable,
    printable_lines,
)


def as_told(result: t.Mapping[str, t.Any]) -> Json:
    """A module's result without secrets, nor what steers a terminal. A message and a warning are one line each."""
    clean: Json = concealed(all_printable(dict(result)))
    # Since ansible-core 2.19 a failure has its message in `exception` once more, and that one is shown.
    for name, make in (("msg", _message), *((each, _events) for each in ("warnings", "deprecations", "exception"))):
        if name in clean:
            clean[name] = make(clean[name])
    return clean


def _message(said: t.Any) -> t.Any:
    return concealed_text(printable(said)) if isinstance(said, str) else said


def _events(said: t.Any) -> t.Any:
    """Warnings and an exception: texts, and objects since ansible-core 2.19. An exception's text is a traceback."""
    if isinstance(said, list):
        return [_message(one) if isinstance(one, str) else _without_controls(one) for one in said]
    return said if isinstance(said, str) else _without_controls(said)


def _without_controls(value: t.Any, lines: bool = False) -> t.Any:
    """LINES are kept in what was laid out, as tracebacks."""
    if isinstance(value, str):
        return concealed_text(printable_lines(value) if lines else printable(value))
    if isinstance(value, tuple):
        return tuple(map(_without_controls, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: _without_controls(getattr(value, field.name), field.name.startswith("formatted_"))
            for field in dataclasses.fields(value)
        }
        return dataclasses.replace(value, **fields)
    return value


class ToldAction(ActionBase):  # type: ignore[misc,unused-ignore]
    """Runs a module."""

    TRANSFERS_FILES = False
    MODULE = ""

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        said = self._execute_module(self.MODULE, module_args=self._arguments(), task_vars=task_vars)
        result.update(as_told(said))
        return result

    def _arguments(self) -> Json:
        return dict(self._task.args)
