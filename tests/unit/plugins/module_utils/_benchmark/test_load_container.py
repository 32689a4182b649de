# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container of a load: what it may do, and what it is told."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark import load_container
from ansible_collections.gpufleet.vllm.plugins.module_utils._benchmark.load_container import NoLoad
from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import Docker, DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import Entry
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._benchmark.cases import RESULT
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import client, release

Json = dict[str, t.Any]
KEY_FILE = "/var/lib/gpufleet/assistant/api-keys/mark.yaml"
CONTAINER = {
    "schema": 2,
    "name": "vllm-assistant",
    "user": "1000:1000",
    "shm_size_mib": 2048,
    "ipc": "private",
    "memory_limit_mib": 65536,
    "volumes": ["/srv/hub:/hub:rw", "/srv/models:/models:ro", "/var/cache/gpufleet/vllm/a:/var/cache/gpufleet/vllm:rw"],
    "container_port": 8000,
}


def entry(**changes: t.Any) -> Entry:
    gpus = {"mode": "cdi", "uuids": ["GPU-1"]}
    document = release(**{"container": CONTAINER, "gpus": gpus, **changes})
    return Entry("d" * 64, document, client(), {}, container_id="c1", image_id="sha256:1")


def body(info: Json | None = None, **changes: t.Any) -> Json:
    keyed = {"api_key": {"fingerprint": "mark", "path": "/run/gpufleet/key.yaml"}, **changes}
    return load_container.body(entry(**keyed), "c1", ["--seed", "7"], KEY_FILE, info or {"NCPU": 16}, 10)


def test_it_may_do_no_more_than_the_server_and_takes_less() -> None:
    made = body()
    host = made["HostConfig"]
    assert (made["Image"], made["User"]) == ("sha256:1", "1000:1000")
    assert (host["CapDrop"], host["CapAdd"], host["SecurityOpt"]) == (["ALL"], [], ["no-new-privileges"])
    assert (host["NetworkMode"], host["Runtime"]) == ("container:c1", "runc")
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (4 * 2**30, 4 * 2**30, 4 * 10**9)
    assert host["PidsLimit"] > 0


def test_it_has_no_gpu() -> None:
    made = body()
    assert "DeviceRequests" not in made["HostConfig"]
    assert "NVIDIA_VISIBLE_DEVICES=void" in made["Env"]


def test_a_small_host_has_no_four_processors() -> None:
    assert body({"NCPU": 2})["HostConfig"]["NanoCpus"] == 2 * 10**9


def test_it_reads_what_the_server_has_and_leaves_its_cache_alone() -> None:
    assert body()["HostConfig"]["Binds"] == ["/srv/hub:/hub:ro", "/srv/models:/models:ro"]


def test_the_key_is_a_file_and_no_word() -> None:
    made = body()
    mount = {"Type": "bind", "Source": KEY_FILE, "Target": "/run/gpufleet/key.yaml", "ReadOnly": True}
    assert made["HostConfig"]["Mounts"] == [mount]
    assert made["Cmd"][2] == "/run/gpufleet/key.yaml"
    assert not [word for word in made["Env"] if "KEY" in word]
    none = load_container.body(entry(), "c1", [], "", {}, 10)
    assert (none["HostConfig"]["Mounts"], none["Cmd"][2]) == ([], "")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"command": ["acme/tiny", "--revision", "abc"]}, ["acme/tiny", "abc"]),
        ({"command": ["--model", "acme/tiny"]}, ["acme/tiny", ""]),
        ({"command": ["acme/tiny", "--revision", "abc"], "arguments": {"tokenizer": "acme/words"}}, ["acme/words", ""]),
        ({"arguments": {"tokenizer": "acme/words", "tokenizer_revision": "v2"}}, ["acme/words", "v2"]),
    ],
)
def test_its_tokenizer_is_the_server_s(changes: Json, found: list[str]) -> None:
    assert load_container.tokenizer(release(**changes)) == found


def test_what_generates_nothing_is_not_measured() -> None:
    assert load_container.unsuitable(entry()) == ""
    assert load_container.unsuitable(entry(arguments={"runner": "pooling"})) != ""


@pytest.mark.parametrize(("version", "fits"), [("0.10.2", False), ("0.11.0", True), ("0.33.0", True)])
def test_releases_whose_benchmark_asks_a_prompt_twice_are_not_measured(version: str, fits: bool) -> None:
    assert (load_container.unsuitable(entry(version=version)) == "") is fits


class Containers(Docker):
    """One container, which ends with CODE and has said LINES; one that runs on without a code."""

    def __init__(self, code: int | None = 0, lines: t.Sequence[str] = ()) -> None:
        super().__init__()
        self.code, self.lines, self.removed = code, lines, 0

    def container(self, name: str) -> Json | None:
        return {"State": {"Running": self.code is None}} if name == "c2" else None

    def create(self, name: str, body: Json) -> str:
        assert name == "gpufleet-benchmark-assistant"
        return "c2"

    def start(self, container: str) -> None:
        pass

    def wait(self, container: str, timeout: float) -> int:
        if self.code is None:
            raise DockerError(0, "timed out")
        return self.code

    def logs(self, container: str, since: str = "0") -> str:
        return "\n".join(f"2026-11-27T10:00:00Z {line}" for line in self.lines)

    def remove(self, container: str) -> None:
        self.removed += 1


def test_its_result_is_its_last_word() -> None:
    docker = Containers(lines=["noise", load_container.MARK + json.dumps(RESULT)])
    assert load_container.run(docker, "assistant", {}, 10) == RESULT
    assert docker.removed == 1


@pytest.mark.parametrize(
    ("docker", "told"),
    [
        (Containers(1, ["Traceback", "OSError: no tokenizer", ""]), "exit code 1 and said: OSError: no tokenizer"),
        (Containers(1, ["OSError: http://me:word@proxy:3128"]), r"said: OSError: http://\*\*\*@proxy:3128"),
        (Containers(137, [load_container.MARK + "{}"]), "it ended with exit code 137"),
        (Containers(0, []), "exit code 0 and said: nothing"),
        (Containers(0, [load_container.MARK + "{"]), "its result is not understood"),
        (Containers(None), "it was not done after 10 s"),
    ],
)
def test_one_without_a_result_is_told_and_removed(docker: Containers, told: str) -> None:
    with pytest.raises(NoLoad, match=told):
        load_container.run(docker, "assistant", {}, 10)
    assert docker.removed == 1


def test_what_it_runs_is_python() -> None:
    compile(load_container.RUN, "run", "exec")
    assert f'print("\\n{load_container.MARK}"' in load_container.RUN


def ran(folder: pathlib.Path, main: str, seconds: float) -> subprocess.CompletedProcess[str]:
    """What the container runs, with a vLLM whose benchmark does MAIN."""
    for name in ("vllm", "vllm/benchmarks", "vllm/utils"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").touch()
    (folder / "vllm/utils/argparse_utils.py").write_text(
        "from argparse import ArgumentParser as FlexibleArgumentParser\n"
    )
    serve = f"import json, time\n\ndef add_cli_args(parser): pass\n\ndef main(_arguments):\n    {main}\n"
    (folder / "vllm/benchmarks/serve.py").write_text(serve)
    code = load_container.RUN.replace("/tmp", str(folder)).replace("parser.parse_args(words)", "words")
    command = [sys.executable, "-c", code, "acme/tiny", "", "", str(seconds)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_a_load_that_nobody_waits_for_ends_by_itself(tmp_path: pathlib.Path) -> None:
    assert ran(tmp_path, "time.sleep(50)", 0.1).returncode == 124
    assert body()["Cmd"][3] == "370.0", "after whoever waits for it has given it up"


def test_a_figure_that_nobody_reads_may_be_no_number(tmp_path: pathlib.Path) -> None:
    told = {**RESULT, "rtfx": float("nan"), "goodput": float("inf"), "many": 10**400, "ttfts": [1], "date": "today"}
    main = f"open('figures.json', 'w').write({json.dumps(told)!r})"
    ended = ran(tmp_path, main, 50)
    last = ended.stdout.splitlines()[-1]
    assert load_container.run(Containers(ended.returncode, [last]), "assistant", {}, 10) == RESULT
