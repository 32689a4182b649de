# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of a role are read on the control node."""

from __future__ import annotations

import re
import typing as t
from unittest import mock

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.template import trust_as_template

from ansible_collections.gpufleet.vllm.plugins.action import role_settings as action
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings

CHECKOUT = role_settings.ROLES.parent
EVALUATED = ("when", "until", "that", "changed_when", "failed_when")
Json = dict[str, t.Any]
# What a result has of its own, and what a dictionary answers to in a template.
TAKEN = {"ansible_facts", "changed", "deprecations", "diff", "errors", "exception", "failed", "invocation", "msg", "rc",
         "results", "skipped", "warnings", *dir(dict)}  # fmt: skip


def run(variables: Json, **arguments: t.Any) -> Json:
    task = mock.Mock(args=arguments, async_val=0, check_mode=True, diff=False, delegate_to=None)
    templar = mock.Mock(template=lambda value: value)
    made: t.Any = action.ActionModule(task, mock.Mock(), mock.Mock(), mock.Mock(), templar, mock.Mock())
    made._execute_module = mock.Mock()
    result: Json = made.run(task_vars={"inventory_hostname": "g1", **variables})
    made._execute_module.assert_not_called()
    return result


def test_a_role() -> None:
    found = run({"nvidia_driver_manage": "false", "vllm_server_retry": "maybe"}, role="nvidia_driver")
    assert (found["changed"], found["manage"], found["reboot"], found["origin"]) == (False, False, False, "auto")


def test_other_roles_are_checked_and_not_returned() -> None:
    found = run({"vllm_server_retry": "maybe"}, role="nvidia_driver", check=["vllm_server"])
    assert found["failed"] is True and "manage" not in found
    assert found["msg"] == "A setting of g1 is wrong: vllm_server_retry is 'maybe': write true or false."
    assert "retry" not in run({"vllm_server_retry": "yes"}, role="nvidia_driver", check=["vllm_server"])


def test_a_role_that_is_none() -> None:
    assert "There is no role nvidia_drivers; " in run({}, role="nvidia_drivers")["msg"]
    with pytest.raises(AnsibleError, match="role"):
        run({})


def test_a_specification_that_was_read_is_not_read_again_for_a_word_of_a_playbook() -> None:
    """Which is a kind of str of Ansible's own: otherwise each task of each host parses the file."""
    plain = role_settings.options_of("gpu_detect")
    read = role_settings.specification.cache_info().misses
    assert role_settings.options_of(trust_as_template("gpu_detect")) is plain
    assert role_settings.specification.cache_info().misses == read


def test_a_variable_by_its_name_of_before_is_refused_with_the_new_one() -> None:
    found = run({"vllm_server_ladder": [], "vllm_server_fallback_rungs": "2"}, role="vllm_server")
    assert found["errors"] == [
        "There is no variable vllm_server_ladder: it is called vllm_server_promotion now, rename it.",
        "There is no variable vllm_server_fallback_rungs: it is called vllm_server_fallback_steps now, rename it.",
    ]


def test_no_key_is_in_the_result() -> None:
    found = run({"vllm_server_instances": [{"name": "a", "api_key": "sk-hush"}]}, role="vllm_server")
    assert found["instances"] == [{"name": "a"}] and "hush" not in str(found)


@pytest.mark.parametrize("role", role_settings.roles())
def test_names_are_free(role: str) -> None:
    names = {name.removeprefix(f"{role}_") for name in role_settings.options_of(role)}
    assert not names & TAKEN


def expressions(node: t.Any, bare: bool = False) -> t.Iterator[str]:
    """What Ansible evaluates in a file of tasks, without the texts in it."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from expressions(value, key in EVALUATED)
    elif isinstance(node, list):
        for item in node:
            yield from expressions(item, bare)
    elif isinstance(node, str):
        parts = [node] if bare else re.findall(r"\{[{%].*?[%}]\}", node, re.DOTALL)
        yield from (re.sub(r"'[^']*'", "", part) for part in parts)


def test_tasks_use_no_variable_by_its_name() -> None:
    """What a text means is for the reader alone to say: the role's first task, or the lookup."""
    names = {
        name for role in role_settings.roles() for entry in role_settings.specification(role).values() for name in entry
    }
    files = [
        path
        for folder in ("roles/*/tasks", "roles/*/handlers", "playbooks")
        for path in CHECKOUT.glob(f"{folder}/**/*.yml")
    ]
    used = {
        (path.relative_to(CHECKOUT).as_posix(), name)
        for path in files
        for expression in expressions(yaml.safe_load(path.read_text()))
        for name in names.intersection(re.findall(r"\w+", expression))
    }
    assert len(files) > 20 and used == set()


def _refusing(message: str, *secrets: str) -> t.Callable[[t.Any], t.Any]:
    """A templar that cannot read what holds one of these texts."""

    def template(value: t.Any) -> t.Any:
        if any(secret in repr(value) for secret in secrets):
            raise AnsibleError(message)
        return value

    return template


@pytest.mark.parametrize(
    "message",
    [
        "Attempt to use undecryptable variable: Attempting to decrypt but no vault secrets found.",
        "Decryption failed (no vault secrets were found that could decrypt).",
    ],
)
def test_a_vault_that_does_not_open_names_its_key_and_what_to_do(message: str) -> None:
    given = {"vllm_server_instances": [{"name": "a"}, {"name": "b", "api_key": ["x", "VAULT"]}]}
    errors: list[str] = []
    role_settings.read(role_settings.options_of("vllm_server"), given, _refusing(message, "VAULT"), errors)
    what_to_do = (
        "Its vault did not open: name the file of the vault's password with --vault-password-file, or have it asked "
        "for with --ask-vault-pass."
    )
    assert errors == [f"vllm_server_instances[1].api_key[1] cannot be read: {message} {what_to_do}"]


def test_what_cannot_be_read_for_another_reason_names_its_key_only() -> None:
    errors: list[str] = []
    given = {"vllm_server_watch": {"interval": "{{ nix }}"}}
    template = _refusing("'nix' is undefined", "nix")
    role_settings.read(role_settings.options_of("vllm_server"), given, template, errors)
    assert errors == ["vllm_server_watch.interval cannot be read: 'nix' is undefined."]


def test_of_an_approval_a_host_is_given_its_own_part() -> None:
    """As each would keep that of all, results would grow with the square of the hosts."""
    one = {"change": "none", "release": "", "revision": "", "settings": ""}
    given = {f"g{number}": {"token": one} for number in range(3)}
    assert run({"vllm_server_approved": given}, role="vllm_server")["approved"] == {"g1": {"token": one}}
    assert run({"vllm_server_approved": {"g2": {}}}, role="vllm_server")["approved"] == {"g2": {}}
