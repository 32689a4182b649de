# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verified start measured is kept on the host, by a key that agrees in everything, and not without end."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.release import Release
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.fact import Gpu
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout import measurements
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.measurement import Measurement, key_of, parsed
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import (
    Json,
    entry,
    release,
    step,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

MODEL: Json = {"revision": None, "config": {"model_type": "llama"}, "weights": {"bytes": 1052672}}
CARD: t.Any = {"uuid": "GPU-1", "name": "board", "compute_capability": "8.6", "memory_mib": {"total": 12288}}
LOG = ((1.0, "Available KV cache memory: 3.25 GiB"), (2.0, "GPU KV cache size: 26,624 tokens"))
OLD, NEW = 1024, 2048


@pytest.fixture
def measuring(scene: Scene) -> Scene:
    """A host whose models and GPUs can be told."""
    scene.host = dataclasses.replace(scene.host, look_at_model=lambda _release: MODEL, gpus=lambda: [CARD])
    for length in (OLD, NEW):
        scene.engine(length, Engine(log=LOG))
    return scene


def listed(scene: Scene) -> list[Json]:
    return measurements.listed(scene.store.state_dir)


def test_a_verified_start_is_remembered(measuring: Scene) -> None:
    assert measuring.roll_out(OLD) == "verified"
    (one,) = listed(measuring)
    assert (one["kv_cache_gib"], one["kv_tokens"], one["max_model_len"]) == (3.25, 26624, OLD)
    state = measuring.store.load()
    assert state.current is not None
    assert one["at"] == state.current.verified_at
    assert one["key"] == measurements.key_of(measuring.host, state.current)


def test_a_repair_that_starts_it_afresh_is_remembered_too(measuring: Scene) -> None:
    measuring.roll_out(OLD)
    pathlib.Path(measuring.store.state_dir, measurements.FILE).unlink()
    measuring.docker.containers.clear()
    assert measuring.ask("repair", OLD) == "repaired"
    assert [one["max_model_len"] for one in listed(measuring)] == [OLD]


def test_what_another_instance_remembers_while_this_one_waits_for_it_is_kept(
    measuring: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pathlib.Path(measuring.store.state_dir, measurements.FILE)
    theirs = Measurement("b" * 64, "2026-11-26T10:00:00Z", kv_tokens=5)
    lock = fcntl.flock

    def waited_for(file: t.Any, how: int) -> None:
        path.write_text(json.dumps([theirs.as_dict()]))
        lock(file, how | fcntl.LOCK_NB)

    monkeypatch.setattr(fcntl, "flock", waited_for)
    assert measuring.roll_out(OLD) == "verified"
    assert [one["key"] for one in listed(measuring)][:1] == [theirs.key] and len(listed(measuring)) == 2


def test_it_outlives_its_instance(measuring: Scene) -> None:
    measuring.roll_out(OLD)
    before = listed(measuring)
    assert measuring.ask("remove", OLD) == "removed"
    assert listed(measuring) == before != []


def test_one_more_start_of_its_like_takes_its_place(measuring: Scene) -> None:
    measuring.roll_out(OLD)
    measuring.roll_out(NEW)
    measuring.roll_out(OLD)
    assert [one["max_model_len"] for one in listed(measuring)] == [NEW, OLD]


def test_a_start_that_fails_is_not_remembered_and_is_no_longer_believed(measuring: Scene) -> None:
    measuring.roll_out(OLD)
    measuring.roll_out(NEW)
    measuring.roll_out(OLD)
    measuring.engine(NEW, Engine(log=(*LOG, (2.5, "torch.OutOfMemoryError: CUDA out of memory.")), exits_after=2.8))
    assert measuring.roll_out(NEW) == "rolled_back"
    assert [one["max_model_len"] for one in listed(measuring)] == [OLD]


def test_a_start_in_whose_place_a_step_serves_is_no_longer_believed(measuring: Scene) -> None:
    measuring.roll_out(NEW)
    measuring.roll_out(OLD)
    measuring.engine(NEW, Engine(log=(*LOG, (2.5, "torch.OutOfMemoryError: CUDA out of memory.")), exits_after=2.8))
    settings = {"smoke": {}, "timeouts": {}, "on_failure": "fallback", "fallback_steps": 1}
    assert measuring.roll_out(NEW, steps=(step(512, "oom"),), settings=settings) == "fallback"
    assert [one["max_model_len"] for one in listed(measuring)] == [OLD, 512]


def test_a_wrong_answer_comes_from_an_engine_that_has_started(measuring: Scene) -> None:
    measuring.roll_out(NEW)
    measuring.roll_out(OLD)
    measuring.engine(NEW, Engine(log=LOG, refuses=400))
    assert measuring.roll_out(NEW) == "rolled_back"
    assert sorted(one["max_model_len"] for one in listed(measuring)) == [OLD, NEW]


@pytest.mark.parametrize("trouble", [OSError("disk full"), KeyError("name"), ValueError("odd")])
def test_it_decides_nothing(measuring: Scene, trouble: Exception) -> None:
    def fails(_release: Release) -> Json:
        raise trouble

    measuring.host = dataclasses.replace(measuring.host, look_at_model=fails)
    assert measuring.roll_out(OLD) == "verified"
    assert listed(measuring) == []
    assert any("measurements.json stays as it is" in line for line in measuring.said)


def test_only_so_many_are_kept(measuring: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "KEPT", 2)
    for length in (1024, 2048, 4096):
        measuring.roll_out(length)
    assert [one["max_model_len"] for one in listed(measuring)] == [2048, 4096]
    path = pathlib.Path(measuring.store.state_dir, measurements.FILE)
    assert len(json.loads(path.read_text())) == 2


def test_a_hundred_are_kept(measuring: Scene) -> None:
    path = pathlib.Path(measuring.store.state_dir, measurements.FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps([{"key": f"{at:064x}", "at": "2026-11-26T10:00:00Z", "kv_tokens": at} for at in range(100)])
    )
    measuring.roll_out(OLD)
    kept = listed(measuring)
    assert (len(kept), kept[0]["kv_tokens"], kept[-1]["max_model_len"]) == (100, 1, OLD)


@pytest.mark.parametrize("text", ["", "{", "{}", "null", "[1, null, {}]", '[{"key": "x"}]', "[" * 100000])
def test_a_damaged_file_is_none(measuring: Scene, text: str) -> None:
    path = pathlib.Path(measuring.store.state_dir, measurements.FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    assert listed(measuring) == []
    assert measuring.roll_out(OLD) == "verified"
    assert len(listed(measuring)) == 1


KEY = "a" * 64


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Measurement(KEY, "2026-11-26T10:00:00Z", kv_tokens=5)),
        ({"key": "a" * 63}, None),
        ({"key": 1}, None),
        ({"at": "yesterday\n<b>"}, None),
        ({"at": None}, None),
        ({"kv_tokens": -1}, Measurement(KEY, "2026-11-26T10:00:00Z")),
        ({"kv_tokens": 1e13}, Measurement(KEY, "2026-11-26T10:00:00Z")),
        ({"kv_tokens": float("nan")}, Measurement(KEY, "2026-11-26T10:00:00Z")),
        ({"kv_tokens": True}, Measurement(KEY, "2026-11-26T10:00:00Z")),
        ({"kv_tokens": "5"}, Measurement(KEY, "2026-11-26T10:00:00Z")),
        ({"text": "\x1b[31m"}, Measurement(KEY, "2026-11-26T10:00:00Z", kv_tokens=5)),
    ],
)
def test_parsed(changes: Json, expected: Measurement | None) -> None:
    assert parsed({"key": KEY, "at": "2026-11-26T10:00:00Z", "kv_tokens": 5, **changes}) == expected


def key(document: t.Any, image: str | None = "sha256:1", model: Json | str | None = "MODEL", *cards: t.Any) -> str:
    seen = MODEL if isinstance(model, str) else model
    placed = {**document, "gpus": {"mode": "cdi", "uuids": ["GPU-1"]}}
    return key_of(t.cast(Release, placed), image, seen, cards or [CARD])


SAME = key(release(OLD))


@pytest.mark.parametrize(
    "other",
    [
        key(release(NEW)),
        key(release(OLD, env={"A": "2"})),
        key(release(OLD, model={"id": "acme/other", "path": None, "revision": None})),
        key(release(OLD), "sha256:2"),
        key(release(OLD), "sha256:1", {**MODEL, "config": {"model_type": "qwen2"}}),
        key(release(OLD), "sha256:1", {**MODEL, "weights": {"bytes": 1052673}}),
        key(release(OLD), "sha256:1", {**MODEL, "revision": "f" * 40}),
        key(release(OLD), "sha256:1", MODEL, {**CARD, "name": "other board"}),
        key(release(OLD), "sha256:1", MODEL, {**CARD, "memory_mib": {"total": 12289}}),
        key(release(OLD), "sha256:1", MODEL, {**CARD, "compute_capability": "8.9"}),
        key_of(release(OLD, gpus={"uuids": ["GPU-1", "GPU-1"]}), "sha256:1", MODEL, [CARD]),
    ],
)
def test_for_nothing_else(other: str) -> None:
    assert other not in ("", SAME)


@pytest.mark.parametrize(
    "unknown",
    [
        key(release(OLD), None),
        key(release(OLD), ""),
        key(release(OLD), "sha256:1", None),
        key(release(OLD), "sha256:1", {**MODEL, "weights": None}),
        key(release(OLD), "sha256:1", {**MODEL, "config": None}),
        key(release(OLD, model={"id": "acme/tiny", "path": None, "revision": "e" * 40})),
        key(release(OLD), "sha256:1", MODEL, {**CARD, "uuid": "GPU-2"}),
        key(release(OLD), "sha256:1", MODEL, {**CARD, "memory_mib": {"total": None}}),
        key(release(OLD), "sha256:1", MODEL, {**CARD, "name": None}),
    ],
)
def test_what_is_not_known_has_no_key(unknown: str) -> None:
    assert unknown == ""


@pytest.mark.parametrize(
    "same",
    [
        key(release(OLD, port=9000)),
        key(release(OLD, served_model_names=["other"])),
        key(release(OLD, image="registry.example.com/moved:1")),
        key(release(OLD), "sha256:1", {**MODEL, "notes": ["new"]}),
        key(release(OLD), "sha256:1", MODEL, {**CARD, "index": 3, "processes": [{"pid": 1}]}),
    ],
)
def test_what_plays_no_part(same: str) -> None:
    assert same == SAME


def test_a_gpu_of_the_same_kind_and_a_part_of_one() -> None:
    part = {**CARD, "uuid": "GPU-9", "mig": {"devices": [{"uuid": "GPU-1", "memory_mib": 12288}]}}
    assert key(release(OLD), "sha256:1", MODEL, part) not in ("", SAME)
    other = key_of(release(OLD, gpus={"uuids": ["GPU-2"]}), "sha256:1", MODEL, [t.cast(Gpu, {**CARD, "uuid": "GPU-2"})])
    assert other == SAME


def test_nothing_is_looked_at_for_a_release_without_gpus(measuring: Scene) -> None:
    def never() -> list[Gpu]:
        raise AssertionError("NVML was asked")

    host = dataclasses.replace(measuring.host, gpus=never)
    assert measurements.key_of(host, entry(OLD, image_id="sha256:1"))


def test_the_file_is_whole_at_any_time(measuring: Scene) -> None:
    measuring.roll_out(OLD)
    path = pathlib.Path(measuring.store.state_dir, measurements.FILE)
    rows: t.Any = json.loads(path.read_text())
    assert [set(row) for row in rows] == [set(Measurement.__dataclass_fields__)]
    assert path.stat().st_mode & 0o777 == 0o600
