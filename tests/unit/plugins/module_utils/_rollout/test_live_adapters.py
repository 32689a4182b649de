# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adapters that are loaded and unloaded while their server runs: after each start, at a change, and back."""

from __future__ import annotations

import os
import pathlib
import shutil
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import Reply
from ansible_collections.gpufleet.vllm.plugins.module_utils._host.status import observe_one
from ansible_collections.gpufleet.vllm.plugins.module_utils._model.files import digest_of
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.live_adapters import FOLDER
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine, FakeHttp
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.killing import (
    Killed,
    Killer,
    make_client_writes_points,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import Json, plan
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.watched import WATCH, Watched

OLD, NEW = 1024, 2048
A, B = "one content", "another"


class Adapted:
    """A scene whose server takes adapters while it runs."""

    def __init__(self, scene: Scene, folder: pathlib.Path) -> None:
        folder.mkdir(exist_ok=True)
        self.scene, self.folder = scene, folder
        self.arguments: Json = {}
        self.key: Json = {}

    def planned(self, length: int, **adapters: str) -> Json:
        settings = {
            "smoke": {"deadline": 5},
            "timeouts": {"hold": 1},
            "watch": WATCH,
            "adapters": {name: self.adapter(name, content) for name, content in adapters.items()},
        }
        found: Json = plan(length)
        container = {**found["release"]["container"], "volumes": [f"{self.folder}:{FOLDER}:ro"]}
        env = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
        arguments = {**found["release"]["arguments"], **self.arguments}
        changes = {"container": container, "env": env, "arguments": arguments, **self.key}
        return t.cast(Json, plan(length, settings=settings, **changes))

    def adapter(self, name: str, content: str) -> Json:
        """What is planned for one of this content, which is put there."""
        place = self.folder / name
        place.mkdir(parents=True, exist_ok=True)
        (place / "adapter_model.safetensors").write_text(content)
        return {"path": f"{FOLDER}/{name}", "sha256": digest_of(str(place))}

    def ask(self, kind: str, length: int = OLD, **adapters: str) -> str:
        return self.scene.request({"kind": kind, "plan": self.planned(length, **adapters)})

    def engine(self, length: int = OLD, **behaviour: t.Any) -> None:
        self.scene.docker.engines[self.planned(length)["digest"]] = Engine(**behaviour)

    @property
    def loaded(self) -> dict[str, str]:
        serving = self.scene.docker.serving()
        assert serving is not None
        return dict(FakeHttp.adapters(serving))

    @property
    def unloaded(self) -> dict[str, str]:
        """By name and path, the names of known contents, '' for one that nobody knows."""
        current = self.scene.store.load().current
        assert current is not None
        digests = {str(self.adapter("any", content)["sha256"]): content for content in (A, B)}
        return {name: digests.get(digest, digest) for name, digest in current.settings.get("unloaded", {}).items()}

    @property
    def state(self) -> list[str]:
        current = self.scene.store.load().current
        assert current is not None
        return sorted(current.settings.get("adapters", {}))


@pytest.fixture
def adapted(scene: Scene, tmp_path: pathlib.Path) -> Adapted:
    return Adapted(scene, tmp_path / "adapters")


@pytest.fixture
def watched(tmp_path: pathlib.Path) -> Adapted:
    return Adapted(Watched(tmp_path), tmp_path / "adapters")


def test_a_start_is_followed_by_its_adapters(adapted: Adapted) -> None:
    assert adapted.ask("rollout", sql=A, law=B) == "verified"
    assert adapted.loaded == {"sql": f"{FOLDER}/sql", "law": f"{FOLDER}/law"}
    adapted.scene.assert_settled()


def test_a_change_touches_no_container_and_is_proved(adapted: Adapted) -> None:
    adapted.ask("rollout", sql=A)
    adapted.scene.docker.writes.clear()
    assert adapted.ask("live", law=B) == "live"
    assert (adapted.loaded, adapted.state) == ({"law": f"{FOLDER}/law"}, ["law"])
    assert adapted.scene.docker.writes == []
    assert "proved itself with its adapters" in adapted.scene.last()["detail"]
    adapted.scene.assert_settled()


def test_other_content_by_the_same_name_is_loaded_anew(adapted: Adapted) -> None:
    adapted.ask("rollout", sql=A, law=A)
    said = len(adapted.scene.said)
    assert adapted.ask("live", sql=B, law=A) == "live"
    told = " ".join(adapted.scene.said[said:])
    assert "adapter sql unloaded" in told and "adapter sql loaded" in told and "law" not in told


@pytest.mark.parametrize(("fault", "known"), [("no_adapters", {}), ("mute_adapters", {f"law={FOLDER}/law": B})])
def test_what_was_loaded_for_nothing_is_known_to_the_prefix_cache(
    adapted: Adapted, fault: str, known: dict[str, str]
) -> None:
    """The next plan must not give its name to another content; one that was never loaded may be mended."""
    adapted.ask("rollout", sql=A)
    adapted.engine(OLD, **{fault: ("law",)})
    assert adapted.ask("live", law=B) == "rolled_back"
    assert adapted.unloaded == known


def test_what_was_loaded_before_a_kill_is_known_too(adapted: Adapted, monkeypatch: pytest.MonkeyPatch) -> None:
    adapted.ask("rollout", sql=A)

    def killed(*_: t.Any, **__: t.Any) -> t.NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.trial.prove", killed)
        with pytest.raises(KeyboardInterrupt):
            adapted.ask("live", law=B)
    assert (list(adapted.loaded), adapted.state) == (["law"], ["sql"])
    assert adapted.ask("live", sql=A) == "live"
    assert (list(adapted.loaded), adapted.unloaded) == (["sql"], {f"law={FOLDER}/law": B})


@pytest.mark.parametrize("fault", ["no_adapters", "mute_adapters"])
def test_one_that_is_not_served_is_taken_back(adapted: Adapted, fault: str) -> None:
    adapted.ask("rollout", sql=A)
    adapted.engine(OLD, **{fault: ("law",)})
    adapted.scene.docker.writes.clear()
    assert adapted.ask("live", law=B) == "rolled_back"
    assert (adapted.loaded, adapted.state) == ({"sql": f"{FOLDER}/sql"}, ["sql"])
    assert adapted.scene.docker.writes == []
    assert "The adapters before it are served again, proved" in adapted.scene.last()["detail"]
    adapted.scene.assert_settled()
    assert adapted.scene.store.load().rejected == ()


@pytest.mark.parametrize("fault", [{}, {"mute_adapters": ("law",)}], ids=["good", "mute"])
def test_killed_anywhere_it_ends_as_one_of_both(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests, fault: Json
) -> None:
    """Whatever was loaded, the next look brings what is verified; no name stands for a content that nobody knows."""
    killer, real = Killer(), FakeHttp.request
    make_client_writes_points(monkeypatch, killer)
    monkeypatch.setattr(os, "fsync", lambda _file: None)

    def request(self: FakeHttp, method: str, url: str, timeout: float, body: t.Any = None) -> Reply:
        killer.point(f"before {url}")
        reply = real(self, method, url, timeout, body)
        killer.point(f"after {url}")
        return reply

    monkeypatch.setattr(FakeHttp, "request", request)

    def fresh(at: int) -> Adapted:
        killer.arm(0)
        (tmp_path / str(at)).mkdir()
        adapted = Adapted(Scene(tmp_path / str(at), killer), tmp_path / "adapters")
        assert adapted.ask("rollout", sql=A) == "verified"
        adapted.engine(**fault)
        killer.arm(0)
        return adapted

    whole = fresh(0)
    whole.ask("live", law=B)
    points = list(whole.scene.killer.points)
    assert len(points) > 10
    for at, name in enumerate(points, start=1):
        with subtests.test(f"{at} {name}"):
            adapted = fresh(at)
            killer.arm(at)
            with pytest.raises(Killed):
                adapted.ask("live", law=B)
            killer.arm(0)
            verified = adapted.state
            assert verified in (["sql"], ["law"])
            assert adapted.ask("live", OLD, **{name: {"sql": A, "law": B}[name] for name in verified}) == "live"
            assert sorted(adapted.loaded) == verified
            assert "" not in adapted.unloaded.values()
            adapted.scene.assert_settled()


def test_one_that_cannot_be_loaded_leaves_those_that_serve_alone(adapted: Adapted) -> None:
    adapted.ask("rollout", sql=A)
    adapted.engine(no_adapters=("law",))
    said = len(adapted.scene.said)
    assert adapted.ask("live", law=B) == "rolled_back"
    assert "adapter sql" not in " ".join(adapted.scene.said[said:])


def test_an_engine_that_dies_of_one_is_waited_for(adapted: Adapted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker starts it again, without any adapter; those before are loaded as soon as it is ready."""
    adapted.ask("rollout", sql=A)
    scene, real = adapted.scene, FakeHttp.request

    def request(self: FakeHttp, method: str, url: str, timeout: float, body: t.Any = None) -> Reply:
        if isinstance(body, dict) and body.get("lora_name") == "law":
            serving = scene.docker.serving()
            assert serving is not None
            _restarted(scene)
            serving.update(RestartCount=1, started=scene.docker.clock.now)
        return real(self, method, url, timeout, body)

    monkeypatch.setattr(FakeHttp, "request", request)
    assert adapted.ask("live", law=B) == "rolled_back"
    assert "proved; the engine died of it, and Docker started it again." in scene.last()["detail"]
    assert list(adapted.loaded) == ["sql"]


def test_where_those_before_are_gone_too_it_is_said(adapted: Adapted) -> None:
    adapted.ask("rollout", sql=A)
    adapted.engine(no_adapters=("sql",), mute_adapters=("law",))
    assert adapted.ask("live", law=B) == "failed"
    assert "could not be proved again: loading the adapter sql answered 400" in adapted.scene.last()["detail"]
    assert adapted.state == ["sql"]


def test_an_adapter_that_nobody_planned_is_unloaded(adapted: Adapted) -> None:
    adapted.ask("rollout", sql=A)
    serving = adapted.scene.docker.serving()
    assert serving is not None
    FakeHttp.adapters(serving)["theirs"] = "/tmp/theirs"
    assert adapted.ask("live", sql=A) == "live"
    assert (list(adapted.loaded), adapted.unloaded) == (["sql"], {"theirs=/tmp/theirs": ""})


def test_names_that_others_chose_are_bounded_and_fit_for_a_terminal(adapted: Adapted) -> None:
    adapted.ask("rollout", sql=A)
    scene = adapted.scene
    serving = scene.docker.serving()
    assert serving is not None
    FakeHttp.adapters(serving).update({f"\x1b[2J{at}" + "x" * 500: "/tmp/theirs" for at in range(50)})
    told = observe_one(scene.store, scene.docker, scene.host.http, scene.client_dir)["adapters_differ"]
    assert told[-1] == "40 more adapters are loaded, and not planned"
    assert all(text.isprintable() and len(text) < 200 for text in told)


def test_hundreds_are_served_and_told_in_a_few_lines(adapted: Adapted) -> None:
    many = {f"a{at}": A for at in range(300)}
    assert adapted.ask("rollout", OLD, **many) == "verified"
    scene = adapted.scene
    _restarted(scene)
    told = observe_one(scene.store, scene.docker, scene.host.http, scene.client_dir)["adapters_differ"]
    assert (len(told), told[-1]) == (11, "290 more adapters are not loaded")
    assert adapted.ask("live", OLD, **many) == "live"
    assert len(adapted.loaded) == 300


def test_one_by_medium_is_the_command_lines_and_stays(adapted: Adapted) -> None:
    """vLLM lists it like any other, by the name of its medium."""
    adapted.arguments = {"default_mm_loras": {"audio": "/etc/gpufleet/files/default_mm_loras/audio/speech"}}
    assert adapted.ask("rollout", sql=A) == "verified"
    scene = adapted.scene
    assert observe_one(scene.store, scene.docker, scene.host.http, scene.client_dir)["adapters_differ"] == []
    assert adapted.ask("live", law=B) == "live"


def test_a_release_that_fails_goes_back_with_the_adapters_before_it(adapted: Adapted) -> None:
    adapted.ask("rollout", sql=A)
    adapted.engine(NEW, no_adapters=("law",))
    assert adapted.ask("rollout", NEW, law=B) == "rolled_back"
    assert list(adapted.loaded) == ["sql"]
    adapted.scene.assert_settled()


def test_without_its_folder_nothing_is_stopped(adapted: Adapted) -> None:
    adapted.ask("rollout", sql=A)
    wanted = adapted.planned(NEW, sql=A)
    shutil.rmtree(adapted.folder)
    assert adapted.scene.request({"kind": "rollout", "plan": wanted}) == "refused"
    assert f"{adapted.folder}, a folder of the release, is not there any more" in adapted.scene.last()["detail"]


@pytest.mark.parametrize(("kind", "length"), [("live", OLD), ("rollout", NEW)])
def test_other_content_than_was_planned_with_is_not_loaded(adapted: Adapted, kind: str, length: int) -> None:
    adapted.ask("rollout", sql=A)
    wanted = adapted.planned(length, sql=A, law=A)
    adapted.adapter("law", B)
    assert adapted.scene.request({"kind": kind, "plan": wanted}) == "refused"
    assert f"{adapted.folder}/law, which the engine has as {FOLDER}/law, was changed" in adapted.scene.last()["detail"]
    assert (list(adapted.loaded), adapted.state, adapted.unloaded) == (["sql"], ["sql"], {})


def test_what_is_loaded_already_is_brought_back_as_it_is(adapted: Adapted) -> None:
    adapted.ask("rollout", sql=A)
    wanted = adapted.planned(OLD, sql=A)
    adapted.adapter("sql", B)
    _restarted(adapted.scene)
    assert adapted.scene.request({"kind": "live", "plan": wanted}) == "live"


def test_a_repair_of_what_runs_loads_other_content_anew(adapted: Adapted) -> None:
    adapted.ask("rollout", sql=A)
    said = len(adapted.scene.said)
    assert adapted.ask("repair", sql=B) == "repaired"
    assert "adapter sql unloaded" in " ".join(adapted.scene.said[said:])


def test_a_server_that_lists_nothing_for_once_is_proved_before_it_is_said(
    adapted: Adapted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was loaded and nothing is to be taken back: that it serves is shown all the same."""
    adapted.ask("rollout", sql=A)
    adapted.engine(mute_adapters=("sql",))
    replies = iter([Reply(503, "busy")])
    real = FakeHttp.request

    def request(self: FakeHttp, method: str, url: str, *rest: t.Any) -> Reply:
        once = next(replies, None) if url.endswith("/v1/models") else None
        return once or real(self, method, url, *rest)

    monkeypatch.setattr(FakeHttp, "request", request)
    assert adapted.ask("live", law=B) == "failed"


def test_what_a_restart_of_the_container_lost_is_seen(adapted: Adapted) -> None:
    scene = adapted.scene
    adapted.ask("rollout", sql=A)
    _restarted(scene)
    seen = observe_one(scene.store, scene.docker, scene.host.http, scene.client_dir)
    assert (seen["healthy"], seen["adapters_differ"]) == (True, ["adapter sql is not loaded"])
    assert adapted.ask("live", sql=A) == "live"
    assert list(adapted.loaded) == ["sql"]
    again = observe_one(scene.store, scene.docker, scene.host.http, scene.client_dir)
    assert again["adapters_differ"] == []


def test_the_watch_has_them_loaded_again(watched: Adapted) -> None:
    scene = t.cast(Watched, watched.scene)
    watched.ask("rollout", sql=A)
    assert scene.after(11, rounds=2) == []
    assert watched.ask("live", law=B) == "live"
    _restarted(scene)
    assert scene.after(11, rounds=3) == ["live"]
    assert list(watched.loaded) == ["law"]
    assert [line for line in scene.lines if "adapter law is not loaded" in line]


def test_the_watch_tries_often_and_says_it_once(watched: Adapted) -> None:
    scene = t.cast(Watched, watched.scene)
    watched.ask("rollout", sql=A)
    _restarted(scene)
    watched.engine(no_adapters=("sql",))
    assert set(scene.after(11, rounds=4)) == {"live"}
    assert len([line for line in scene.lines if "is not loaded" in line]) == 1


def test_its_api_key_is_used_and_never_told(watched: Adapted, monkeypatch: pytest.MonkeyPatch) -> None:
    """To load, to unload, to look, and by the watch; a server that was given none answers all of them with 401."""
    monkeypatch.setattr("os.chown", lambda *_: None)
    scene, secret = t.cast(Watched, watched.scene), "a-key-of-the-assistant"
    watched.key = {"api_key": {"fingerprint": "f" * 64, "path": "/run/gpufleet/api-key.yaml"}}
    scene.keys.keep(watched.planned(OLD)["release"], [secret])
    watched.engine(api_key=secret, no_adapters=("bad",))
    assert watched.ask("rollout", sql=A) == "verified"
    assert watched.ask("live", law=B) == "live"
    assert watched.ask("live", bad=B) == "rolled_back"
    scene.after(11, rounds=2)
    _restarted(scene)
    seen = observe_one(scene.store, scene.docker, scene.host.http, scene.client_dir)
    assert seen["adapters_differ"] == ["adapter law is not loaded"]
    assert scene.after(11, rounds=3) == ["live"]
    assert list(watched.loaded) == ["law"]
    assert secret not in str([scene.said, scene.lines, seen, scene.store.load()])


def _restarted(scene: Scene) -> None:
    """As Docker restarts what has died: the same container, another start."""
    serving = scene.docker.serving()
    assert serving is not None
    serving["State"]["StartedAt"] = "2026-01-01T09:00:00Z"
