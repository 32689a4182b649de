# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action vllm_files: which paths it asks for, of whom, and what it makes of the answer."""

from __future__ import annotations

import json
import pathlib
import types
import typing as t

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.gpufleet.vllm.plugins.action import vllm_files as action
from ansible_collections.gpufleet.vllm.plugins.module_utils._model.files import look
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import brought_files

Json = dict[str, t.Any]
NOTHING: t.Any = None
KEY = "abcdefghijklmnopqrstuvwxyz"


def run(answer: t.Any = None, **args: t.Any) -> tuple[Json, list[Json]]:
    """The result, and the calls of the module. ANSWER: of the module, in the place of a look at this machine."""
    asked: list[Json] = []
    task = types.SimpleNamespace(args=args, check_mode=True, async_val=0, diff=False, action=action.MODULE)
    connection = types.SimpleNamespace(_shell=types.SimpleNamespace(tmpdir="/tmp/x"))
    parts: Json = {"task": task, "connection": connection, "play_context": NOTHING}
    plugin = action.ActionModule(**parts, loader=NOTHING, templar=NOTHING, shared_loader_obj=NOTHING)

    def execute_module(_name: str, module_args: Json, task_vars: Json) -> Json:
        asked.append(module_args)
        return answer if answer is not None else {"files": {path: look(path) for path in module_args["paths"]}}

    vars(plugin)["_execute_module"] = execute_module
    result: Json = plugin.run(None, {})
    return result, asked


def instance(**engine_args: t.Any) -> Json:
    return {"name": "a", "model": "/srv/m", "port": 1, "api_key": f"/{KEY}", "engine_args": engine_args}


def test_a_host_that_no_argument_names_files_of_is_not_asked() -> None:
    result, asked = run(instances=[instance(max_model_len=8), "x", None], profiles={"p": {}, "q": None})
    assert asked == []
    assert result["files"] == {}


def test_every_layer_is_asked_for_and_no_key_goes_along(tmp_path: pathlib.Path) -> None:
    (tmp_path / "chat.jinja").write_text("{{ messages }}\n{{ x | shout }}")
    template = str(tmp_path / "chat.jinja")
    result, asked = run(
        instances=[{**instance(chat_template=template), "env": {"VLLM_TUNED_CONFIG_FOLDER": "/none/1", "HOME": "/no"}}],
        engine_args=[{"tokenizer": "/none/2"}, {}],
        profiles={"p": {"engine_args": {"lora-modules": ["x=/none/3"]}}},
    )
    assert asked == [{"paths": ["/none/1", "/none/2", "/none/3", template]}]
    assert result["files"]["/none/1"]["problem"] == "is not there on the host"
    found = result["files"][template]
    assert "Jinja has no filter 'shout'" in found["unreadable"]["template"]
    assert "text" not in found
    assert KEY not in json.dumps([result, asked])


def test_a_file_beside_the_inventory_is_read_here(tmp_path: pathlib.Path) -> None:
    (tmp_path / "chat.jinja").write_text("{{ messages }}")
    result, asked = run(instances=[instance(chat_template="inventory:chat.jinja")], files_dir=str(tmp_path))
    assert asked == []
    found = result["files"]["inventory:chat.jinja"]
    assert found["digest"] == look(str(tmp_path / "chat.jinja"))["digest"]
    assert (found["problem"], found["source"]) == ("", str(tmp_path / "chat.jinja"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none.jinja", "is not there on the control node"),
        ("", "is no name below"),
        ("../x", "is no name below"),
        ("/etc/passwd", "is no name below"),
        ("a/../x", "is no name below"),
        ("folder", "only single files are brought"),
        ("out", "is a link that leads out of"),
        ("binary", "is no text in UTF-8"),
        ("empty", "is empty"),
    ],
)
def test_what_is_not_brought(tmp_path: pathlib.Path, name: str, words: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "out").symlink_to("/etc/passwd")
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "empty").touch()
    assert words in brought_files.look(f"inventory:{name}", str(tmp_path))["problem"]
    assert "set vllm_server_files_dir" in brought_files.look(f"inventory:{name}", "")["problem"]


@pytest.mark.parametrize("answer", [{}, {"files": []}, {"files": {"/x": {"kind": 1}}}, {"files": {"/y": {}}}])
def test_an_answer_of_another_shape_is_refused(answer: Json) -> None:
    with pytest.raises(AnsibleActionFail, match="is not understood"):
        run(answer=answer, instances=[instance(chat_template="/x")])


def test_a_module_that_fails_is_told() -> None:
    result, _asked = run(answer={"failed": True, "msg": "no\x1b[2Jpython"}, instances=[instance(chat_template="/x")])
    assert result["failed"] is True
    assert "\x1b" not in result["msg"]


def test_what_the_host_is_given(tmp_path: pathlib.Path) -> None:
    place = tmp_path / "chat.jinja"
    place.write_text("{{ messages }}")
    mark = look(str(place))["digest"]
    own = {"source": str(place), "path": "inventory:chat.jinja", "sha256": mark}
    of_host = {"source": "", "path": "/srv/chat.jinja", "sha256": "0" * 64}
    assert brought_files.carried([own, of_host]) == [
        {"sha256": mark, "source": "inventory:chat.jinja", "text": "{{ messages }}"},
        {"sha256": "0" * 64, "source": "/srv/chat.jinja"},
    ]
    place.write_text("another")
    with pytest.raises(brought_files.GoneError, match="was changed since it was planned with"):
        brought_files.carried([own])
    place.unlink()
    with pytest.raises(brought_files.GoneError, match="cannot be read any more"):
        brought_files.carried([own])
