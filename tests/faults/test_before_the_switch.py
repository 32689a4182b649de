# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that are found before anything stops: they must not cost a single question."""

from __future__ import annotations

from ansible_collections.gpufleet.vllm.tests.faults.matrix import Row

MODELS = "/srv/models"


def test_f04_model_missing(row: Row) -> None:
    """A model that is missing, empty, or gone after the plan."""
    host = row.host
    host.run("mkdir", "--parents", f"{MODELS}/empty")
    host.run("cp", "--recursive", "/models/tiny-64", f"{MODELS}/vanishes")
    with row.asking():
        missing = row.roll_out(row.changed(model=f"{MODELS}/none"))
        empty = row.roll_out(row.changed(model=f"{MODELS}/empty"))
        vanishes = row.start(row.changed(model=f"{MODELS}/vanishes"))
        vanishes.wait_for("RUNNING HANDLER")
        host.run("rm", "--recursive", f"{MODELS}/vanishes")
        row.ended(vanishes)
    row.refused(missing, f"{MODELS}/none does not exist on the host")
    row.refused(empty, f"{MODELS}/empty", "config.json")
    row.refused(vanishes, "(model.missing)", f"{MODELS}/vanishes")
    row.nothing_touched()


def test_f07_image_not_to_be_had(row: Row) -> None:
    """The image's registry is dead: the pull comes before the stop."""
    with row.asking():
        play = row.roll_out(row.changed(), vllm_server_image="127.0.0.1:5999/vllm-cpu:0.32.0")
    row.refused(play, "refused before anything was touched (image.pull)", "127.0.0.1:5999/vllm-cpu:0.32.0")
    row.nothing_touched()


def test_f09_port_in_use(row: Row) -> None:
    """Another process has the port: seen before the stop, or by Docker where it came after that."""
    elsewhere = row.changed(port=8090)
    with row.asking():
        play = row.start(elsewhere)
        with row.host.frozen(row.mark, "breadcrumb"):
            _somebody_takes(row, 8090)
        row.ended(play)
        seen = row.roll_out(elsewhere)
    row.host.run("systemctl", "stop", "somebody-else")
    row.put_back(play, "port.busy", "8090")
    row.refused(seen, "port 8090 is taken on 127.0.0.1 by something else on the host")
    row.has_nothing_to_do()


def _somebody_takes(row: Row, port: int) -> None:
    server = ("/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", str(port))
    row.host.run("systemd-run", "--collect", "--unit=somebody-else", *server)
    row.host.wait_until("taken", lambda: row.host.succeeds("curl", "--silent", f"http://127.0.0.1:{port}"))


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
