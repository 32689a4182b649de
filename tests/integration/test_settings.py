# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people type, through real Ansible: each option of each role and playbook, in every way that a value arrives."""

from __future__ import annotations

import getpass
import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
import yaml

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.changes import approval
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings
from ansible_collections.gpufleet.vllm.tests.data import setting_cases as cases
from ansible_collections.gpufleet.vllm.tests.integration.scripted_hosts import CHECKOUT, STATED, Fleet, restart
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._driver.machines import facts

Json = dict[str, t.Any]
BIN = pathlib.Path(sys.executable).parent
# What is `no_log` is read by a lookup, and in no result; of what was approved a host is given its own part alone.
OPTIONS = {
    name: option
    for name, option in cases.every_option().items()
    if not option.get("no_log") and name != approval.VARIABLE
}
PLAYBOOKS = set(role_settings.specification("vllm_server")[role_settings.OF_PLAYBOOKS])
READ = pathlib.Path(__file__).resolve().parent / "files" / "settings" / "read.yml"
PASSWORD = getpass.getuser()


def play(playbook: pathlib.Path, folder: pathlib.Path, hosts: Json, *options: str) -> tuple[int, str]:
    """The exit code, and everything that was said. `hosts` are their variables."""
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False}
    inventory = folder / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"gpu_hosts": {"hosts": hosts, "vars": here}}))
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    environment["ANSIBLE_COLLECTIONS_PATH"] = str(CHECKOUT / ".collections")
    command = [str(BIN / "ansible-playbook"), str(playbook), "-i", str(inventory), *options]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def settings(folder: pathlib.Path, hosts: Json, *options: str) -> Json:
    """What each host reads: for each role its settings, or what is wrong with them; and the variables of playbooks."""
    asked = {
        "read_into": f"{folder}/read.json",
        "read_roles": list(role_settings.roles()),
        "read_variables": sorted(PLAYBOOKS),
    }
    code, said = play(READ, folder, hosts, *options, "-e", json.dumps(asked))
    assert code == 0 and "WARNING" not in said, said
    found: Json = json.loads((folder / "read.json").read_text())
    return found


def flat(read: Json) -> Json:
    """By the names of variables."""
    values = {f"{role}_{name}": value for role, told in read["roles"].items() for name, value in told.items()}
    return {name: value for name, value in {**values, **read["playbooks"]}.items() if name in OPTIONS}


def exactly(value: t.Any) -> str:
    return json.dumps(value, sort_keys=True)


def test_whatever_way_it_is_written_in_a_group_var(tmp_path: pathlib.Path) -> None:
    columns = [cases.column(way(at), OPTIONS) for at in range(longest())]
    hosts = {f"way{at}": variables for at, (variables, _means) in enumerate(columns)}
    found = settings(tmp_path, hosts)
    for host, (variables, means) in zip(hosts, columns, strict=True):
        assert {name: exactly(value) for name, value in flat(found[host]).items()} == {
            name: exactly(means[name]) for name in variables
        }, host


def way(at: int) -> t.Callable[[list[cases.Written]], cases.Written]:
    """Of each option its way of this number, where it has as many."""
    return lambda ways: ways[at % len(ways)]


def longest() -> int:
    return max(len(cases.right(name, option)) for name, option in OPTIONS.items())


def texts(ways: list[cases.Written]) -> cases.Written | None:
    """The last way that is a text, which is all that `-e key=value` and a survey have."""
    return next((one for one in reversed(ways) if isinstance(one.value, str) and one.value.strip()), None)


def test_texts_of_the_command_line_and_of_a_file(tmp_path: pathlib.Path) -> None:
    variables, means = cases.column(texts, OPTIONS)
    typed = [part for name, value in variables.items() for part in ("-e", f"{name}={json.dumps(value.strip())}")]
    survey = tmp_path / "survey.json"
    survey.write_text(json.dumps(variables))
    for options in (typed, ["-e", f"@{survey}"], ["-e", json.dumps(variables)]):
        found = flat(settings(tmp_path, {"here": {}}, *options)["here"])
        assert {name: exactly(found[name]) for name in means} == {name: exactly(value) for name, value in means.items()}


def test_blank_is_unset(tmp_path: pathlib.Path) -> None:
    hosts = {f"blank{at}": dict.fromkeys(OPTIONS, blank) for at, blank in enumerate(cases.BLANK)}
    for found in settings(tmp_path, hosts).values():
        assert flat(found) == {name: option.get("default") for name, option in OPTIONS.items()}
        assert all("msg" not in told for told in found["roles"].values())


def test_vaults_and_templates(tmp_path: pathlib.Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    encrypt = [str(BIN / "ansible-vault"), "encrypt_string", "--vault-password-file", str(secret), "--name"]
    vaulted = subprocess.run([*encrypt, "nvidia_driver_hold", "no"], capture_output=True, text=True, check=True).stdout
    values = tmp_path / "values.yml"
    values.write_text(
        f"{vaulted}\n"
        "nvidia_driver_manage: \"{{ 'of' ~ 'f' }}\"\n"
        'nvidia_driver_lock_timeout: "{{ 2 * 30 }}"\n'
        'nvidia_driver_branch: "{{ omit }}"\n'
        "nvidia_driver_module_options: \"{{ {'NVreg_x': 1} | to_json }}\"\n"
        "nvidia_driver_cuda: \"{{ '' if true else 'x' }}\"\n"
        "container_runtime_take_over: \"{{ ['a'] + ['b'] }}\"\n"
    )
    found = settings(tmp_path, {"here": {}}, "-e", f"@{values}", "--vault-password-file", str(secret))["here"]["roles"]
    driver = found["nvidia_driver"]
    assert (driver["manage"], driver["hold"], driver["lock_timeout"], driver["branch"]) == (False, False, 60, "")
    assert (driver["module_options"], driver["cuda"]) == ({"NVreg_x": 1}, "")
    assert found["container_runtime"]["take_over"] == ["a", "b"]


def test_all_that_is_wrong_is_told_at_once_and_without_secrets(tmp_path: pathlib.Path) -> None:
    wrong = {
        name: cases.wrong(name, option)[0][0]
        for name, option in OPTIONS.items()
        if option["type"] != "raw" and name not in PLAYBOOKS
    }
    wrong["nvidia_driver_key"] = "{{ nobody_states_it }}"
    wrong["vllm_server_instances"] = [["sk-hush"]]
    found = settings(tmp_path, {"here": wrong})["here"]["roles"]
    for role, told in found.items():
        mine = [name for name in wrong if name.startswith(f"{role}_")]
        assert sorted(error.split()[0] for error in told["errors"]) == sorted(mine)
        assert told["msg"].startswith(f"{len(mine)} settings of here are wrong:\n- ")
    assert "nvidia_driver_key cannot be read: 'nobody_states_it' is undefined." in found["nvidia_driver"]["errors"]
    assert "hush" not in json.dumps(found)


def test_a_switch_that_is_switched_off_on_the_command_line(tmp_path: pathlib.Path) -> None:
    """It installed the driver, and let the host be rebooted."""
    seen = {"ansible.builtin.set_fact": {"gpufleet": facts("debian12"), "cacheable": True}, "tags": ["always"]}
    playbook = tmp_path / "play.yml"
    playbook.write_text(
        yaml.safe_dump(
            [{"hosts": "all", "gather_facts": False, "pre_tasks": [seen], "roles": ["gpufleet.vllm.nvidia_driver"]}]
        )
    )
    switches = ["-e", "nvidia_driver_manage=false", "-e", "nvidia_driver_reboot=false"]
    # No connection is made, and of the control node itself nobody asks whether it may be rebooted.
    away = {"here": {"ansible_connection": "ssh"}}
    code, said = play(playbook, tmp_path, away, "--tags", "nvidia_driver_preflight", *switches)
    assert code == 2
    assert "nvidia_driver_manage is false, so nothing was changed: set it to true" in said
    assert "due: []" in said and "nvidia_driver_reboot is false: set it to true" in said


def test_blank_answers_reach_the_end_of_the_playbook(tmp_path: pathlib.Path) -> None:
    # A blank one hides what the inventory states: it is refused, or turns a role on.
    blank = [part for name in OPTIONS if name not in STATED for part in ("-e", f"{name}=")]
    ended = Fleet(tmp_path, {"g1": {"plans": [restart()]}}).run("site", *blank)
    assert (ended.code, ended.kinds) == (0, [("g1", "rollout")])


def test_no_host_is_touched_for_what_is_wrong_in_the_last_role(tmp_path: pathlib.Path) -> None:
    ended = Fleet(tmp_path, {"g1": {"plans": [restart()]}}).run("site", "-e", "vllm_server_retry=perhaps")
    assert (ended.code, ended.kinds) == (2, []) and "Observe GPUs" not in ended.said
    assert "A setting of g1 is wrong: vllm_server_retry is 'perhaps': write true or false." in ended.said


def test_no_host_is_touched_for_a_value_that_the_plan_would_refuse(tmp_path: pathlib.Path) -> None:
    """With what is wrong in its type, in one run."""
    fleet = Fleet(tmp_path, {"g1": {"plans": [restart()]}})
    wrong = {"name": "a", "model": "/m", "port": 0, "engine_args": {"max_model_length": 1}}
    more = {"vllm_server_retry": "perhaps", "nvidia_driver_branch": "²", "container_runtime_nofile": -1}
    ended = fleet.run("site", vllm_server_instances=[wrong], vllm_server_imgae="x", **more)
    assert (ended.code, ended.kinds) == (2, []) and "Observe GPUs" not in ended.said
    assert "6 settings of g1 are wrong:" in ended.said
    for words in (
        "port is 0",
        "no engine argument max_model_length",
        "vllm_server_retry is",
        "branch is '²'",
        "nofile is -1",
    ):
        assert words in ended.said, words
    assert "vllm_server_imgae is no variable of any role. Did you mean vllm_server_image?" in ended.said


@pytest.mark.parametrize("playbook", ["site", "prepare", "promote"])
def test_a_share_of_hosts_that_is_none(tmp_path: pathlib.Path, playbook: str) -> None:
    ended = Fleet(tmp_path, {"g1": {"plans": [restart()]}}).run(playbook, "-e", "vllm_server_serial=all")
    assert ended.code != 0 and ended.kinds == [] and "TASK" not in ended.said
    assert "vllm_server_serial is 'all': write a number of hosts such as 2, a share such as 25%" in ended.said
