# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every call of awx/configure.yml is one that awx.awx takes, and secrets reach jobs as the variables that read them."""

from __future__ import annotations

import itertools
import json
import pathlib
import re
import subprocess
import sys
import typing as t

import jinja2
import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings
from ansible_collections.gpufleet.vllm.tests.awx import configuration
from ansible_collections.gpufleet.vllm.tests.awx.configuration import CHECKOUT, Json

RECORD = json.loads((CHECKOUT / "tests" / "awx" / "awx_awx.json").read_text())
ALL = ["machine", "hub", "registry", "api_keys", "vault"]
# Plain words: nothing here is a secret.
GIVEN: Json = {
    "fleet_credentials": ALL,
    "fleet_ssh_private_key": "an ssh key",
    "fleet_become_password": "a word for sudo",
    "fleet_hub_token": "a token",
    "fleet_registry": {"host": "registry.example.com", "username": "me", "password": "a {{ word }}"},
    "fleet_api_keys": {"vault_assistant_api_key": "a key", "vault_helper_api_key": "another key"},
    "fleet_vault_password": "a word for the vault",
    "fleet_webhook_url": "https://hooks.example.com/awx",
    "fleet_keep_alive": 240,
}
TYPES: dict[str, Json] = {one["name"]: one for one in configuration.variables(**GIVEN)["controller_credential_types"]}
# What AWX 24.6.1 takes as the name of a variable that is injected: `awx/main/fields.py`.
NAME = re.compile(r"^[a-zA-Z_\{\}]+[a-zA-Z0-9_\{\}]*$")
# What AWX has already.
BUILT_IN = {"Machine", "Vault"}


def refusals(module: str, arguments: Json) -> list[str]:
    """Why the module would not take the arguments."""
    found: list[str] = ArgumentSpecValidator(RECORD["modules"][module]).validate(arguments).error_messages
    return found


@pytest.mark.parametrize("given", [{}, GIVEN], ids=["as it is", "with everything"])
def test_awx_awx_takes_every_call(given: Json) -> None:
    calls = configuration.calls(**given)
    assert [(name, told) for name, arguments in calls if (told := refusals(name, arguments))] == []
    # Each kind of object is there at least once where everything is asked for.
    assert {name for name, _arguments in calls} == set(RECORD["modules"]) or not given


@pytest.mark.parametrize(
    ("arguments", "told"),
    [({"name": "a", "playbok": "b"}, "playbok"), ({"name": "a", "timeout": "long"}, "timeout"), ({}, "name")],
)
def test_a_call_that_it_does_not_take_is_told(arguments: Json, told: str) -> None:
    assert told in " ".join(refusals("job_template", arguments))


def test_the_record_is_of_a_version_and_has_what_is_used() -> None:
    assert (RECORD["collection"], RECORD["version"]) == ("awx.awx", "24.6.1")
    assert set(RECORD["modules"]) == {name for name, _task in configuration.tasks()}


def test_each_module_is_told_where_the_api_is() -> None:
    defaults = configuration.play()["module_defaults"]
    assert set(defaults) == {f"awx.awx.{name}" for name in RECORD["modules"]}


def injected(name: str, **inputs: str) -> Json:
    """The extra variables that a job gets, as AWX fills them in."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)

    def filled_in(node: t.Any) -> t.Any:
        if isinstance(node, dict):
            return {filled_in(key): filled_in(value) for key, value in node.items()}
        return environment.from_string(node).render(**inputs)

    return t.cast("Json", filled_in(TYPES[name]["injectors"]["extra_vars"]))


def read(variable: str, variables: Json) -> t.Any:
    """A variable as the collection reads it."""
    errors: list[str] = []
    found = role_settings.read({variable: role_settings.option(variable)}, variables, lambda value: value, errors)
    assert errors == []
    return found[variable]


def test_a_token_of_a_hub_is_the_variable_that_reads_it() -> None:
    assert read("vllm_server_hub_token", injected("gpufleet hub token", token="a token")) == "a token"


def test_a_login_to_a_registry_is_the_variable_that_reads_it() -> None:
    registry: dict[str, str] = GIVEN["fleet_registry"]
    login = {"username": "me", "password": "a {{ word }}"}
    assert read("vllm_server_registries", injected("gpufleet registry", **registry)) == {"registry.example.com": login}


def test_api_keys_are_the_variables_that_the_inventory_names() -> None:
    assert injected("gpufleet API keys", **GIVEN["fleet_api_keys"]) == GIVEN["fleet_api_keys"]


@pytest.mark.parametrize("kind", TYPES.values(), ids=lambda one: str(one["name"]))
def test_awx_takes_the_type_and_shows_no_secret_of_it(kind: Json) -> None:
    fields = {field["id"]: field for field in kind["inputs"]["fields"]}
    assert set(kind["inputs"]["required"]) == set(fields)
    # Nothing in the environment of a job, which AWX shows in part.
    assert set(kind["injectors"]) == {"extra_vars"}

    def names(node: Json) -> t.Iterator[str]:
        for name, value in node.items():
            yield name
            yield from names(value) if isinstance(value, dict) else ()

    assert all(NAME.match(name) for name in names(kind["injectors"]["extra_vars"]))
    assert {name for name, field in fields.items() if not field.get("secret")} <= {"host", "username"}


@pytest.mark.parametrize("given", [{}, GIVEN], ids=["without secrets", "with secrets"])
def test_what_is_filled_in_by_hand_is_left_alone(given: Json) -> None:
    """A credential whose secret nobody gives is made once; one that is given is brought up to date."""
    found = configuration.variables(**{**given, "fleet_credentials": ALL})["controller_credentials"]
    assert [one["state"] for one in found] == ["present" if given else "exists"] * len(ALL)
    assert {one["credential_type"] for one in found} == set(TYPES) | BUILT_IN
    assert not any("" in one["inputs"].values() for one in found)


def test_what_a_loop_shows_holds_no_secret() -> None:
    """Results have the item of a loop in them, and hide arguments only."""
    for name, task in configuration.tasks():
        looped = configuration.filled_in(task["loop"], **GIVEN)
        shown = json.dumps(looped)
        secrets = [GIVEN["fleet_hub_token"], GIVEN["fleet_registry"]["password"], GIVEN["fleet_vault_password"]]
        assert not any(secret in shown for secret in [*secrets, *GIVEN["fleet_api_keys"].values()]), name


def test_jobs_have_the_credentials_that_are_made() -> None:
    here = configuration.variables(**GIVEN)
    made = [one["name"] for one in here["controller_credentials"]]
    assert len(made) == len(ALL)
    assert all(template["credentials"] == made for template in here["controller_templates"])
    assert configuration.variables()["controller_templates"][0]["credentials"] == ["gpufleet machine"]


def test_inventories_are_files_of_the_checkout_that_awx_can_read() -> None:
    """It imports no file that is vaulted as a whole, and takes a `!vault` value."""
    here = configuration.variables()
    for source in here["controller_inventory_sources"]:
        path = CHECKOUT / source["source_path"]
        assert path.is_file() and source["overwrite"] and source["overwrite_vars"]
    files = [path for path in (CHECKOUT / "inventories").rglob("*") if path.is_file()]
    assert files and not [path for path in files if path.read_text().startswith("$ANSIBLE_VAULT")]


def test_the_organization_can_install_collections_and_jobs_may_take_another_branch() -> None:
    here = configuration.variables()
    assert here["aap_organizations"][0]["galaxy_credentials"] == ["Ansible Galaxy"]
    project = here["controller_projects"][0]
    assert (project["allow_override"], project["scm_update_on_launch"]) == (True, True)
    assert here["controller_execution_environments"][0]["pull"] == "missing"


def test_keep_alive_is_of_the_whole_awx_and_only_set_on_request() -> None:
    assert configuration.variables()["controller_settings"] == []
    assert configuration.variables(**GIVEN)["controller_settings"] == {
        "settings": {"AWX_RUNNER_KEEPALIVE_SECONDS": 240}
    }


@pytest.mark.parametrize("name", ['Team "A"', "R\\D", "a: b # c", "it's", "{x}"])
def test_an_organization_may_have_any_name(name: str) -> None:
    found = configuration.variables(fleet_organization=name)
    kinds = ("controller_inventories", "controller_inventory_sources", "controller_schedules")
    assert {one["organization"] for kind in kinds for one in found[kind]} == {name}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, ""),
        ({"fleet_environments": "production"}, "fleet_environments is"),
        ({"fleet_credentials": "machine"}, "fleet_credentials is"),
        ({"fleet_environments": ["a, organization: b"], "fleet_verified_nightly": []}, "names of folders"),
        ({"fleet_environments": ["staging"]}, "fleet_verified_nightly has production"),
        ({"fleet_credentials": ["hup"]}, "fleet_credentials has hup"),
    ],
)
def test_what_is_no_setting_is_refused_before_anything_is_touched(
    tmp_path: pathlib.Path, given: Json, told: str
) -> None:
    """The tasks before the first that asks AWX for anything."""
    tasks = itertools.takewhile(
        lambda task: not any(key.startswith("awx.") for key in task), configuration.play()["tasks"]
    )
    own = {key: value for key, value in configuration.play().items() if key != "module_defaults"}
    files = [str(configuration.PLAYBOOK.parent / name) for name in own["vars_files"]]
    playbook = tmp_path / "before.yml"
    playbook.write_text(json.dumps([{**own, "vars_files": files, "tasks": list(tasks)}]))
    command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), str(playbook), "-e", json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, told in done.stdout + done.stderr) == (2 if told else 0, True)
