# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What serves, as the host's script says."""

from __future__ import annotations

import json
import pathlib
import typing as t

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

SETTLED: dict[str, t.Any] = {
    "resting": False,
    "transaction": None,
    "cut_off": False,
    "problem": None,
    "failed": None,
    "healthy": True,
    "unhealthy_because": "",
}


def served(variables: dict[str, t.Any]) -> tuple[str, str | None]:
    """What serves and what served before, by the log of what was asked: each rollout that is verified brings its own
    release, and each rollback swaps the two. At first it is that of a host's script."""
    script, host = variables["script"], variables["inventory_hostname"]
    now, before = script["current"]["a"]["digest"], None
    fails = {"rollout": script.get("outcomes", {}).get("a"), "rollback": script.get("back")}
    for line in pathlib.Path(variables["script_log"]).read_text().splitlines():
        of_host, _instance, asked = json.loads(line)
        if of_host != host or fails.get(asked["kind"], "verified") not in (None, "verified"):
            continue
        if asked["kind"] == "rollout":
            now, before = asked["plan"]["digest"], now
        elif asked["kind"] == "rollback" and before is not None:
            now, before = before, now
    return now, before


class ActionModule(ActionBase):  # type: ignore[misc,unused-ignore]
    def _looks(self, task_vars: dict[str, t.Any]) -> int:
        """How often this host was looked at."""
        kept = pathlib.Path(f"{task_vars['script_log']}.looks.{task_vars['inventory_hostname']}")
        looks = 1 + (int(kept.read_text()) if kept.exists() else 0)
        kept.write_text(str(looks))
        return looks

    def _away(self, task_vars: dict[str, t.Any]) -> bool:
        """Whether it is out of reach since it was asked for so much."""
        most = task_vars["script"].get("away_after")
        asked = pathlib.Path(task_vars["script_log"]).read_text().splitlines()
        return most is not None and len(asked) >= most

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        script = (task_vars or {})["script"]
        if "lost" in script.get("outcomes", {}).values() or self._away(task_vars or {}):
            raise AnsibleConnectionFailure("no route to host")
        if self._task.args.get("prove", True) and script.get("not_proved"):
            return {**result, "failed": True, "msg": "a does not serve: it answers nothing."}
        current, said = script.get("current", {}), script.get("said", {})
        looked = 0 if self._task.args.get("prove", True) else self._looks(task_vars or {})
        if looked and looked <= script.get("busy", 0):
            said = {"transaction": {"unit": "a unit", "stage": "ready"}}
            current = {}
        # Two things are seen of a rollout that was cut off: it was, and what is held for the way back.
        if looked and looked == script.get("cut_off"):
            said = {"cut_off": True, "healthy": False}
        proved = "p" * 64
        if script.get("moves"):
            now, before = served(task_vars or {})
            current = {"a": {"digest": now, "container_id": f"c-{now[0]}"}}
            script = {**script, "previous": {"a": before and {"digest": before}}}
            proved = now
        seen = [
            {**SETTLED, "name": name, "previous": previous, "current": current.get(name), **said}
            for name, previous in script.get("previous", {}).items()
        ]
        names = self._task.args.get("instances") or ["a"]
        summary = [f"{name} serves." for name in names]
        asked = names if self._task.args.get("prove", True) else []
        proofs = [
            {"instance": name, "proved": True, "because": "", "digest": proved, "fallback_of": ""} for name in asked
        ]
        serving = "a release pppppppppppp."
        return {
            **result,
            "changed": False,
            "serving": serving,
            "summary": summary,
            "proofs": proofs,
            "instances": seen,
            **script.get("status", {}),
        }
