# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A vLLM that does not serve in its new image, or in the demo, says why: the cause, what to do, the end of its log."""

from __future__ import annotations

import json
import pathlib
import subprocess
import typing as t

import pytest

from lab import ask, demo, post_mortem, proof
from lab.tools import LabError, LateError

DIED = (
    "INFO 11-26 09:45:59 [launcher.py:195] Route: /v1/completions, Methods: POST\n"
    "(EngineCore pid=16) ERROR 11-26 09:46:03 [multiproc_executor.py:315] Worker proc VllmWorker-0 died unexpectedly "
    "(exit code: -4), shutting down executor.\n"
    f"(EngineCore pid=16) ERROR 11-26 09:46:03 [dump_input.py:72] Dumping input data {'x' * 3000}\n"
    "(EngineCore pid=16) ERROR 11-26 09:46:03 [core.py:1512] RuntimeError: cancelled\n"
)
ENDED = {"Running": False, "ExitCode": 0, "OOMKilled": False}
RUNS = {"Running": True, "ExitCode": 0, "OOMKilled": False}
SITE, MODELS = pathlib.Path("/site"), pathlib.Path("/models")


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> t.Callable[[dict[str, t.Any]], list[str]]:
    """A Docker whose container is in a state and has the log above; the commands that it was given."""

    def given(state: dict[str, t.Any]) -> list[str]:
        commands: list[str] = []

        def run(*words: str | pathlib.Path) -> str:
            commands.append(" ".join(map(str, words)))
            if words[1] == "inspect":
                return json.dumps(state)
            return "/opt/vllm/vllm/_C.abi3.so\n" if "maps" in commands[-1] else "amx\n"

        monkeypatch.setattr(proof, "run", run)
        monkeypatch.setattr(proof, "succeeds", lambda *words: bool(run(*words)))
        monkeypatch.setattr(proof, "_log", lambda: (DIED, tmp_path / "vllm.log"))
        monkeypatch.setattr(proof, "BURIAL", 0.0)
        return commands

    return given


def says_no(_url: str, _body: t.Any, _seconds: float = 60) -> str:
    raise ask.NoAnswer("http://here answered with HTTP status 500: dead")


def serve() -> proof.Ran:
    return proof.serve_once("image", SITE, MODELS, {"A": "b"})


def test_an_engine_that_gives_no_answer_is_told_with_what_it_died_of(
    docker: t.Callable[[dict[str, t.Any]], list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    commands = docker(ENDED)
    monkeypatch.setattr(proof, "_wait_until_healthy", lambda: None)
    monkeypatch.setattr(ask, "words", says_no)
    with pytest.raises(LabError) as told:
        serve()
    text = str(told.value)
    assert "gave no answer: http://here answered with HTTP status 500: dead. It ended with exit code 0." in text
    assert "VllmWorker-0 died of SIGILL" in text
    assert "AMX" in text
    assert f"The end of the engine's log (all of it: {tmp_path / 'vllm.log'}):\n  | (EngineCore pid=16) ERROR" in text
    assert "Route:" not in text
    assert "Dumping" not in text
    assert "Traceback" not in text
    assert commands[-1] == f"docker rm --force --volumes {proof.NAME}"


def test_an_engine_that_ends_while_it_starts_is_told(docker: t.Callable[[dict[str, t.Any]], list[str]]) -> None:
    docker({**ENDED, "ExitCode": 1})
    with pytest.raises(LabError, match=r"ended while it started\. It ended with exit code 1\.\nVllmWorker-0 died of"):
        serve()


def test_one_that_is_never_ready_is_told_with_its_log(
    docker: t.Callable[[dict[str, t.Any]], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    docker(RUNS)

    def too_late(what: str, _ready: t.Any, _seconds: float) -> None:
        raise LateError(f"{what} was not ready after 720 s")

    monkeypatch.setattr(proof, "wait_for", too_late)
    with pytest.raises(LabError, match=r"not ready after 720 s\.\nVllmWorker-0 died of SIGILL"):
        serve()


def test_what_ran_is_returned(
    docker: t.Callable[[dict[str, t.Any]], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = docker(RUNS)
    monkeypatch.setattr(proof, "_wait_until_healthy", lambda: None)
    monkeypatch.setattr(ask, "words", lambda *_words: "hello")
    assert serve() == proof.Ran(frozenset({"_C.abi3.so"}), "amx")
    assert "--env A=b" in commands[1]


def test_a_log_is_cut_to_its_end() -> None:
    shown = post_mortem.end_of("\n".join(f"line {number} {'x' * 500}" for number in range(100))).splitlines()
    assert len(shown) == post_mortem.LINES
    assert shown[-1].startswith("  | line 99 x")
    assert max(map(len, shown)) <= post_mortem.WIDTH + 4
    assert post_mortem.end_of("\n \n") == "  | (the log is empty)"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            ENDED,
            ("It ended with exit code 0.", "VllmWorker-0 died of SIGILL", "docker logs vllm-assistant", "make demo"),
        ),
        (RUNS, ("gave no answer: nobody listens.\nVllmWorker-0", "make demo")),
        (None, ("There is no server in gpufleet-lab-demo, or no such host: run `make demo`",)),
    ],
)
def test_a_demo_that_does_not_answer_says_why(
    state: dict[str, t.Any] | None, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: t.Any
) -> None:
    def docker(command: list[str], **_more: t.Any) -> subprocess.CompletedProcess[bytes]:
        asked = command[command.index("docker", 1) + 1]
        said = {"ps": "vllm-assistant\n", "inspect": json.dumps(state), "logs": DIED}[asked]
        return subprocess.CompletedProcess(command, 0 if state else 1, said.encode())

    monkeypatch.setattr(demo, "complete", says_nobody)
    monkeypatch.setattr(subprocess, "run", docker)
    assert demo.main() == 1
    said = capsys.readouterr().err
    assert all(word in said for word in words), said
    assert "Traceback" not in said


def says_nobody() -> str:
    raise ask.NoAnswer("nobody listens")
