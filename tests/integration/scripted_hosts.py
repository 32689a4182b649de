# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real playbooks, roles and handlers on hosts that answer as a script says: only what touches a host is replaced.

Each host's variable `script` says what becomes of it: `plans` (what is due), `errors` (of planning), `outcomes` of its
instances in their order, `previous` of each instance that it knows, `said` of each as well, `busy` of how many looks
show a rollout that runs, `cut_off` which look shows one that was cut off, `away_after` after how much was asked it is
out of reach, `unfit` why a load is refused, `moves` whether what serves follows what was asked, `status` of what else
vllm_status returns, `facts` of what else gpu_facts does, `logs` of each instance, `tuned` of an engine that can
be tuned (files/scripted/tuned_host.py), `models` of what vllm_model sees, `class` of what the host's class is found to
be and brings, `unstated` of a plan with an image that nobody states, `unreachable`, `not_proved`. What was asked of
hosts is kept in a log.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import typing as t

import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
FILES = pathlib.Path(__file__).resolve().parent / "files"
ACTIONS = FILES / "scripted"
Json = dict[str, t.Any]
# What the inventory states: what has no default, and roles that are off because modules of Ansible's own do their work.
STATED: t.Final[Json] = {
    "gpu_detect_host_class": "cpu",
    "vllm_server_image": "vllm:0.32.0",
    "vllm_server_version": "0.32.0",
}


@dataclasses.dataclass
class Ended:
    """How a run ended. `asked` is what hosts were asked to do, in order: (host, instance, request)."""

    code: int
    said: str
    asked: list[tuple[str, str, Json]]

    @property
    def kinds(self) -> list[tuple[str, str]]:
        return [(host, request["kind"]) for host, _instance, request in self.asked]

    @property
    def left(self) -> Json:
        """What set_stats has left with the run, where ANSIBLE_CALLBACK_RESULT_FORMAT is json."""
        found = re.search(r"^CUSTOM STATS: .*\n(?:.*\n)*?\tRUN: (.*)$", self.said, re.MULTILINE)
        return {} if found is None else t.cast("Json", json.loads(found[1]))

    def recap(self, host: str) -> dict[str, int]:
        found = re.search(rf"^{host} +: (.*)$", self.said, re.MULTILINE)
        return {} if found is None else {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", found[1])}


def restart(instance: str = "a", digest: str = "n" * 64) -> Json:
    """A plan that is due."""
    return {"instance": instance, "change": "restart", "digest": digest, "active": True}


@dataclasses.dataclass
class Fleet:
    """Hosts by name, each with its script, and groups beside gpu_hosts."""

    folder: pathlib.Path
    hosts: dict[str, Json]
    groups: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    # Refuses what no script answers. With `local` it is done to the machine that tests.
    connection: str = "gpufleet.vllm.untouched"

    def _collection(self) -> pathlib.Path:
        """The checkout as a collection, with scripted actions in the place of its own."""
        here = self.folder / "collections" / "ansible_collections" / "gpufleet" / "vllm"
        if here.exists():
            return self.folder / "collections"
        (here / "plugins" / "action").mkdir(parents=True)
        (here / "plugins" / "connection").mkdir()
        (here / "plugins" / "connection" / "untouched.py").symlink_to(FILES / "untouched.py")
        for name in ("roles", "playbooks", "meta", "galaxy.yml"):
            (here / name).symlink_to(CHECKOUT / name)
        for name in ("callback", "lookup", "modules", "module_utils", "plugin_utils"):
            (here / "plugins" / name).symlink_to(CHECKOUT / "plugins" / name)
        for action in ACTIONS.glob("*.py"):
            (here / "plugins" / "action" / action.name).symlink_to(action)
        own = {"real_rollout": "vllm_rollout", "real_tune": "vllm_tune"} | {
            name: name
            for name in (
                "role_settings",
                "vllm_bug_report",
                "vllm_plan_report",
                "vllm_status_report",
                "vllm_benchmark_report",
            )
        }
        for name, real in own.items():
            (here / "plugins" / "action" / f"{name}.py").symlink_to(CHECKOUT / "plugins" / "action" / f"{real}.py")
        return self.folder / "collections"

    def _inventory(self) -> pathlib.Path:
        here = {
            "ansible_connection": self.connection,
            "ansible_python_interpreter": sys.executable,
            "ansible_become": False,
            **STATED,
        }
        hosts = {name: {**here, "script": script} for name, script in self.hosts.items()}
        groups = {name: {"hosts": dict.fromkeys(members)} for name, members in self.groups.items()}
        path = self.folder / "hosts.yml"
        path.write_text(yaml.safe_dump({"gpu_hosts": {"hosts": hosts}, **groups}))
        return path

    def run(self, playbook: str = "site", *options: str, **variables: t.Any) -> Ended:
        """Run a playbook of the collection by its name, or any by its path."""
        log = self.folder / "asked.jsonl"
        log.write_text("")
        named = playbook if "/" in playbook else f"gpufleet.vllm.{playbook}"
        command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), named]
        command += ["-i", str(self._inventory()), "-e", json.dumps({"script_log": str(log), **variables}), *options]
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(self._collection()),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_SHOW_CUSTOM_STATS": "1",
        }
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            # Shown where a test fails: why a task was refused stands in it.
            sys.stderr.write(done.stdout + done.stderr)
        asked = [json.loads(line) for line in log.read_text().splitlines()]
        return Ended(done.returncode, done.stdout + done.stderr, [tuple(one) for one in asked])
