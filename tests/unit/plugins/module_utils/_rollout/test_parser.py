# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image's own parser is asked before anything stops, once for each command."""

from __future__ import annotations

import argparse
import io
import json
import pathlib
import sys
import types
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.parser import ASK, UNDERSTOOD, probe_body
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import IMAGE_ID, entry, release
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

OLD, NEW = 1024, 2048
PROBE = "gpufleet-parser-assistant"
ASKED = {"smoke": {}, "timeouts": {}, "ask_parser": True}
REFUSED = (2, "usage: vllm [-h]\nvllm: error: unrecognized arguments: --max-model-length 2048")


def cache(scene: Scene) -> pathlib.Path:
    return pathlib.Path(scene.store.folder).parent / "parsers.json"


def times_asked(scene: Scene) -> int:
    return scene.docker.writes.count(f"create {PROBE}")


def test_a_command_that_the_parser_does_not_take_is_refused(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.docker.writes.clear()
    scene.docker.parser = REFUSED
    assert scene.roll_out(NEW, settings=ASKED) == "refused"
    last = scene.last()
    assert last["facts"]["failure"]["failure_class"] == "flag.unknown"
    assert "does not take the command: vllm: error: unrecognized arguments: --max-model-length 2048." in last["detail"]
    assert [name for name in scene.docker.writes if PROBE not in name] == []
    assert scene.serves() == OLD
    assert scene.docker.named(PROBE) is None
    scene.assert_settled()


@pytest.mark.parametrize("answer", [REFUSED, (0, UNDERSTOOD)], ids=["refused", "understood"])
def test_an_answer_is_remembered(scene: Scene, answer: tuple[int, str]) -> None:
    scene.docker.parser = answer
    first = scene.roll_out(OLD, settings=ASKED)
    scene.docker.parser = (1, "nobody asks again")
    assert scene.roll_out(OLD, settings=ASKED) == first == ("refused" if answer == REFUSED else "verified")
    assert times_asked(scene) == 1
    scene.roll_out(NEW, settings=ASKED)
    assert times_asked(scene) == 2


@pytest.mark.parametrize(
    "answer",
    [
        (1, "RuntimeError: Failed to infer device type"),
        (2, "Killed"),
        (0, "no make_arg_parser in this vLLM"),
        (137, ""),
    ],
    ids=["no device", "another exit 2", "another vLLM", "killed"],
)
def test_a_parser_that_cannot_be_asked_stops_nothing(scene: Scene, answer: tuple[int, str]) -> None:
    scene.docker.parser = answer
    assert scene.roll_out(OLD, settings=ASKED) == "verified"
    lines, _offset = scene.store.stages_from(0)
    assert "the image's parser cannot be asked, going on" in [line["detail"] for line in lines]
    assert not cache(scene).exists()


def test_docker_that_cannot_make_the_probe_stops_nothing(scene: Scene) -> None:
    scene.docker.errors[f"start {PROBE}"] = DockerError(400, 'exec: "python3": not found')
    assert scene.roll_out(OLD, settings=ASKED) == "verified"
    assert scene.docker.named(PROBE) is None


@pytest.mark.parametrize("asks", [False, None], ids=["switched off", "a plan of before"])
def test_nobody_is_asked_where_that_is_switched_off(scene: Scene, asks: bool | None) -> None:
    scene.docker.parser = REFUSED
    settings = {"smoke": {}, "timeouts": {}, **({} if asks is None else {"ask_parser": asks})}
    assert scene.roll_out(OLD, settings=settings) == "verified"
    assert times_asked(scene) == 0


def test_a_verified_release_is_not_asked_again(scene: Scene) -> None:
    scene.roll_out(OLD, settings=ASKED)
    scene.roll_out(NEW, settings=ASKED)
    cache(scene).unlink()
    scene.docker.parser = REFUSED
    assert scene.ask("rollback") == "verified"
    assert scene.ask("repair", OLD, settings=ASKED) == "repaired"


@pytest.mark.parametrize("text", ["", "{", "[]"], ids=["empty", "torn", "other"])
def test_a_cache_that_does_not_tell_is_written_anew(scene: Scene, text: str) -> None:
    cache(scene).parent.mkdir(parents=True)
    cache(scene).write_text(text)
    assert scene.roll_out(OLD, settings=ASKED) == "verified"
    assert list(json.loads(cache(scene).read_text()).values()) == [""]


def test_the_newest_answers_are_kept(scene: Scene) -> None:
    cache(scene).parent.mkdir(parents=True)
    cache(scene).write_text(json.dumps({str(number): "" for number in range(200)}))
    scene.roll_out(OLD, settings=ASKED)
    kept = list(json.loads(cache(scene).read_text()))
    assert (len(kept), kept[0]) == (200, "1")


def test_the_probe_is_not_given_the_api_key() -> None:
    path = "/run/gpufleet/api-key.yaml"
    document = release(command=["/models/m", "--config", path, "--port", "8000"], api_key={"path": path})
    body = probe_body(entry(release=document, image_id=IMAGE_ID))
    assert body["Cmd"] == ["/models/m", "--port", "8000"]
    assert path not in json.dumps(body)


def test_the_probe_has_the_devices_and_no_way_out() -> None:
    gpus = {"mode": "cdi", "uuids": ["GPU-1"]}
    body = probe_body(entry(release=release(gpus=gpus), image_id=IMAGE_ID))
    assert body["HostConfig"]["DeviceRequests"] == [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=GPU-1"]}]
    assert body["HostConfig"]["NetworkMode"] == "none" and "PortBindings" not in body["HostConfig"]
    assert body["HostConfig"]["SecurityOpt"] == ["no-new-privileges"]
    assert "Binds" not in body["HostConfig"] and "Labels" not in body
    assert body["Cmd"] == ["acme/tiny", "--max-model-len", "1024"]
    assert body["Env"] == ["A=1", "B=2", "NVIDIA_VISIBLE_DEVICES=void"]


def ask(monkeypatch: pytest.MonkeyPatch, modules: dict[str, dict[str, t.Any]], words: list[str]) -> tuple[t.Any, str]:
    """Run what runs inside the image, in a vLLM of these modules: how it ended, and what it said."""
    for name in ("vllm", "vllm.entrypoints", "vllm.utils", *modules):
        module = types.ModuleType(name)
        module.__path__ = []
        monkeypatch.setitem(sys.modules, name, module)
    for name, content in modules.items():
        for key, value in content.items():
            monkeypatch.setattr(sys.modules[name], key, value, raising=False)
    monkeypatch.setattr(sys, "argv", ["-c", *words])
    monkeypatch.setattr(sys, "stdout", said := io.StringIO())
    monkeypatch.setattr(sys, "stderr", said)
    try:
        exec(compile(ASK, "ask", "exec"), {})
    except SystemExit as ended:
        return ended.code, said.getvalue()
    return 0, said.getvalue()


def make_arg_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--max-model-len", type=int)
    return parser


PARSER = {"FlexibleArgumentParser": argparse.ArgumentParser}


@pytest.mark.parametrize(
    "modules",
    [
        {"vllm.utils": PARSER, "vllm.entrypoints.openai.cli_args": {"make_arg_parser": make_arg_parser}},
        {
            "vllm.utils.argparse_utils": PARSER,
            "vllm.entrypoints.common.cli_args": {"make_arg_parser": make_arg_parser},
        },
    ],
    ids=["older", "newer"],
)
def test_what_is_asked_inside_the_image(monkeypatch: pytest.MonkeyPatch, modules: dict[str, dict[str, t.Any]]) -> None:
    assert ask(monkeypatch, modules, ["--max-model-len", "8"]) == (0, f"{UNDERSTOOD}\n")
    code, said = ask(monkeypatch, modules, ["--max-model-len", "x"])
    assert code == 2 and "vllm: error: argument --max-model-len: invalid int value: 'x'" in said


def test_an_image_without_that_parser_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(monkeypatch, {"vllm.utils": PARSER}, []) == ("no make_arg_parser in this vLLM", "")
