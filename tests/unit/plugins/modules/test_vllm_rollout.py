# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that starts a rollout: brings the program, writes the request down, starts the unit."""

from __future__ import annotations

import errno
import hashlib
import os
import pathlib
import typing as t

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.rollout import Settings
from ansible_collections.gpufleet.vllm.plugins.module_utils._state import kept_files, units
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.api_keys import fingerprint, host_secret
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.deadlines import last_deadline
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import State
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store
from ansible_collections.gpufleet.vllm.plugins.modules import vllm_rollout as module
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import entry

Json = dict[str, t.Any]
PROGRAM = b"#!/usr/bin/python3\n"
DIGEST = hashlib.sha256(PROGRAM).hexdigest()
REQUEST: Json = {"kind": "rollback"}


class Ended(Exception):
    """exit_json or fail_json, with the result."""

    def __init__(self, result: Json) -> None:
        super().__init__(result)
        self.result = result


class Place:
    """The host: a folder in place of /usr/local, /etc and /var, and the units that were started."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.program = folder / "lib" / "gpufleet-host"
        self.units = folder / "systemd"
        self.commands: list[list[str]] = []
        self.systemctl = (0, "", "")
        self.store = Store("a", str(folder / "state"), str(folder / "run"))
        self.started: list[tuple[str, str, int]] = []
        self.requests: list[str] = []
        self.locked = False

    def with_program(self, content: bytes = PROGRAM) -> None:
        self.program.parent.mkdir(parents=True, exist_ok=True)
        self.program.write_bytes(content)


@pytest.fixture
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path)

    def start(_run: t.Any, instance: str, verb: str, deadline: int, arguments: list[str]) -> None:
        made.started.append((instance, verb, deadline))
        made.requests += arguments

    def command(_module: t.Any, words: list[str]) -> tuple[int, str, str]:
        made.commands.append(words)
        return made.systemctl

    def ended(_module: t.Any, **result: t.Any) -> None:
        raise Ended(result)

    monkeypatch.setattr(units, "PROGRAM", str(made.program))
    monkeypatch.setattr(units, "UNIT_DIR", str(made.units))
    monkeypatch.setattr(AnsibleModule, "run_command", command)
    monkeypatch.setattr(units, "running", lambda _instance: made.locked)
    monkeypatch.setattr(units, "start", start)
    monkeypatch.setattr(
        module, "Store", lambda instance: Store(instance, str(tmp_path / "state"), str(tmp_path / "run"))
    )
    monkeypatch.setattr(AnsibleModule, "exit_json", ended)
    monkeypatch.setattr(AnsibleModule, "fail_json", lambda _module, **result: ended(_module, failed=True, **result))
    return made


def run(**args: t.Any) -> Json:
    with (
        patch_module_args({"instance": "a", "request": REQUEST, "program_digest": DIGEST, **args}),
        pytest.raises(Ended) as end,
    ):
        module.main()
    return end.value.result


@pytest.mark.parametrize("content", [None, b"another"], ids=["none", "another"])
def test_a_host_without_this_program_asks_for_it_and_starts_nothing(place: Place, content: bytes | None) -> None:
    if content is not None:
        place.with_program(content)
    assert run() == {"changed": False, "program_needed": True}
    assert (place.started, place.store.stages_size(), os.path.exists(place.store.folder)) == ([], 0, False)


def test_the_request_is_written_down_and_the_unit_started(place: Place) -> None:
    place.with_program()
    place.store.append_stage({"stage": "of before"})
    request = {"kind": "rollout", "plan": {"settings": {"timeouts": {"ready": 100}}}}
    assert run(request=request) == {
        "changed": True,
        "offset": place.store.stages_size(),
        "unit": "gpufleet-rollout@a.service",
    }
    assert place.started == [("a", "rollout", last_deadline({"timeouts": {"ready": 100}}))]
    assert place.store.take_request(place.requests[0]) == request


def test_the_last_deadline_is_above_what_is_put_back(place: Place) -> None:
    place.with_program()
    slow: Settings = {"timeouts": {"ready": 9000}}
    place.store.save(State("a", current=entry(settings=slow)))
    run(request=REQUEST)
    assert place.started == [("a", "rollout", last_deadline({}, slow))]
    assert last_deadline({}, slow) > last_deadline({})


def test_a_state_folder_that_cannot_be_written_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_store: Store, _request: Json) -> str:
        raise OSError(28, "No space left on device")

    place.with_program()
    monkeypatch.setattr(Store, "save_request", full)
    assert run(request=REQUEST)["msg"] == (
        "nothing was touched, because what is asked for cannot be written down on the host: [Errno 28] No space left "
        "on device. Free space there, or make it writable."
    )
    assert place.started == []


def test_the_program_and_its_units_are_installed(place: Place) -> None:
    source = place.folder / "brought"
    for _again in range(2):
        source.write_bytes(PROGRAM)
        assert run(program_source=str(source))["changed"] is True
    assert (place.program.read_bytes(), place.program.stat().st_mode & 0o777) == (PROGRAM, 0o755)
    for name, text in units.INSTALLED.items():
        assert (place.units / name).read_text() == text
    for link in ("multi-user.target.wants/gpufleet-recover.service", "timers.target.wants/gpufleet-watch.timer"):
        assert (place.units / link).resolve() == (place.units / pathlib.Path(link).name).resolve()
    assert place.commands == [["systemctl", "start", "gpufleet-watch.timer"]] * 2
    assert [asked[:2] for asked in place.started] == [("a", "rollout")] * 2


def test_a_timer_that_does_not_start_is_said_and_leaves_the_host_without_the_program(place: Place) -> None:
    source = place.folder / "brought"
    source.write_bytes(PROGRAM)
    place.systemctl = (1, "", "no bus\n")
    result = run(program_source=str(source))
    assert result == {"failed": True, "msg": "systemd did not start gpufleet-watch.timer: no bus"}
    assert (place.program.exists(), place.started) == (False, [])


def test_a_lock_that_is_taken_is_said_and_nothing_is_asked(place: Place) -> None:
    place.with_program()
    place.store.append_stage({"stage": "ready"})
    place.locked = True
    result = run()
    told = "another rollout is running (gpufleet-rollout@a.service), at stage ready; wait for it"
    assert result == {"failed": True, "msg": told}
    assert (place.started, os.listdir(place.store.folder)) == ([], ["stages.jsonl"])


def test_systemd_that_refuses_is_said(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_asked: t.Any) -> None:
        raise units.UnitProblem("systemd did not start gpufleet-rollout@a.service: no bus")

    place.with_program()
    monkeypatch.setattr(units, "start", refuses)
    assert run() == {"failed": True, "msg": "systemd did not start gpufleet-rollout@a.service: no bus"}


def test_a_state_folder_that_cannot_be_written_is_said(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_store: Store, _request: Json) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    place.with_program()
    monkeypatch.setattr(Store, "save_request", full)
    result = run()
    assert result["failed"] and "No space left on device. Free space there, or make it writable." in result["msg"]
    assert place.started == []


def test_check_mode_touches_nothing(place: Place) -> None:
    source = place.folder / "brought"
    source.write_bytes(PROGRAM)
    assert run(program_source=str(source), _ansible_check_mode=True) == {"changed": False}
    assert [path.name for path in place.folder.iterdir()] == ["brought"]


KEY = "sk-0123456789abcdef"


def keyed(place: Place, kind: str = "rollout", planned: str = KEY) -> Json:
    mark = fingerprint(host_secret(place.store.state_dir), "a", [planned])
    release = {"instance": "a", "api_key": {"fingerprint": mark, "path": "/run/key.yaml"}}
    return {"kind": kind, "plan": {"release": release, "settings": {}}}


def with_the_key(place: Place) -> list[str]:
    """Files below the state folder that hold the key."""
    files = [path for path in (place.folder / "state").rglob("*") if path.is_file()]
    return [str(path.relative_to(place.folder / "state")) for path in files if KEY in path.read_text()]


def test_a_key_is_in_its_file_and_not_in_the_request(place: Place) -> None:
    place.with_program()
    request = keyed(place)
    result = run(request=request, api_key=[KEY])
    assert result["changed"] is True and KEY not in repr(result)
    assert with_the_key(place) == [f"a/api-keys/{request['plan']['release']['api_key']['fingerprint']}.yaml"]


def test_a_key_that_was_not_planned_with_starts_nothing(place: Place) -> None:
    place.with_program()
    result = run(request=keyed(place, planned="sk-another-one-entirely"), api_key=[KEY])
    assert result["failed"] and "is not the one that was planned with" in result["msg"]
    assert (place.started, with_the_key(place)) == ([], [])


@pytest.mark.parametrize("request_of", [lambda place: keyed(place, "remove"), lambda _place: REQUEST])
def test_a_key_that_nothing_needs_is_not_kept(place: Place, request_of: t.Callable[[Place], Json]) -> None:
    place.with_program()
    assert run(request=request_of(place), api_key=[KEY])["changed"] is True
    assert with_the_key(place) == []


def test_files_of_the_release_are_kept_before_the_unit_starts(place: Place, tmp_path: pathlib.Path) -> None:
    place.with_program()
    (tmp_path / "chat.jinja").write_text("of the host")
    marks = [hashlib.sha256(text).hexdigest() for text in (b"of the host", b"brought")]
    files: list[Json] = [
        {"sha256": marks[0], "source": str(tmp_path / "chat.jinja")},
        {"sha256": marks[1], "source": "inventory:x", "text": "brought"},
    ]
    assert run(files=files)["changed"] is True
    assert [kept_files.is_whole(kept_files.path_of(mark, str(tmp_path / "state"))) for mark in marks] == [True, True]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sha256": "0" * 64}, "was changed since it was planned with: run the playbook again"),
        ({"source": "/none/x"}, "/none/x cannot be read any more"),
        ({"source": "inventory:x", "text": "another"}, "inventory:x was changed since"),
    ],
)
def test_a_file_that_is_not_the_planned_one_starts_nothing(
    place: Place, tmp_path: pathlib.Path, changes: Json, words: str
) -> None:
    place.with_program()
    (tmp_path / "x").write_text("x")
    mark = hashlib.sha256(b"x").hexdigest()
    found = run(files=[{"sha256": mark, "source": str(tmp_path / "x"), **changes}])
    assert found["failed"] is True
    assert words in found["msg"]
    assert place.started == []
