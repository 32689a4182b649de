# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is ours on a host that others use too: containers of somebody else, an older state, images that were pruned."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._host.status import known, observe_one
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout import image
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.journal import Journal
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.recover import recover
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.transaction import Transaction
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import StateProblem
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import (
    IMAGE,
    IMAGE_ID,
    NAME,
    Json,
    entry,
    plan,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

OLDEST, OLD, NEW = 512, 1024, 2048
BROKEN = Engine(exits_after=1, log=((0.0, "ValueError: bad"),))
COPY = "sha256:" + "c" * 64


def theirs(scene: Scene, name: str, labels: Json, image_id: str = IMAGE_ID, policy: str = "no") -> str:
    """A container of somebody else; its id."""
    made = scene.docker.create(name, {"Image": image_id, "Labels": labels, "HostConfig": {}})
    scene.docker.containers[made]["HostConfig"]["RestartPolicy"]["Name"] = policy
    scene.docker.containers[made]["State"].update(Running=True, Status="running")
    return made


def committed(scene: Scene) -> Json:
    """The labels that `docker commit` copies from our container into an image."""
    found = scene.docker.named(f"vllm-{NAME}")
    assert found is not None
    labels: Json = dict(found["Config"]["Labels"])
    scene.docker.images["debug"] = {"Id": COPY, "Config": {"Labels": labels}}
    return labels


@pytest.mark.parametrize("name", ["vllm-assistant", "vllm-assistant-held", "vllm-assistant-previous"])
@pytest.mark.parametrize("copied", [False, True])
def test_somebody_elses_container_under_a_name_of_ours_is_named_and_let_be(
    scene: Scene, name: str, copied: bool
) -> None:
    scene.roll_out(OLD)
    labels = committed(scene) if copied else {}
    if name == "vllm-assistant":
        scene.docker.rename("id2", "vllm-assistant-away")
    made = theirs(scene, name, labels, COPY)
    writes = len(scene.docker.writes)
    assert scene.roll_out(NEW) == "refused"
    assert f"(container.foreign): a container {name} exists that is not ours" in scene.last()["detail"]
    assert len(scene.docker.writes) == writes and made in scene.docker.containers
    assert scene.store.load().rejected == ()


def test_a_copy_that_somebody_runs_for_himself_is_let_be(scene: Scene) -> None:
    scene.roll_out(OLD)
    made = theirs(scene, "my-debug-box", committed(scene), COPY)
    assert scene.roll_out(NEW) == "verified"
    assert scene.ask("rollback") == "verified"
    assert scene.ask("remove") == "removed"
    assert list(scene.docker.containers) == [made]
    assert known(scene.store.state_dir, scene.docker) == []


def test_a_container_with_our_label_and_another_name_is_let_be(scene: Scene) -> None:
    scene.roll_out(OLD)
    made = theirs(scene, "my-box", {"io.gpufleet.instance": NAME})
    assert scene.roll_out(NEW) == "verified"
    assert made in scene.docker.containers


def test_a_copy_is_not_taken_for_the_verified_server(scene: Scene) -> None:
    scene.roll_out(OLD)
    theirs(scene, "my-debug-box", committed(scene), COPY, policy="unless-stopped")
    pathlib.Path(scene.store.path("state.json")).write_text("{")
    assert scene.recover() == ""
    state = scene.store.load()
    assert state.current is not None and state.current.container_id == "id2"


def test_a_name_that_is_taken_in_the_middle_blames_no_release(scene: Scene) -> None:
    scene.roll_out(OLD)
    scene.docker.errors["rename vllm-assistant vllm-assistant-held"] = DockerError(409, "Conflict")
    assert scene.roll_out(NEW) == "rolled_back"
    assert (scene.serves(), scene.store.load().rejected) == (OLD, ())


def older_state(scene: Scene) -> None:
    """NEW is verified, and the file of the day before is put back."""
    scene.roll_out(OLD)
    text = pathlib.Path(scene.store.path("state.json")).read_text()
    client = pathlib.Path(scene.client_dir, NAME, "client.json").read_text()
    assert scene.roll_out(NEW, settings={"timeouts": {"hold": 7}}) == "verified"
    pathlib.Path(scene.store.path("state.json")).write_text(text)
    pathlib.Path(scene.client_dir, NAME, "client.json").write_text(client)


def test_an_older_state_does_not_replace_the_server_that_was_verified_after_it(scene: Scene) -> None:
    older_state(scene)
    scene.engine(4096, BROKEN)
    assert scene.roll_out(4096) == "rolled_back"
    assert scene.serves() == NEW
    assert any("it is older than the server vllm-assistant" in line for line in scene.said)
    state = scene.store.load()
    assert state.current is not None and state.current.digest == plan(NEW)["digest"]
    assert state.previous is not None and state.previous.digest == plan(OLD)["digest"]
    scene.assert_settled()


def test_a_repair_that_an_older_state_planned_is_refused(scene: Scene) -> None:
    older_state(scene)
    writes = len(scene.docker.writes)
    assert scene.ask("repair", OLD) == "refused"
    assert "(repair.moved_on)" in scene.last()["detail"]
    assert (scene.serves(), len(scene.docker.writes)) == (NEW, writes)


def test_status_shows_what_serves_and_not_what_an_older_state_says(scene: Scene) -> None:
    older_state(scene)
    seen = observe_one(scene.store, scene.docker, scene.host.http, scene.client_dir)
    assert seen["current"] is not None and seen["rebuilt"] is not None
    assert seen["current"]["digest"] == plan(NEW)["digest"]
    assert "it is older than the server" in seen["rebuilt"]
    assert seen["current"]["verified"]["max_model_len"] == NEW


def test_two_verified_servers_that_the_state_does_not_know_are_touched_by_nobody(scene: Scene) -> None:
    older_state(scene)
    previous = scene.docker.named("vllm-assistant-previous")
    assert previous is not None
    state = scene.store.load()
    scene.docker.rename(previous["Id"], "vllm-assistant-away")
    labels = previous["Config"]["Labels"]
    theirs(scene, "vllm-assistant-previous", labels, policy="unless-stopped")
    assert state.current is not None
    writes = len(scene.docker.writes)
    assert scene.recover() == "failed"
    assert "2 of its 2 containers are verified" in scene.last()["detail"]
    assert len(scene.docker.writes) == writes


def pruned(scene: Scene) -> None:
    """`docker system prune --all`: stopped containers, and images of none that runs."""
    for container in list(scene.docker.containers.values()):
        if not container["State"]["Running"]:
            del scene.docker.containers[container["Id"]]
    scene.docker.images.clear()


@pytest.mark.parametrize(
    ("digest", "words"),
    [
        ("vllm/vllm-openai@sha256:2", "the rollback pulls vllm/vllm-openai@sha256:2, and makes it again"),
        ("", f"the rollback pulls {IMAGE}, if that is still the same image, and makes it again"),
    ],
)
def test_a_previous_release_that_was_pruned_is_said_and_fetched_again(scene: Scene, digest: str, words: str) -> None:
    if digest:
        scene.docker.images[IMAGE]["RepoDigests"] = [digest]
    scene.roll_out(OLD)
    scene.roll_out(NEW)
    pruned(scene)
    scene.docker.registry["vllm/vllm-openai@sha256:2"] = scene.docker.registry[IMAGE]
    if digest:
        scene.docker.registry[IMAGE] = {"Id": "sha256:moved", "Config": {"Entrypoint": ["vllm", "serve"]}}
    assert words in str(observe_one(scene.store, scene.docker, scene.host.http, scene.client_dir)["previous_gone"])
    assert scene.ask("rollback") == "verified"
    assert f"pull {digest or IMAGE}" in scene.docker.writes
    assert scene.serves() == OLD
    current = scene.store.load().current
    assert current is not None and current.image_id == IMAGE_ID
    scene.assert_settled()


def test_what_is_kept_is_not_said_to_be_gone(scene: Scene) -> None:
    scene.roll_out(OLD)
    assert observe_one(scene.store, scene.docker, scene.host.http, scene.client_dir)["previous_gone"] is None
    scene.roll_out(NEW)
    assert observe_one(scene.store, scene.docker, scene.host.http, scene.client_dir)["previous_gone"] is None
    del scene.docker.containers[scene.docker.named("vllm-assistant-previous")["Id"]]  # type: ignore[index]
    gone = observe_one(scene.store, scene.docker, scene.host.http, scene.client_dir)["previous_gone"]
    assert gone == "its container is gone; the rollback makes it again from its image"


def test_what_is_held_is_pruned_in_the_middle_and_fetched_for_the_rollback(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.docker.images[IMAGE]["RepoDigests"] = ["vllm/vllm-openai@sha256:2"]
    scene.roll_out(OLD)
    scene.engine(NEW, BROKEN)
    scene.docker.registry["vllm/vllm-openai@sha256:2"] = scene.docker.registry[IMAGE]
    make = scene.docker.create

    def create(name: str, body: Json) -> str:
        if scene.docker.image(body["Image"]) is None:
            raise DockerError(404, f"No such image: {body['Image']}")
        made = make(name, body)
        held = scene.docker.named("vllm-assistant-held")
        if held is not None:
            del scene.docker.containers[held["Id"]]
            scene.docker.images.clear()
        return made

    monkeypatch.setattr(scene.docker, "create", create)
    assert scene.roll_out(NEW) == "rolled_back"
    assert scene.serves() == OLD
    assert "pull vllm/vllm-openai@sha256:2" in scene.docker.writes
    scene.assert_settled()


def test_an_image_that_its_registry_has_by_its_tag_alone_is_fetched_by_that(scene: Scene) -> None:
    scene.docker.images[IMAGE]["RepoDigests"] = ["vllm/vllm-openai@sha256:2"]
    scene.roll_out(OLD)
    scene.roll_out(NEW)
    pruned(scene)
    scene.docker.errors["pull vllm/vllm-openai@sha256:2"] = DockerError(404, "manifest unknown")
    scene.said.clear()
    assert scene.ask("rollback") == "verified"
    assert any("vllm/vllm-openai@sha256:2" in line and "no image" in line for line in scene.said)
    assert scene.serves() == OLD


def test_a_release_of_which_no_image_is_known_has_none_to_be_fetched_again(scene: Scene) -> None:
    assert image.again(scene.host, entry(OLD), scene.journal()) is None
    assert (scene.docker.writes, scene.said) == ([], [])


def test_an_image_whose_tag_was_moved_is_not_taken_for_the_one_that_was_verified(scene: Scene) -> None:
    """The rollback has none then. A rollback says so, and takes what the tag names, which has to prove itself."""
    scene.roll_out(OLD)
    scene.roll_out(NEW)
    pruned(scene)
    scene.docker.registry[IMAGE] = {"Id": "sha256:moved", "Config": {"Entrypoint": ["vllm", "serve"]}}
    scene.docker.versions["sha256:moved"] = "0.32.0"
    previous = scene.store.load().previous
    assert previous is not None
    assert image.again(scene.host, previous, scene.journal()) is None
    assert "is gone, and is not to be had again" in scene.said[-1]
    assert scene.ask("rollback") == "verified"
    current = scene.store.load().current
    assert current is not None and (scene.serves(), current.image_id) == (OLD, "sha256:moved")


@pytest.mark.parametrize(
    ("known_as", "reference", "expected"),
    [
        (["a/b@sha256:1"], "a/b:v1", "a/b@sha256:1"),
        (["x/y@sha256:0", "reg:5000/a/b@sha256:1"], "reg:5000/a/b:v1", "reg:5000/a/b@sha256:1"),
        (["x/y@sha256:0"], "reg:5000/a/b", "x/y@sha256:0"),
        (["x/y@sha256:0", "z@sha256:1"], "reg:5000/a/b", "x/y@sha256:0"),
        (["a/b@sha256:1"], "a/b@sha256:1", "a/b@sha256:1"),
        (None, "a/b", ""),
    ],
)
def test_by_what_an_image_can_be_pulled_again(known_as: list[str] | None, reference: str, expected: str) -> None:
    assert image.digest_of({"RepoDigests": known_as}, reference) == expected


def test_a_folder_that_was_copied_from_another_instance_touches_nothing_of_it(scene: Scene) -> None:
    """As after `cp -a` or `mv` of an instance's folder: the state in it speaks of somebody else's containers."""
    scene.roll_out(OLD)
    writes = len(scene.docker.writes)
    copy = Store("helper", scene.store.state_dir, scene.run_dir)
    pathlib.Path(copy.folder).mkdir()
    pathlib.Path(copy.path("state.json")).write_text(pathlib.Path(scene.store.path("state.json")).read_text())
    journal = Journal(copy, scene.host.clock)
    with pytest.raises(StateProblem, match=r"it is the state of instance assistant, .*: remove .*/helper if it is a"):
        Transaction(scene.host, copy, journal, scene.client_dir).run({"kind": "rollout", "plan": plan(NEW)})
    assert recover(scene.host, copy, journal, None, scene.client_dir) == "failed"
    assert "it is the state of instance assistant" in copy.stages_from(0)[0][-1]["detail"]
    assert observe_one(copy, scene.docker, scene.host.http, scene.client_dir)["problem"]
    assert (len(scene.docker.writes), scene.serves()) == (writes, OLD)
