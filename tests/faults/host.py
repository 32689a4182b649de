# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of the lab as the rows see it: commands on it, its state, its containers, and faults put into it."""

from __future__ import annotations

import contextlib
import itertools
import json
import pathlib
import subprocess
import time
import typing as t

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
FILES = CHECKOUT / "tests" / "faults" / "files"
AT_STAGE = (FILES / "at_stage.py").read_text()
# The process of an engine that generates; the one that answers HTTP is another.
ENGINE = "VLLM::EngineCore"
INSTANCE = "assistant"
CONTAINER = f"vllm-{INSTANCE}"
UNIT = f"gpufleet-rollout@{INSTANCE}.service"
WATCH_SERVICE = "gpufleet-watch.service"
PROGRAM = "/usr/local/lib/gpufleet/gpufleet-host"
STATE_DIR = f"/var/lib/gpufleet/{INSTANCE}"
STATE_DIRS = "/var/lib/gpufleet/*"
STAGES = f"{STATE_DIR}/stages.jsonl"
URL = "http://127.0.0.1:8000"
# Seconds within which a stage is reached on a machine that is busy with other things.
STAGE_LIMIT = 1800

Json = dict[str, t.Any]


class Host:
    """One host; `name` is that of the inventory."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.container = f"gpufleet-lab-{name}"

    def popen(self, *command: str) -> subprocess.Popen[str]:
        """Start a command on the host, with pipes to its input and from its output."""
        return subprocess.Popen(
            ["docker", "exec", "--interactive", self.container, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run(self, *command: str, given: str = "", check: bool = True, limit: float = 120) -> str:
        """Run a command on the host; its output. Raises AssertionError with what it said when it fails."""
        done = subprocess.run(
            ["docker", "exec", "--interactive", self.container, *command],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=limit,
        )
        assert done.returncode == 0 or not check, f"{self.name}: {' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def succeeds(self, *command: str) -> bool:
        done = subprocess.run(["docker", "exec", self.container, *command], capture_output=True, check=False)
        return done.returncode == 0

    def write(self, path: str, text: str) -> None:
        self.run("tee", path, given=text)

    # What it knows and shows

    def read(self, path: str) -> str:
        return self.run("cat", path, check=False)

    def state(self, instance: str = INSTANCE) -> Json:
        """What state.json says; empty where there is none."""
        text = self.read(f"/var/lib/gpufleet/{instance}/state.json")
        return t.cast(Json, json.loads(text)["state"]) if text else {}

    def verified(self) -> str:
        """Digest of the release that the state calls current; '' where none is."""
        return str((self.state().get("current") or {}).get("digest", ""))

    def containers(self) -> dict[str, Json]:
        """Inspections by name."""
        names = self.run("docker", "ps", "--all", "--format", "{{.Names}}").split()
        inspected = json.loads(self.run("docker", "inspect", *names)) if names else []
        return {one["Name"].lstrip("/"): one for one in inspected}

    def serving(self) -> str:
        """Digest of the release whose container runs under the instance's name; '' where none does."""
        found = self.containers().get(CONTAINER)
        if found is None or not found["State"]["Running"]:
            return ""
        return str(found["Config"]["Labels"].get("io.gpufleet.digest", ""))

    def serving_container(self) -> str:
        """Its container's id; '' where none has the instance's name."""
        return str((self.containers().get(CONTAINER) or {}).get("Id", ""))

    def verified_container(self) -> str:
        """That of the release that the state calls current; '' where none is."""
        return str((self.state().get("current") or {}).get("container_id", ""))

    def generates(self, url: str = URL, model: str = INSTANCE, limit: float = 60) -> str:
        """The answer to a real question; '' where there is none."""
        body = {"model": model, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}
        words = ("--silent", "--max-time", str(limit), "--header", "Content-Type: application/json")
        answer = self.run("curl", *words, "--data", json.dumps(body), f"{url}/v1/chat/completions", check=False)
        with contextlib.suppress(ValueError, LookupError, TypeError):
            return str(json.loads(answer)["choices"][0]["message"]["content"] or "")
        return ""

    def healthy(self, url: str = URL) -> bool:
        return self.succeeds("curl", "--silent", "--fail", "--max-time", "2", "--output", "/dev/null", f"{url}/health")

    def told(self, *words: str) -> Json:
        """What the program on the host prints as JSON."""
        return t.cast(Json, json.loads(self.run(PROGRAM, *words, check=False)))

    def limits(self, unit: str) -> dict[str, int]:
        """What the kernel lets the processes of a unit have, by controller; empty where the unit has none now.

        Raises AssertionError where systemd says otherwise.
        """
        shown = ("--property=MainPID", "--property=MemoryMax", "--property=TasksMax")
        said = dict(line.split("=", 1) for line in self.run("systemctl", "show", *shown, unit).splitlines())
        given = (FILES / "limits.py").read_text()
        held = t.cast(dict[str, int], json.loads(self.run("python3", "-", said["MainPID"], given=given)))
        stated = {"memory": int(said["MemoryMax"]), "pids": int(said["TasksMax"])}
        assert held in ({}, stated), f"{unit} has {held}, and systemd says {stated}"
        return held

    def snapshot(self) -> Json:
        """Digests of the files that are ours, and every container: equal where nothing was written or started."""
        program = (CHECKOUT / "molecule" / "shared" / "files" / "snapshot.py").read_text()
        return t.cast(Json, json.loads(self.run("python3", "-", given=program)))

    # Stages of the transaction

    def mark(self) -> int:
        """Where the stage log ends now: what comes is read from there."""
        return int(self.run("stat", "--format", "%s", STAGES, check=False).strip() or 0)

    def stages(self, mark: int) -> list[Json]:
        text = self.run("tail", f"--bytes=+{mark + 1}", STAGES, check=False)
        return [json.loads(line) for line in text.splitlines()]

    def seconds_of(self, stage: str, mark: int) -> float:
        """How long a stage took when a transaction before the mark last went through it; 0 where none did."""
        took = 0.0
        text = self.run("sh", "-c", f"head --bytes={mark} {STAGES} | tail --lines=200", check=False)
        for before, after in itertools.pairwise(json.loads(line) for line in text.splitlines()):
            if before["stage"] == stage and "outcome" not in before:
                took = max(0.0, after["elapsed"] - before["elapsed"])
        return took

    def at_stage(self, mark: int, stage: str, *command: str, while_true: t.Callable[[], bool] = lambda: True) -> None:
        """Wait for a stage (or `end`) after the mark, then run a command on the host at once.

        Raises AssertionError when the transaction ends without it, or `while_true` is no more.
        """
        with self.popen("python3", "-c", AT_STAGE, STAGES, str(mark), stage, str(STAGE_LIMIT), *command) as waiter:
            while waiter.poll() is None:
                if not while_true():
                    time.sleep(1)  # what came last may be read yet
                    break
                time.sleep(0.05)
            reached = waiter.poll() == 0
            waiter.kill()
        assert reached, f"{self.name}: stage {stage} was not reached"

    def signal(self, name: str, unit: str = UNIT) -> None:
        self.run("systemctl", "kill", f"--signal={name}", unit)

    def busy(self) -> bool:
        """Whether a transaction lives: systemd keeps its unit's file for so long."""
        return self.succeeds("test", "-e", f"/run/systemd/transient/{UNIT}")

    def address(self) -> str:
        """Where it is reached from this machine."""
        network = "{{.NetworkSettings.IPAddress}}"
        command = ["docker", "inspect", "--format", network, self.container]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def recovered(self) -> bool:
        """Whether it serves again with nothing left unfinished, as after a reboot."""
        return (
            self.succeeds("true") and not self.busy() and not self.state().get("candidate") and bool(self.generates())
        )

    # Docker and the clock

    def restart_docker(self) -> None:
        """Its unit refuses more than three starts a minute."""
        self.run("systemctl", "reset-failed", "docker.service")
        self.run("systemctl", "restart", "docker.service")

    @contextlib.contextmanager
    def out_of_reach(self, address: str) -> t.Iterator[t.Callable[[], t.Any]]:
        """Nothing of the host reaches the address from the call of what this gives on, until the end."""
        route = ("unreachable", f"{address}/32")
        try:
            yield lambda: self.run("ip", "route", "add", *route)
        finally:
            self.run("ip", "route", "del", *route, check=False)

    @contextlib.contextmanager
    def faked_clock(self) -> t.Iterator[t.Callable[[str], str]]:
        """Units that start from now on see a wall clock that is off by what they are told, such as `+1d`."""
        told = "/run/wall-clock"
        self.write(told, "+0\n")
        library = self.run("sh", "-c", "ls /usr/lib/*/faketime/libfaketime.so.1").strip()
        settings = {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": told,
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.run("systemctl", "set-environment", *(f"{name}={value}" for name, value in settings.items()))
        try:
            yield lambda offset: self.run("tee", told, given=f"{offset}\n")
        finally:
            self.run("systemctl", "unset-environment", *settings)

    # Time

    def wait_until(self, what: str, true: t.Callable[[], bool], limit: float = STAGE_LIMIT) -> float:
        """Wait; for how many seconds it was. Raises AssertionError."""
        began = time.monotonic()
        while not true():
            assert time.monotonic() - began < limit, f"{self.name}: not {what} within {limit:g} s"
            time.sleep(0.3)
        return time.monotonic() - began

    def at_rest(self, limit: float = STAGE_LIMIT) -> None:
        """Wait until no transaction lives."""
        self.wait_until("at rest", lambda: not self.busy(), limit)
