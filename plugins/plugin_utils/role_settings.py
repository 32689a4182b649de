# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of the collection: what their argument specifications say, and what a host has for them.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import functools
import typing as t
from pathlib import Path

import yaml
from ansible.errors import AnsibleError

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings import reader
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings import renamed as names_of_before
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.names import meant

ROLES = Path(__file__).resolve().parents[2] / "roles"
# Entry points of a specification. None is called `main`: Ansible would judge values itself before any task of the role,
# by rules of its own, in which a blank answer of a survey is no boolean and no number.
OF_ROLE, OF_PLAYBOOKS = "settings", "playbooks"

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class WrongSettingsError(Exception):
    """Holds a sentence for everything that is wrong."""

    def __init__(self, errors: t.Sequence[str]) -> None:
        super().__init__(" ".join(errors))
        self.errors = list(errors)


def document(path: Path) -> Json:
    """A YAML file of a role. The first task of each host reads some: libyaml is many times as fast."""
    return t.cast("Json", yaml.load(path.read_text(encoding="utf-8"), _Loader))


@functools.cache
def specification(role: str) -> Json:
    """The entry points of a role, each with its options."""
    found = document(ROLES / role / "meta" / "argument_specs.yml")
    return {name: entry.get("options", {}) for name, entry in found["argument_specs"].items()}


@functools.cache
def roles() -> tuple[str, ...]:
    """The roles of the collection."""
    return tuple(sorted(path.parents[1].name for path in ROLES.glob("*/meta/argument_specs.yml")))


def options_of(role: str) -> Json:
    """The options of one role. Raises WrongSettingsError for a role that is none."""
    if role not in roles():
        raise WrongSettingsError([f"There is no role {role}; there are {', '.join(roles())}.{meant(role, roles())}"])
    # A word of a playbook is a kind of str of Ansible's own, under which a cache finds nothing. Workers have what was
    # read before they were forked, so with a plain one no task of any host reads the file again.
    return t.cast("Json", specification(str(role))[OF_ROLE])


@functools.cache
def variables() -> Json:
    """The option of each variable of every role and playbook."""
    return {name: one for role in roles() for entry in specification(role).values() for name, one in entry.items()}


def option(variable: str) -> Json:
    """The option of one variable, of any role or playbook."""
    known = variables()
    if variable not in known:
        raise WrongSettingsError([f"There is no variable {variable}.{meant(variable, known)}"])
    return t.cast("Json", known[variable])


def read(options: Json, given: t.Mapping[str, t.Any], template: t.Callable[[t.Any], t.Any], errors: list[str]) -> Json:
    """What a host has for each option, typed."""
    values = {}
    for name in options:
        try:
            values[name] = template(given[name]) if name in given else None
        except AnsibleError as error:
            # A role parameter that is omitted states nothing.
            if type(error).__name__ != "AnsibleValueOmittedError":
                errors.append(_unreadable(name, given[name], template, error))
    return reader.read(options, values, errors)


# How ansible-core's releases begin to say that a vault did not open.
NO_VAULT = ("undecryptable", "no vault secrets", "decryption failed", "vaultsecretscontext")
VAULT = "name the file of the vault's password with --vault-password-file, or have it asked for with --ask-vault-pass"


def _unreadable(name: str, value: t.Any, template: t.Callable[[t.Any], t.Any], error: AnsibleError) -> str:
    """Why a variable has no value, with the key inside of it that is to blame, and what to do."""
    where, why = _culprit(name, value, template, error)
    text = f"{where} cannot be read: {str(why).rstrip('.')}."
    is_vault = any(words in str(why).lower() for words in NO_VAULT)
    return f"{text} Its vault did not open: {VAULT}." if is_vault else text


def _culprit(
    where: str, value: t.Any, template: t.Callable[[t.Any], t.Any], error: AnsibleError
) -> tuple[str, AnsibleError]:
    """The innermost key that cannot be read. A mapping that says its name is found by it."""
    inner: list[tuple[str, t.Any]] = []
    if isinstance(value, t.Mapping):
        inner = [(f"{where}.{key}", item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        inner = [(f"{where}[{at}]", item) for at, item in enumerate(value)]
    for place, item in inner:
        try:
            template(item)
        except AnsibleError as found:
            return _culprit(place, item, template, found)
    return where, error


def renamed(variables: t.Mapping[str, t.Any]) -> list[str]:
    """A sentence for each variable that somebody sets by its name of before."""
    known = names_of_before.VARIABLES.items()
    return [f"There is no variable {old}: {names_of_before.told(new)}." for old, new in known if old in variables]


def failure(host: str, errors: t.Sequence[str]) -> str:
    """All that is wrong, a line each."""
    if len(errors) == 1:
        return f"A setting of {host} is wrong: {errors[0]}"
    return "\n".join([f"{len(errors)} settings of {host} are wrong:", *(f"- {error}" for error in errors)])
