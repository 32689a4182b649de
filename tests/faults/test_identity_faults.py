# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What looks like ours and is not, and what was ours and is gone."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.faults import images
from ansible_collections.gpufleet.vllm.tests.faults.host import CONTAINER, INSTANCE, STATE_DIR
from ansible_collections.gpufleet.vllm.tests.faults.matrix import Row
from ansible_collections.gpufleet.vllm.tests.faults.play import Play

ROLLBACK = "gpufleet.vllm.rollback"
STATE = f"{STATE_DIR}/state.json"
COPY = "copy"


@pytest.fixture
def squatter(row: Row) -> t.Iterator[t.Callable[..., str]]:
    """Runs a container of somebody else under a name; its id. They are gone afterwards."""
    made: list[str] = []

    def run(name: str, image: str, *words: str) -> str:
        asked = ("--detach", f"--name={name}", *words, "--entrypoint=sleep", image, "infinity")
        made.append(row.host.run("docker", "run", *asked).strip())
        return made[-1]

    yield run
    row.host.run("docker", "rm", "--force", *made, check=False)
    row.host.run("docker", "rmi", "--force", COPY, check=False)


@pytest.mark.parametrize("role", ["held", "previous"])
def test_f36_name_of_ours(row: Row, squatter: t.Callable[..., str], role: str) -> None:
    """Somebody's container has a name that a rollout needs: named before the stop, and left alone."""
    name = f"{CONTAINER}-{role}"
    before = row.host.containers()
    if name in before:
        row.host.run("docker", "rm", "--force", name)
    theirs = squatter(name, before[CONTAINER]["Image"])
    with row.asking():
        play = row.roll_out(row.changed())
    row.refused(play, "(container.foreign)", f"a container {name} exists that is not ours", "Remove or rename it")
    assert row.host.containers()[name]["Id"] == theirs
    row.nothing_touched()


def test_f36_committed_copy(row: Row, squatter: t.Callable[..., str]) -> None:
    """Somebody runs a `docker commit` of our server, which has all of its labels: it is never taken for ours."""
    row.host.run("docker", "commit", "--pause=false", CONTAINER, COPY)
    theirs = squatter(COPY, COPY, "--restart=unless-stopped")
    labels = row.host.containers()[COPY]["Config"]["Labels"]
    assert labels["io.gpufleet.instance"] == INSTANCE, "the copy has no label of ours"
    serving, state = row.host.serving_container(), row.host.read(STATE)
    with row.asking():
        row.host.run("rm", STATE)
        rebuilt = row.roll_out(None)
        assert rebuilt.code == 0, rebuilt.log
        row.says(rebuilt, "rebuilt from the labels of its containers")
        row.host.write(STATE, state)
        assert row.host.serving_container() == serving
        # Under a name of ours it is as foreign as any other.
        row.host.run("docker", "rm", "--force", f"{CONTAINER}-previous", check=False)
        row.host.run("docker", "rename", COPY, f"{CONTAINER}-previous")
        refused = row.roll_out(row.changed())
        row.host.run("docker", "rename", f"{CONTAINER}-previous", COPY)
    row.refused(refused, "(container.foreign)", f"a container {CONTAINER}-previous exists that is not ours")
    row.no_question_failed()
    changed = row.changed()
    with row.asking():
        play = row.roll_out(changed)
    assert play.code == 0, play.log
    row.only_while_down()
    row.is_good_now(changed)
    found = row.host.containers()[COPY]
    assert (found["Id"], found["State"]["Running"], found["RestartCount"]) == (theirs, True, 0)
    row.has_nothing_to_do()


def test_f36_old_state_put_back(row: Row) -> None:
    """An old state file is put back, as by a restored snapshot: the server that was verified after it serves on."""
    served = row.good.wanted["vllm_server_instances"][0]
    # By the old state a stopped container is to be restarted at the first look.
    assert row.roll_out({**served, "watch": {"failure_threshold": 1, "interval": 1}}).code == 0
    old = row.host.read(STATE)
    changed = row.changed()
    assert row.roll_out(changed).code == 0
    row.is_good_now(changed)
    serving = row.host.serving_container()
    row.mark = row.host.mark()
    with row.asking():
        row.host.write(STATE, old)
        known = row.host.told("status", INSTANCE)
        assert known["current"]["digest"] == row.good.digest, known["current"]
        row.host.wait_until("mended by the watch", lambda: row.host.verified() == row.good.digest)
        row.host.at_rest()
        row.host.write(STATE, old)
        play = row.roll_out(None)
        assert play.code == 0, play.log
        row.says(play, f"{STATE}: it is older than the server {CONTAINER} ({serving[:12]})")
        row.host.write(STATE, old)
        row.host.run("systemctl", "start", "gpufleet-recover.service")  # as at a boot
        row.host.at_rest()
        assert row.roll_out(None).code == 0  # the settings of the instance are as old as the state was
    assert row.host.serving_container() == serving
    row.nothing_touched()


def test_f36_previous_release_pruned(row: Row) -> None:
    """`docker system prune --all` takes the previous release: said by the plan, and pulled again on the rollback."""
    first, image = row.good, f"{images.REGISTRY}/{images.heavier(1)}"
    changed = row.changed()
    assert row.roll_out(changed, vllm_server_image=image).code == 0
    row.mark = row.host.mark()
    pruned = row.host.state()["previous"]
    assert pruned["digest"] == first.digest
    with row.asking():
        row.host.run("docker", "system", "prune", "--all", "--force", limit=300)
        assert not row.host.succeeds("docker", "image", "inspect", pruned["image_id"])
        known = row.host.told("status", INSTANCE)["previous_gone"]
        assert f"the rollback pulls {pruned['image_digest']}" in known, known
        planned = row.roll_out(changed, vllm_server_image=image)
        assert (planned.code, planned.changed(row.host.name)) == (0, 0), planned.log
        row.says(planned, "is not whole: its container and its image are gone")
        back = row.ended(Play(ROLLBACK, [row.host.name], {"vllm_server_target_instance": INSTANCE}))
    assert back.code == 0, back.log
    row.only_while_down()
    row.serves(first.digest)
    row.has_nothing_to_do()
