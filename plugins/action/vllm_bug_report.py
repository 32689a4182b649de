# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts what hosts told into one text for a bug report, and shows it. Runs on the control node."""

from __future__ import annotations

import platform
import typing as t
from pathlib import Path

import yaml
from ansible.plugins.action import ActionBase
from ansible.release import __version__ as ansible_core
from ansible.utils.display import Display

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.canonical_json import plain
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import bug_report, stated_secrets

COLLECTION = Path(__file__).resolve().parents[2]
display = Display()


class ActionModule(ActionBase):  # type: ignore[misc,unused-ignore]
    """Once for all hosts. It touches nothing."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(
            {name: {"type": "dict", "required": True} for name in ("facts", "seen", "logs")}
        )
        problems: list[str] = []
        known = {name: plain(args[name], name, problems) for name in ("facts", "seen", "logs")}
        if problems:
            return {**result, "failed": True, "msg": " ".join(problems)}
        stated = {name: stated_secrets.of_host(name, task_vars or {}, self._templar) for name in known["logs"]}
        hosts = {name: _host(name, known, stated[name]) for name in known["logs"]}
        hidden = bug_report.secret_values([one.secrets for one in stated.values()])
        text = bug_report.report(_versions(), hosts, hidden)
        display.display(text)
        return {**result, "changed": False, "report": text}


def _host(name: str, known: t.Mapping[str, Json], stated: stated_secrets.Stated) -> bug_report.Host:
    facts = _dict(_dict(known["facts"].get(name)).get("gpufleet"))
    seen, logs = (_dict(known[part].get(name)) for part in ("seen", "logs"))
    return bug_report.Host(
        facts,
        _dicts(seen.get("instances")) or [{"problem": said} for said in (seen.get("msg"),) if said],
        _dicts(logs.get("logs")),
        stated.instances,
        stated.unread,
    )


def _dict(value: t.Any) -> Json:
    return value if isinstance(value, dict) else {}


def _dicts(value: t.Any) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _versions() -> dict[str, str]:
    return {"gpufleet.vllm": _own(), "ansible-core": ansible_core, "Python": platform.python_version()}


def _own() -> str:
    """A checkout has galaxy.yml, an installed collection MANIFEST.json, which is YAML as well."""
    for name, within in (("MANIFEST.json", "collection_info"), ("galaxy.yml", "")):
        path = COLLECTION / name
        if path.is_file():
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
            return str((document[within] if within else document)["version"])
    return "unknown"
