# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that tests script: Docker with its containers in a dict, engines that behave as told, a clock that obeys."""

from __future__ import annotations

import copy
import json
import typing as t
from dataclasses import dataclass
from urllib.parse import urlsplit

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import Docker, DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import Http, NoAnswer, Reply
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.host import Clock
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.killing import Killer
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import (
    IMAGE,
    IMAGE_ID,
    PORT,
    Json,
)


class FakeClock(Clock):
    """Time passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def utc(self) -> str:
        seconds = int(self.now)
        return f"2026-01-01T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}Z"


@dataclass
class Engine:
    """How the engine of one release behaves; times in seconds after its start."""

    ready_after: float = 3.0
    log: tuple[tuple[float, str], ...] = (
        (0.0, "INFO Starting to load model"),
        (2.0, "INFO Application startup complete."),
    )
    exits_after: float | None = None
    exit_code: int = 1
    oom_killed: bool = False
    restarts_after: float | None = None
    gone_after: float | None = None
    dies_of_question: str = ""
    no_tokens_after: float | None = None
    start_error: str = ""
    answer: str = "Hello!"
    busy_until: float = 0.0
    stops_within: float = 0.0
    api_key: str = ""
    # What others have the engine generate while nobody answers us, in tokens per second.
    works: float = 0.0
    health: int = 200
    refuses: int = 0
    # Adapters that it does not load, and those that it loads and does not answer by.
    no_adapters: t.Sequence[str] = ()
    mute_adapters: t.Sequence[str] = ()


class FakeDocker(Docker):
    """The daemon's containers. `writes` are the calls that change something; `away` makes it not answer at all."""

    def __init__(self, clock: FakeClock, killer: Killer) -> None:
        super().__init__("/nowhere")
        self.clock, self.killer = clock, killer
        self.containers: dict[str, Json] = {}
        self.registry: dict[str, Json] = {IMAGE: {"Id": IMAGE_ID, "Config": {"Entrypoint": ["vllm", "serve"]}}}
        self.images: dict[str, Json] = dict(self.registry)
        self.engines: dict[str, Engine] = {}
        self.versions = {IMAGE_ID: "0.32.0"}
        self.parser = (0, "gpufleet: understood")
        self.writes: list[str] = []
        self.graces: list[int] = []
        self.errors: dict[str, DockerError] = {}
        self.away = False
        self._made = 0

    # What the host looks like

    def named(self, name: str) -> Json | None:
        return next((found for found in self.containers.values() if found["Name"] == f"/{name}"), None)

    def of_instance(self) -> list[Json]:
        return [c for c in self.containers.values() if "io.gpufleet.instance" in c["Config"]["Labels"]]

    def engine(self, container: Json) -> Engine:
        return self.engines.get(container["Config"]["Labels"].get("io.gpufleet.digest", ""), Engine())

    def age(self, container: Json) -> float:
        return self.clock.now - float(container["started"])

    def serving(self, port: int = PORT) -> Json | None:
        """The running container that holds the port."""
        self._settle()
        return next((c for c in self.containers.values() if c["State"]["Running"] and self._port(c) == port), None)

    def ports(self) -> set[int]:
        """Ports that running containers hold."""
        self._settle()
        return {self._port(c) for c in self.containers.values() if c["State"]["Running"]} - {0}

    def stopped(self, container: Json, code: int) -> None:
        container["State"].update(Running=False, Status="exited", ExitCode=code)

    @staticmethod
    def _port(container: Json) -> int:
        bound = container["HostConfig"].get("PortBindings") or {}
        return next((int(binding["HostPort"]) for rows in bound.values() for binding in rows), 0)

    def _settle(self) -> None:
        """Let happen what happened to running containers by now."""
        for container in list(self.containers.values()):
            if not container["State"]["Running"]:
                continue
            engine, age = self.engine(container), self.age(container)
            if self.clock.now >= container.get("stops_at", float("inf")):
                self.stopped(container, 0)
                continue
            if engine.restarts_after is not None and age >= engine.restarts_after:
                container["RestartCount"] = 1
            if engine.gone_after is not None and age >= engine.gone_after:
                del self.containers[container["Id"]]
            elif engine.exits_after is not None and age >= engine.exits_after:
                container["State"]["OOMKilled"] = engine.oom_killed
                self.stopped(container, engine.exit_code)

    def _find(self, key: str) -> Json:
        self._answers()
        self._settle()
        found = self.containers.get(key) or self.named(key)
        if found is None:
            raise DockerError(404, f"No such container: {key}")
        return found

    def _answers(self) -> None:
        if self.away:
            raise DockerError(0, "the Docker daemon does not answer")

    def _effect(self, name: str, effect: t.Callable[[], None]) -> None:
        """One write: a point before it, an error in its place where one is scripted, and a point after it."""
        self._answers()
        self.killer.point(f"before {name}")
        self.writes.append(name)
        if name in self.errors:
            raise self.errors[name]
        effect()
        self.killer.point(f"after {name}")

    # The calls of the port

    def get(self, path: str) -> t.Any:
        self._answers()
        return {"Version": "28.0", "DockerRootDir": "/var/lib/docker"}

    def container(self, name: str) -> Json | None:
        try:
            return copy.deepcopy(self._find(name))
        except DockerError as error:
            if error.status == 404:
                return None
            raise

    def image(self, reference: str) -> Json | None:
        self._answers()
        known = (image for image in self.images.values() if image["Id"] == reference)
        return self.images.get(reference) or next(known, None)

    def containers_labelled(self, label: str) -> list[Json]:
        self._answers()
        self._settle()
        key, _equals, value = label.partition("=")
        labelled = [c for c in self.containers.values() if key in c["Config"]["Labels"]]
        found = [c for c in labelled if value in ("", c["Config"]["Labels"][key])]
        return [
            {"Id": c["Id"], "Names": [c["Name"]], "Labels": c["Config"]["Labels"], "Ports": self._bound(c)}
            for c in found
        ]

    @staticmethod
    def _bound(container: Json) -> list[Json]:
        """As the list endpoint shows them: those of a running container, and one that is not published."""
        bound = container["HostConfig"].get("PortBindings") or {}
        rows = [row for rows in bound.values() for row in rows] if container["State"]["Running"] else []
        return [{"PrivatePort": 9, "Type": "tcp"}] + [
            {"IP": row["HostIp"], "PublicPort": int(row["HostPort"]), "Type": "tcp"} for row in rows
        ]

    def create(self, name: str, body: Json) -> str:
        self._made += 1
        made = f"id{self._made}"

        def effect() -> None:
            if self.named(name) is not None:
                raise DockerError(409, f"Conflict. The container name /{name} is already in use")
            self.containers[made] = {
                "Id": made,
                "Name": f"/{name}",
                "Image": body["Image"],
                "Config": {"Labels": dict(body.get("Labels") or {})},
                "HostConfig": {"RestartPolicy": {"Name": "no"}, **copy.deepcopy(body["HostConfig"])},
                "State": {"Running": False, "Status": "created", "ExitCode": 0, "OOMKilled": False, "StartedAt": ""},
                "RestartCount": 0,
                "started": 0.0,
                "lines": [],
            }

        self._effect(f"create {name}", effect)
        return made

    def start(self, container: str) -> None:
        found = self._find(container)
        if found["State"]["Running"]:
            return

        def effect() -> None:
            engine = self.engine(found)
            if engine.start_error:
                raise DockerError(500, engine.start_error)
            if self._port(found) and self.serving(self._port(found)) is not None:
                raise DockerError(500, f"Bind for 127.0.0.1:{self._port(found)} failed: port is already allocated")
            found["started"] = self.clock.now
            found.pop("stops_at", None)
            found["RestartCount"] = 0
            found["State"].update(Running=True, Status="running", ExitCode=0, StartedAt=self._at(self.clock.now, 0))

        self._effect(f"start {found['Name'][1:]}", effect)

    def stop(self, container: str, grace: int) -> None:
        found = self._find(container)
        name = f"stop {found['Name'][1:]}"

        def effect() -> None:
            takes = min(self.engine(found).stops_within, float(grace)) if found["State"]["Running"] else 0.0
            if takes:
                found["stops_at"] = self.clock.now + takes
                self.killer.point(f"amid {name}")
                self.clock.sleep(takes)
            self.stopped(found, 0)

        self.graces.append(grace)
        self._effect(name, effect)

    def wait(self, container: str, timeout: float) -> int:
        return self.parser[0] if self._find(container)["Name"].startswith("/gpufleet-parser") else 0

    def rename(self, container: str, name: str) -> None:
        found = self._find(container)

        def effect() -> None:
            if self.named(name) is not None:
                raise DockerError(409, f"Conflict. The container name /{name} is already in use")
            found["Name"] = f"/{name}"

        self._effect(f"rename {found['Name'][1:]} {name}", effect)

    def set_restart_policy(self, container: str, policy: str) -> None:
        found = self._find(container)
        policies = found["HostConfig"]["RestartPolicy"]
        self._effect(f"policy {found['Name'][1:]} {policy}", lambda: policies.update(Name=policy))

    def remove(self, container: str) -> None:
        found = self.container(container)
        if found is not None:
            self._effect(f"remove {found['Name'][1:]}", lambda: self.containers.__delitem__(found["Id"]))

    def logs(self, container: str, since: str = "0") -> str:
        found = self._find(container)
        if found["Name"].startswith("/gpufleet-version"):
            return f"{self._at(0.0)} {self.versions.get(found['Image'], '')}\n"
        if found["Name"].startswith("/gpufleet-parser"):
            return "".join(f"{self._at(0.0)} {line}\n" for line in self.parser[1].splitlines())
        engine = self.engine(found)
        until = self.age(found)
        said = [(after, text) for after, text in engine.log if after <= until] + found["lines"]
        return "".join(f"{self._at(float(found['started']) + after)} {text}\n" for after, text in said)

    def pull(
        self,
        reference: str,
        auth: str,
        on_progress: t.Callable[[Json], None],
        limit: float = 3600,
        silence: float = 600,
    ) -> None:
        pulled = self.registry.get(reference, self.registry[IMAGE])
        self._effect(f"pull {reference}", lambda: self.images.__setitem__(reference, pulled))

    @staticmethod
    def _at(seconds: float, nanoseconds: int = 1) -> str:
        """As Docker prints times; a line is later than the start that it belongs to."""
        whole = int(seconds)
        clock = f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
        return f"2026-01-01T{clock}.{int((seconds - whole) * 1e9) + nanoseconds:09d}Z"


class FakeHttp(Http):
    """Engines as their containers have them: refused, loading, answering, or dying of the question."""

    def __init__(self, docker: FakeDocker) -> None:
        super().__init__()
        self.docker = docker

    def request(self, method: str, url: str, timeout: float, body: t.Any = None) -> Reply:
        container = self.docker.serving(urlsplit(url).port or PORT)
        if container is None:
            raise NoAnswer("Connection refused")
        engine, age = self.docker.engine(container), self.docker.age(container)
        if age < engine.ready_after:
            raise NoAnswer("Connection refused")
        if url.endswith("/health"):
            return Reply(engine.health, "")
        if url.endswith("/metrics"):
            generated = f'vllm:generation_tokens_total{{engine="0"}} {age * engine.works}\n'
            return Reply(200, self._metrics(1.0 if age < engine.busy_until else 0.0) + generated)
        if engine.api_key not in ("", self.token):
            return Reply(401, {"error": "Unauthorized"})
        if url.endswith("/v1/models"):
            document = json.loads(container["Config"]["Labels"]["io.gpufleet.release"])
            cards = [
                {"id": name, "max_model_len": document["arguments"]["max_model_len"]}
                for name in document["served_model_names"]
            ]
            cards += [{"id": medium} for medium in document["arguments"].get("default_mm_loras") or {}]
            loaded = self.adapters(container)
            return Reply(200, {"data": [*cards, *({"id": name, "root": path} for name, path in loaded.items())]})
        if url.endswith("lora_adapter"):
            return self._adapter(container, engine, url, body)
        if isinstance(body, dict) and body.get("model") in engine.mute_adapters:
            return Reply(400, {"error": {"message": "No adapter found"}})
        return self._generation(container, engine, age, timeout)

    @staticmethod
    def adapters(container: Json) -> dict[str, str]:
        """Those of this start: the next one has none."""
        loaded: dict[str, dict[str, str]] = container.setdefault("adapters", {})
        return loaded.setdefault(container["State"]["StartedAt"], {})

    def _adapter(self, container: Json, engine: Engine, url: str, body: t.Any) -> Reply:
        """As vLLM 0.32.0 answers: 404 where it was not told to have the route, 400 for a name that it has already."""
        document = json.loads(container["Config"]["Labels"]["io.gpufleet.release"])
        if document["env"].get("VLLM_ALLOW_RUNTIME_LORA_UPDATING") != "1":
            return Reply(404, {"detail": "Not Found"})
        loaded, name = self.adapters(container), body["lora_name"]
        if url.endswith("/v1/unload_lora_adapter"):
            return Reply(200, "Success") if loaded.pop(name, None) else Reply(404, {"error": {"message": "not found"}})
        if name in loaded or name in engine.no_adapters:
            return Reply(400, {"error": {"message": f"Loading lora {name} failed: no such thing"}})
        loaded[name] = body["lora_path"]
        return Reply(200, f"Success: LoRA adapter '{name}' added successfully.")

    @staticmethod
    def _metrics(running: float) -> str:
        lines = ("running", running), ("waiting", 0.0)
        return "".join(f'vllm:num_requests_{name}{{engine="0",model_name="t"}} {count}\n' for name, count in lines)

    def _generation(self, container: Json, engine: Engine, age: float, timeout: float) -> Reply:
        if engine.dies_of_question:
            container["lines"].append((age, engine.dies_of_question))
            if engine.exits_after is None:
                self.docker.stopped(container, 0)
            return Reply(500, {"error": {"message": "EngineCore encountered an issue."}})
        if engine.no_tokens_after is not None and age >= engine.no_tokens_after:
            self.docker.clock.sleep(timeout)
            raise NoAnswer("timed out")
        if engine.refuses:
            return Reply(engine.refuses, {"error": {"message": "no"}})
        return Reply(200, {"choices": [{"message": {"content": engine.answer}}], "usage": {"completion_tokens": 3}})

    def arrivals(self, url: str, timeout: float, body: t.Any) -> t.Iterator[tuple[t.Any, float]]:
        """Every token takes a second."""
        words = self.request("POST", url, timeout, body).body["choices"][0]["message"]["content"].split()
        for at, word in enumerate(words, start=1):
            self.docker.clock.sleep(1)
            yield {"choices": [{"delta": {"content": word}}]}, float(at)
