# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory states of a host's instances for others to see, and every secret that it has for that host.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleError

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.concealing import concealed
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.canonical_json import plain
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.reader import without_secrets
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.doors import INSTANCES

Template = t.Callable[[t.Any], t.Any]


class Stated(t.NamedTuple):
    """`secrets` are in any shape of lists and dictionaries; `unread` are sentences of what cannot be read."""

    instances: list[Json]
    secrets: list[t.Any]
    unread: list[str]


def of_host(name: str, variables: Json, templar: t.Any) -> Stated:
    """In the words of that host. What cannot be read hides nothing of what can."""
    # What a task has of its own host is read when it is looked at, and fails there.
    of_that = variables["hostvars"].raw_get(name)
    template: Template = templar.copy_with_new_env(available_variables=of_that).template
    options = {one: option for one, option in role_settings.variables().items() if one == INSTANCES or _secret(option)}
    unread: list[str] = []
    read = role_settings.read(options, of_that, lambda value: _readable(value, template), unread)
    known = plain(read, "", [])
    kept = {INSTANCES: options[INSTANCES]}
    shown = without_secrets(kept, {INSTANCES: known[INSTANCES]})[INSTANCES]
    secrets = [_under_no_log(option, known[one]) for one, option in options.items()]
    secrets += [*_masked(known[INSTANCES], concealed(known[INSTANCES])), *_encrypted(of_that)]
    return Stated(shown, secrets, [text for text in unread if text.startswith(INSTANCES)])


def _secret(option: Json) -> bool:
    return bool(option.get("no_log")) or any(map(_secret, option.get("options", {}).values()))


def _readable(value: t.Any, template: Template) -> t.Any:
    """A part that cannot be read is what is wrong with it. Raises AnsibleError where that is the whole."""
    if isinstance(value, t.Mapping):
        return {str(key): _part(item, template) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_part(item, template) for item in value]
    # As plain JSON: what it is made of is read here, and not where it is looked at.
    return plain(template(value), "", [])


def _part(value: t.Any, template: Template) -> t.Any:
    try:
        return _readable(value, template)
    except AnsibleError as error:
        return f"[cannot be read: {error}]"


def _under_no_log(option: Json, value: t.Any) -> t.Any:
    if option.get("no_log"):
        return value
    inner = option.get("options", {})
    if isinstance(value, list):
        return [_under_no_log(option, item) for item in value]
    if not isinstance(value, dict):
        return None
    return [_under_no_log(inner[key], item) for key, item in value.items() if key in inner]


def _masked(value: t.Any, shown: t.Any) -> t.Iterator[t.Any]:
    """What is masked by its look or its name."""
    if isinstance(value, dict) and isinstance(shown, dict):
        pairs: t.Iterable[t.Any] = zip(value.values(), shown.values(), strict=False)
    elif isinstance(value, list) and isinstance(shown, list):
        pairs = zip(value, shown, strict=False)
    else:
        yield from [value] if value != shown else []
        return
    for one, masked in pairs:
        yield from _masked(one, masked)


def _encrypted(value: t.Any) -> t.Iterator[str]:
    """What a vault has as one value, whatever it is for."""
    if isinstance(value, t.Mapping):
        for item in value.values():
            yield from _encrypted(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _encrypted(item)
    elif type(value).__name__ == "EncryptedString":
        try:
            yield str(value)
        except AnsibleError:
            return
