# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that writes what applications read: modes, what is not ours, what goes, what is shown."""

from __future__ import annotations

import json
import os
import pathlib
import stat
import typing as t

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.gpufleet.vllm.plugins.module_utils._client import written
from ansible_collections.gpufleet.vllm.plugins.module_utils._state import durable
from ansible_collections.gpufleet.vllm.plugins.modules import vllm_client as module

Json = dict[str, t.Any]
KEY = "not-a-real-key-0123456789"
PLAIN = {"a.json": '{"x": 1}\n', "a.env": "A=1\n", "gpufleet_client/client.py": "pass\n"}
SECRET = {"a.key": KEY + "\n"}


class Ended(Exception):
    def __init__(self, result: Json) -> None:
        super().__init__(result)
        self.result = result


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., Json]:
    def ended(_module: t.Any, **result: t.Any) -> None:
        raise Ended(result)

    monkeypatch.setattr(AnsibleModule, "exit_json", ended)
    monkeypatch.setattr(AnsibleModule, "fail_json", ended)

    def call(**args: t.Any) -> Json:
        given = {"path": str(tmp_path / "clients"), "owner": str(os.getuid()), **args}
        with patch_module_args(given), pytest.raises(Ended) as end:
            module.main()
        return end.value.result

    return call


def mode(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_writes_once_with_the_modes_of_what_it_holds(run: t.Callable[..., Json], tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "clients"
    first = run(plain=PLAIN, api_keys=SECRET)
    assert first["changed"] and sorted(first["written"]) == sorted([*PLAIN, *SECRET])
    assert {name: (folder / name).read_text() for name in PLAIN} == PLAIN
    assert (mode(folder / "a.key"), mode(folder / "a.json")) == (0o400, 0o644)
    assert KEY not in str(first)
    assert run(plain=PLAIN, api_keys=SECRET)["changed"] is False
    group = run(plain=PLAIN, api_keys=SECRET, group=str(os.getgid()))
    assert group["written"] == ["a.key"]
    assert mode(folder / "a.key") == 0o640


def test_check_mode_writes_nothing_and_shows_no_key(run: t.Callable[..., Json], tmp_path: pathlib.Path) -> None:
    found = run(plain=PLAIN, api_keys=SECRET, _ansible_check_mode=True, _ansible_diff=True)
    assert found["changed"] and not (tmp_path / "clients").exists()
    assert KEY not in str(found)
    assert {"before": "", "after": PLAIN["a.env"]}.items() <= found["diff"][0].items()


def test_a_file_that_held_a_key_is_not_shown_when_it_holds_none_any_more(run: t.Callable[..., Json]) -> None:
    run(api_keys={"a.env": f"OPENAI_API_KEY={KEY}\n"})
    found = run(plain={"a.env": "A=1\n"})
    assert found["written"] == ["a.env"] and KEY not in str(found)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.env", f"OPENAI_API_KEY={KEY}\n"),
        ("a.env", f"#OPENAI_API_KEY={KEY}\n"),
        ("a.env", f"HF={KEY}\n"),
        ("a.env", f"VLLM_CLIENT_API_KEY={KEY}\n"),
        ("a.env", f"OPENAI_API_KEY='{KEY}\n"),
        ("a.json", json.dumps({"name": "a", "api_key": KEY})),
        ("a.json", json.dumps({"name": "a", "key": KEY})),
        ("a.json", f"{{ {KEY}"),
        ("a.json", json.dumps([KEY])),
    ],
)
def test_a_file_that_held_a_key_is_not_shown_whatever_its_mode_is(
    run: t.Callable[..., Json], tmp_path: pathlib.Path, name: str, text: str
) -> None:
    run(api_keys={name: text})
    (tmp_path / "clients" / name).chmod(0o644)
    found = run(plain={name: "A=1\n"}, _ansible_check_mode=True, _ansible_diff=True)
    assert found["written"] == [name] and KEY not in str(found)


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("a.env", "OPENAI_API_KEY=unused\nVLLM_CLIENT_MAX_TOKENS=9\nVLLM_CLIENT_API_KEY_FILE=/a.key\n"),
        ("a.json", '{"name": "a", "sampling": {"max_tokens": 9}, "api_key_file": "/a.key"}\n'),
    ],
)
def test_what_never_held_a_key_is_shown_before_and_after(run: t.Callable[..., Json], name: str, before: str) -> None:
    run(plain={name: before})
    found = run(plain={name: "A=1\n"}, _ansible_check_mode=True, _ansible_diff=True)
    assert found["diff"][0]["before"] == before


def test_what_is_not_listed_any_more_goes_and_nothing_else(run: t.Callable[..., Json], tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "clients"
    run(plain=PLAIN, api_keys=SECRET)
    (folder / "theirs.json").write_text("{}")
    found = run(plain={"a.json": PLAIN["a.json"]})
    assert sorted(found["removed"]) == ["a.env", "a.key", "gpufleet_client/client.py"]
    assert sorted(os.listdir(folder)) == [written.LIST, "a.json", "theirs.json"]


def test_a_file_of_others_is_refused(run: t.Callable[..., Json], tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "clients"
    folder.mkdir()
    (folder / "a.json").write_text("theirs")
    assert "is there and was not written by this role" in run(plain=PLAIN)["msg"]
    assert os.listdir(folder) == ["a.json"]


@pytest.mark.parametrize("text", ["{", "[]", '{"files": 5}', '{"files": ["../victim.json", "/etc/passwd", 7]}'])
def test_a_list_that_somebody_changed_removes_nothing_of_others(
    run: t.Callable[..., Json], tmp_path: pathlib.Path, text: str
) -> None:
    folder = tmp_path / "clients"
    folder.mkdir()
    (tmp_path / "victim.json").write_text("x")
    (folder / written.LIST).write_text(text)
    assert run(plain=PLAIN)["removed"] == []
    assert (tmp_path / "victim.json").exists()


def test_one_that_is_cut_off_goes_on(
    run: t.Callable[..., Json], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[t.Any] = []

    def cut(texts: t.Any, *more: t.Any) -> None:
        calls.append(texts)
        if len(calls) == 3:
            raise OSError(28, "No space left on device", "a.json")
        whole(texts, *more)

    whole = durable.write_together
    monkeypatch.setattr(written, "write_together", cut)
    assert "a.json cannot be written or read: No space left on device" in run(plain=PLAIN, api_keys=SECRET)["msg"]
    monkeypatch.setattr(written, "write_together", whole)
    assert sorted(run(plain=PLAIN, api_keys=SECRET)["written"]) == sorted(PLAIN)
    assert json.loads((tmp_path / "clients" / written.LIST).read_text())["files"] == sorted([*PLAIN, *SECRET])


def test_an_unknown_owner_is_told(run: t.Callable[..., Json]) -> None:
    assert "There is no user nobody-here on the host" in run(owner="nobody-here")["msg"]
    assert "or the group nothing-here" in run(group="nothing-here")["msg"]
    for number in ("9" * 10, "9" * 30, "54321987"):
        assert f"There is no user {number} on the host" in run(owner=number)["msg"]
        assert f"or the group {number} on the host" in run(group=number)["msg"]
