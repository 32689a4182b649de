# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that are found before anything stops: they must not cost a single question."""

from __future__ import annotations

import time

from ansible_collections.gpufleet.vllm.tests.faults import images
from ansible_collections.gpufleet.vllm.tests.faults.host import FILES, Host
from ansible_collections.gpufleet.vllm.tests.faults.matrix import Row

MODELS = "/srv/models"


def copied(host: Host, name: str) -> str:
    """A copy of the model that serves, to be spoiled."""
    path = f"{MODELS}/{name}"
    host.run("mkdir", "--parents", path)
    host.run("cp", "--recursive", "/models/tiny-64/.", path)
    return path


def test_f04_model_missing(row: Row) -> None:
    """A model that is missing, empty, or gone after the plan."""
    path = copied(row.host, "vanishes")
    row.host.run("mkdir", "--parents", f"{MODELS}/empty")
    with row.asking():
        missing = row.roll_out(row.changed(model=f"{MODELS}/none"))
        empty = row.roll_out(row.changed(model=f"{MODELS}/empty"))
        vanishes = row.planned(row.changed(model=path))
        row.host.run("rm", "--recursive", path)
        vanishes.goes_on()
        row.ended(vanishes)
    row.refused(missing, f"{MODELS}/none does not exist on the host")
    row.refused(empty, f"{MODELS}/empty", "config.json")
    row.refused(vanishes, "(model.missing)", path)
    row.nothing_touched()


def test_f05_weights_damaged(row: Row) -> None:
    """Weights that are cut off, or whose header is garbage.

    A byte that flipped behind a sound header is found by checksums alone, which come with a model store.
    """
    cut, garbage = copied(row.host, "cut"), copied(row.host, "garbage")
    row.host.run("truncate", "--size=-1000", f"{cut}/model.safetensors")
    row.host.run("dd", f"of={garbage}/model.safetensors", "conv=notrunc", given="garbage!")
    with row.asking():
        first, second = row.roll_out(row.changed(model=cut)), row.roll_out(row.changed(model=garbage))
    row.refused(first, f"{cut}/model.safetensors is cut off")
    row.refused(second, f"{garbage}/model.safetensors is no safetensors file")
    row.nothing_touched()


def test_f06_pickled_weights(row: Row) -> None:
    """Weights that are pickle files only, which can carry code."""
    path = copied(row.host, "pickled")
    row.host.run("mv", f"{path}/model.safetensors", f"{path}/pytorch_model.bin")
    with row.asking():
        play = row.roll_out(row.changed(model=path))
    row.refused(play, "(model.pickle)", path)
    row.nothing_touched()


def test_f07_image_not_to_be_had(row: Row) -> None:
    """The image's registry is dead: the pull comes before the stop."""
    nowhere = f"127.0.0.1:5999/{images.NAME}:{images.VERSION}"
    with row.asking():
        play = row.roll_out(row.changed(), vllm_server_image=nowhere)
    row.refused(play, "refused before anything was touched (image.pull)", nowhere)
    row.nothing_touched()


def test_f08_pull_interrupted(row: Row) -> None:
    """The registry goes away in the middle of a pull: nothing was stopped, and one rerun converges."""
    relay = ("/usr/bin/python3", "-c", (FILES / "relay.py").read_text(), "5056", images.REGISTRY, str(8 << 20))
    image = f"127.0.0.1:5056/{images.heavier(48)}"
    changed = row.changed()
    with row.asking():
        row.host.run("systemd-run", "--collect", "--unit=slow-line", *relay)
        play = row.start(changed, vllm_server_image=image)
        row.at(play, "pull")
        time.sleep(3)
        row.host.run("systemctl", "kill", "--signal=KILL", "slow-line")
        row.ended(play)
    row.refused(play, "refused before anything was touched (image.pull)", image)
    row.nothing_touched()
    row.host.run("systemd-run", "--collect", "--unit=slow-line", *relay)
    row.converges(changed, vllm_server_image=image)
    row.host.run("systemctl", "stop", "slow-line")


def test_f09_port_in_use(row: Row) -> None:
    """Another process has the port: seen before the stop, or by Docker where it came after that."""
    elsewhere = row.changed(port=8090)
    server = ("/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "8090")
    with row.asking():
        play = row.start(elsewhere)
        with row.frozen(play, "breadcrumb"):
            row.host.run("systemd-run", "--collect", "--unit=somebody-else", *server)
            row.host.wait_until("taken", lambda: row.host.succeeds("curl", "--silent", "http://127.0.0.1:8090"))
        row.ended(play)
        seen = row.roll_out(elsewhere)
        row.host.run("systemctl", "stop", "somebody-else")
    row.put_back(play, "port.busy", "8090")
    row.refused(seen, "port 8090 is taken on 127.0.0.1 by something else on the host")
    row.has_nothing_to_do()


def test_f29_check_mode(row: Row) -> None:
    """--check --diff of a change: nothing is written, and what it predicts is what the next run does."""
    changed = row.changed()
    with row.asking():
        before, since = row.host.snapshot(), row.host.run("date", "+%s").strip()
        plain, diff = row.roll_out(changed, "--check"), row.roll_out(changed, "--check", "--diff")
        events = row.host.run("docker", "events", "--since", since, "--until", row.host.run("date", "+%s").strip())
        assert row.host.snapshot() == before
    row.no_question_failed()
    lasting = [line for line in events.splitlines() if " exec_" not in line]
    assert not lasting, f"Docker was used: {lasting}"
    assert [(play.code, play.changed(row.host.name)) for play in (plain, diff)] == [(0, 2), (0, 2)]
    with row.asking():
        real = row.roll_out(changed)
    assert (real.code, real.changed(row.host.name)) == (0, 2)
    row.only_while_down()
    row.is_good_now(changed)
    row.has_nothing_to_do()


def test_f26_disk_full_for_the_image(row: Row) -> None:
    """The disk is full where an image is pulled to.

    How much room a model needs is asked where models are fetched, which comes with a model store.
    """
    folder = "/var/lib/docker/tmp"
    image = f"{images.REGISTRY}/{images.heavier(48)}"
    row.host.run("mount", "-t", "tmpfs", "-o", "size=8m", "small", folder)
    try:
        with row.asking():
            play = row.roll_out(row.changed(), vllm_server_image=image)
    finally:
        row.host.run("umount", folder)
    row.refused(play, "refused before anything was touched (disk.full)", "no space left on device", "Make room there")
    row.nothing_touched()
