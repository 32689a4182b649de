# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX lays out for a job (inventory, env), and what ansible-runner leaves of it (artifacts)."""

from __future__ import annotations

import json
import pathlib
import typing as t

from ansible_collections.gpufleet.vllm.tests.awx.configuration import Json

SECRETS = {"vllm_server_hub_token": "token-of-a-test", "vault_assistant_api_key": "api-key-of-a-test"}
INSTANCE: Json = {"name": "a", "model": "/nowhere/model", "port": 8000, "api_key": "{{ vault_assistant_api_key }}"}
# What the inventory of every job here states.
STATED: Json = {
    "gpu_detect_host_class": "cpu",
    "vllm_server_image": "vllm-cpu:0.32.0",
    "vllm_server_version": "0.32.0",
}
# Of each run.
IDENT = "1"


class Job(t.NamedTuple):
    """What AWX has of a job. `left` are its artifacts."""

    status: str
    left: Json
    events: str
    said: str

    def secrets(self) -> list[str]:
        """Those that anything of it shows."""
        return [secret for secret in SECRETS.values() if secret in self.events + self.said]


def lay_out(folder: pathlib.Path, hosts: t.Mapping[str, Json], python: str, seen_at: pathlib.PurePath) -> None:
    """Write the folder of a job. `python` runs its inventory, and `seen_at` is the folder as the job sees it."""
    (folder / "env").mkdir()
    (folder / "inventory").mkdir()
    inventory = folder / "inventory" / "hosts"
    listed = json.dumps({"gpu_hosts": {"hosts": list(hosts)}, "_meta": {"hostvars": hosts}})
    inventory.write_text(f"#!{python}\nprint({listed!r})\n")
    inventory.chmod(0o755)
    # As AWX has the extra variables of a credential: in a file of their own.
    (folder / "env" / "credential").write_text(json.dumps(SECRETS))
    (folder / "env" / "cmdline").write_text(f"-e @{seen_at / 'env' / 'credential'}")
    # Answers of a survey; a blank one is an answer.
    (folder / "env" / "extravars").write_text(json.dumps({"vllm_server_target_version": "", "vllm_server_active": ""}))


def kept(folder: pathlib.Path) -> Job:
    """What a run has left."""
    here = folder / "artifacts" / IDENT
    events = [json.loads(path.read_text()) for path in (here / "job_events").glob("*.json")]
    stats = [event["event_data"] for event in events if event["event"] == "playbook_on_stats"]
    left = stats[0].get("artifact_data", {}) if stats else {}
    return Job((here / "status").read_text(), left, json.dumps(events), (here / "stdout").read_text())
