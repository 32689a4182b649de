# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which alerts are told while a real engine is under load. Prints one JSON object, and ends with 1 where any is.

    python tests/bench/alerts_under_load.py URL [--minutes 60] [--clients 8] [--node-exporter PROGRAM]

URL is the engine's, without /v1; it serves the model `tiny`. Needs prometheus, promtool and haproxy. Prometheus runs
with the files of the role and its defaults, in a folder of its own; CLIENTS ask one thing after another through the
role's door, streamed, with prompts that begin alike. What is pending or firing is asked for every 15 s.

An alert that is not told may be one that cannot be: so at the end an engine that does not answer is put beside the
first one, and VllmEngineAway has to be told of it. With a node exporter there is then a second door too, with a
certificate that ends in 10 days and a key of 400 days, of which it reads what the watch would write: both have to be
told. `silent` are recorded names without a value at the end of the load.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / ".collections"))

from ansible_collections.gpufleet.vllm.plugins.module_utils._door.places import file_of_map
from ansible_collections.gpufleet.vllm.plugins.module_utils._gateway import served
from ansible_collections.gpufleet.vllm.plugins.module_utils._host import ages, textfile
from ansible_collections.gpufleet.vllm.plugins.module_utils._monitoring import configuration, targets
from ansible_collections.gpufleet.vllm.plugins.module_utils._monitoring.places import Places
from ansible_collections.gpufleet.vllm.plugins.module_utils._monitoring.recorded import RECORDED
from ansible_collections.gpufleet.vllm.tests.ports import free_port
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._door.pairs import made
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gateway.doors import KEY, Door
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._monitoring.planned import read, written

Json = dict[str, t.Any]
LOOK = 15.0
DAY = 86_400
CERTIFICATE_DAYS, KEY_DAYS = 10, 400
COMMON = "You are a helpful assistant of a company that sells garden tools and answers in one sentence. " * 8
TOKENS = (16, 32, 64)
# What the control takes beyond the time that an engine may be away.
SLACK = 120


class Load:
    """Clients that ask until it is enough. ERRORS are answers that were not whole."""

    def __init__(self, port: int, clients: int) -> None:
        self.port, self.enough = port, threading.Event()
        self.answers = 0
        self.errors: list[str] = []
        self._lock = threading.Lock()
        self._clients = [threading.Thread(target=self._client, args=(number,)) for number in range(clients)]

    def start(self) -> None:
        for one in self._clients:
            one.start()

    def stop(self) -> None:
        self.enough.set()
        for one in self._clients:
            if one.is_alive():
                one.join()

    def _client(self, number: int) -> None:
        turn = 0
        while not self.enough.is_set():
            turn += 1
            wrong = self._asked(f"{COMMON}Customer {number}, question {turn}.", TOKENS[turn % len(TOKENS)])
            with self._lock:
                self.answers += not wrong
                self.errors += [wrong] if wrong else []
            # Who is refused at once shall not ask a thousand times a second.
            self.enough.wait(1.0 if wrong else 0.0)

    def _asked(self, text: str, tokens: int) -> str:
        """Why the answer is not whole, or ''."""
        body = {"model": "tiny", "prompt": text, "max_tokens": tokens, "stream": True, "ignore_eos": True}
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        try:
            line.request("POST", "/v1/completions", json.dumps(body), headers)
            answer = line.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            return repr(error)
        finally:
            line.close()
        return "" if answer.status == 200 and b"[DONE]" in said else f"{answer.status}: {said[:200]!r}"


class Prometheus:
    """With the files of the role, reached at its API."""

    def __init__(self, places: Places, folder: pathlib.Path, port: int) -> None:
        self.port = port
        with (folder / "prometheus.log").open("wb") as log:
            words = [f"--config.file={places.config}", f"--storage.tsdb.path={folder / 'data'}"]
            self.process = subprocess.Popen(
                ["prometheus", *words, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log
            )

    def get(self, path: str, **asked: str) -> t.Any:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        line.request("GET", f"/api/v1/{path}?{urllib.parse.urlencode(asked)}")
        answer = line.getresponse()
        found = json.loads(answer.read())
        line.close()
        if found.get("status") != "success":
            raise SystemExit(f"Prometheus answered {answer.status} to {path}: {found}")
        return found["data"]

    def must_answer(self) -> None:
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                self.get("status/runtimeinfo")
                return
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise SystemExit("Prometheus does not answer")
            time.sleep(0.5)

    def alerts(self) -> list[tuple[str, str, str]]:
        """Name, instance and state of each that is pending or firing."""
        found = self.get("alerts")["alerts"]
        return [
            (
                one["labels"]["alertname"],
                str(one["labels"].get("instance") or one["labels"].get("host", "")),
                one["state"],
            )
            for one in found
        ]

    def wrong_rules(self) -> list[str]:
        groups = self.get("rules")["groups"]
        return [
            f"{rule['name']}: {rule['lastError']}" for one in groups for rule in one["rules"] if rule["health"] == "err"
        ]

    def silent(self) -> list[str]:
        """Recorded names without a value."""
        return [name for name in RECORDED if not self.get("query", query=name)["result"]]

    def away(self) -> list[str]:
        """Targets that cannot be read."""
        found = self.get("targets", state="active")["activeTargets"]
        return [f"{one['labels']['job']}: {one['lastError']}" for one in found if one["health"] != "up"]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def watched(prometheus: Prometheus, seconds: float) -> Json:
    """Seconds after the beginning at which each alert was pending and firing first, by name and instance."""
    began = time.monotonic()
    pending: dict[str, float] = {}
    firing: dict[str, float] = {}
    looks = 0
    while time.monotonic() - began < seconds:
        time.sleep(LOOK)
        looks += 1
        for name, instance, state in prometheus.alerts():
            seen = firing if state == "firing" else pending
            seen.setdefault(f"{name} of {instance}", round(time.monotonic() - began))
    return {"looks": looks, "pending": pending, "firing": firing}


def put_dead_engine(file: pathlib.Path) -> None:
    """Beside the engines in a file of targets, one that is not there."""
    group = {"targets": [f"127.0.0.1:{free_port()}"], "labels": {"host": "gpu-1", "instance": "gpu-1:dead"}}
    file.write_text(json.dumps([*json.loads(file.read_text()), group]))


@contextlib.contextmanager
def old_door(engine: served.Endpoint, textfiles: pathlib.Path) -> t.Iterator[None]:
    """A door whose certificate ends soon and whose key is old, and what the watch would write of it for node exporter.

    Not below /tmp, where the door's own settings take no certificate.
    """
    with tempfile.TemporaryDirectory(prefix="gpufleet-", dir="/dev/shm") as name:
        folder = pathlib.Path(name)
        (folder / "door.pem").write_text("".join(made(folder, "models", CERTIFICATE_DAYS)))
        door = Door(folder, [engine], certificate=str(folder / "door.pem"))
        try:
            came = str(int(time.time()) - KEY_DAYS * DAY)
            since = {digest: came for key in door.settings.keys for digest in key.digests}
            pathlib.Path(door.places.map("since")).write_text(file_of_map(since))
            of_host = ages.Door(door.places, door.runtime)
            said = textfile.text(str(folder / "state"), str(folder / "run"), time.time(), of_host)
            textfiles.mkdir(exist_ok=True)
            (textfiles / "gpufleet.prom").write_text(said)
            yield
        finally:
            door.stop()


def told_within(prometheus: Prometheus, wanted: t.Collection[tuple[str, str]], limit: float) -> dict[str, float | None]:
    """Seconds until each alert of an instance is firing; None where it never is."""
    began = time.monotonic()
    found: dict[str, float | None] = dict.fromkeys((name for name, _instance in wanted), None)
    while None in found.values() and time.monotonic() - began < limit:
        time.sleep(LOOK)
        for name, instance, state in prometheus.alerts():
            if (name, instance) in wanted and state == "firing" and found[name] is None:
                found[name] = round(time.monotonic() - began)
    return found


def planned(folder: pathlib.Path, engine: urllib.parse.SplitResult, door: int, node: int) -> tuple[Places, int]:
    """The files of the role, and the port of its Prometheus."""
    port = free_port()
    host = targets.Host("gpu-1", True, "gpu-1", [{"name": "assistant", "model": "org/tiny", "port": engine.port}], door)
    return written(folder, [host], port=port, node_port=node), port


def version(*command: str) -> str:
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    return " ".join((said.stdout or said.stderr).split("\n")[0].split())[:60]


def main() -> None:
    parser = argparse.ArgumentParser(description="Which alerts are told under load.")
    parser.add_argument("url")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--node-exporter", default=shutil.which("prometheus-node-exporter") or "")
    given = parser.parse_args()
    url = urllib.parse.urlsplit(given.url)
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engine = served.Endpoint(
            "gpu-1", "assistant", "m", "", ("tiny",), str(url.hostname), int(url.port or 80), active=True, here=True
        )
        door = Door(folder, [engine])
        stack.callback(door.stop)
        node = free_port() if given.node_exporter else 0
        places, port = planned(folder, url, door.metrics_port, node)
        if node:
            words = configuration.node_arguments(read(port=port, node_port=node), places)
            exporter = subprocess.Popen([given.node_exporter, *words], stderr=subprocess.DEVNULL)
            stack.callback(exporter.wait, 60)
            stack.callback(exporter.terminate)
        prometheus = Prometheus(places, folder, port)
        stack.callback(prometheus.stop)
        prometheus.must_answer()
        load = Load(door.port, given.clients)
        stack.callback(load.stop)
        load.start()
        seen = watched(prometheus, given.minutes * 60)
        found = {"silent": prometheus.silent(), "wrong_rules": prometheus.wrong_rules(), "away": prometheus.away()}
        load.stop()
        put_dead_engine(pathlib.Path(places.targets("vllm")))
        wanted = [("VllmEngineAway", "gpu-1:dead")]
        if node:
            stack.enter_context(old_door(engine, pathlib.Path(places.textfiles)))
            wanted += [("VllmDoorCertificateEnds", "gpu-1"), ("VllmApiKeyOld", "gpu-1")]
        control = told_within(prometheus, wanted, read().away_seconds + SLACK)
    report = {
        "minutes": given.minutes,
        "clients": given.clients,
        "answers": load.answers,
        "errors": len(load.errors),
        "first_errors": load.errors[:3],
        **seen,
        **found,
        "control_seconds": control,
        "versions": [version("prometheus", "--version"), version("haproxy", "-v")],
    }
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    if not load.answers or seen["firing"] or found["wrong_rules"] or found["away"] or None in control.values():
        raise SystemExit(1)


if __name__ == "__main__":
    main()
