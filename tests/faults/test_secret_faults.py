# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets that are not ours to know, in daemon.json and in what is asked for. API keys are the scenario `secrets`."""

from __future__ import annotations

import json
import secrets
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.faults.host import CHECKOUT, Json
from ansible_collections.gpufleet.vllm.tests.faults.matrix import Row
from ansible_collections.gpufleet.vllm.tests.faults.play import Play

SEARCH = (CHECKOUT / "molecule" / "secrets" / "files" / "search.py").read_text()
DAEMON_JSON = "/etc/docker/daemon.json"
OURS = ("/etc/docker/gpufleet.json", "/etc/docker/daemon.json.previous")
LOUD = ("-vvv", "--diff")
# A change that Docker takes by a reload.
MANAGED = {
    "container_runtime_manage": True,
    "container_runtime_live_restore": True,
    "container_runtime_log_max_size": "0",
    "container_runtime_nofile": 0,
}
# The least that the owner may, and nobody else.
PRIVATE = "0o600"
# Docker hands its proxy on to the programs that it starts, where root alone may read it.
OF_DOCKER = "process environ"


def places(row: Row, secret: str) -> dict[str, str]:
    """Files of the host that hold the secret with their modes, and other places, whose mode is ''."""
    found = json.loads(row.host.run("python3", "-c", SEARCH, "host", "-", given=secret))["found"]
    split = [
        place.partition(" ") if place.startswith("0o") else ("", "", place) for place in found if place != OF_DOCKER
    ]
    return {place: mode for mode, _space, place in split}


def says_none(play: Play, *hidden: str) -> None:
    said = play.log.read_text()
    assert not [secret for secret in hidden if secret in said], f"{play.log} shows a secret"


def proxies(secret: str) -> Json:
    """Through which nothing goes."""
    return {"proxies": {"http-proxy": f"http://somebody:{secret}@proxy.example.com:3128", "no-proxy": "*"}}


@pytest.fixture
def daemon_json(row: Row) -> t.Iterator[t.Callable[[Json, str], None]]:
    """Writes settings into daemon.json, with a mode; in the end the host has the file of before, and none of ours."""
    before = row.host.read(DAEMON_JSON)

    def write(more: Json, mode: str) -> None:
        row.host.write(DAEMON_JSON, json.dumps({**json.loads(before), **more}))
        row.host.run("chmod", mode, DAEMON_JSON)

    yield write
    write({"live-restore": True}, "0644")
    row.host.restart_docker()
    write({}, "0644")
    row.host.run("systemctl", "reload", "docker.service")
    row.host.run("rm", "--force", *OURS)


def test_f37_secret_in_daemon_json(row: Row, daemon_json: t.Callable[[Json, str], None]) -> None:
    """A proxy's password in daemon.json, theirs or ours: in no output, and in no file that others may read."""
    theirs, ours = secrets.token_hex(20), secrets.token_hex(20)
    with row.asking():
        daemon_json(proxies(theirs), "0600")
        changed = row.ended(row.start(None, *LOUD, **MANAGED))
        assert changed.code == 0, changed.log
        assert (changed.changed(row.host.name) or 0) > 0, f"nothing was changed in daemon.json; {changed.log}"
        assert places(row, theirs) == {DAEMON_JSON: PRIVATE, OURS[1]: PRIVATE}
        asked = {**MANAGED, "container_runtime_daemon_options": proxies(ours)}
        refused = row.ended(row.start(None, *LOUD, **asked))
        row.refused(refused, "proxies")
        # Docker is restarted for this one. With live-restore, which is on by now, no container is, but Docker's own
        # proxies of their ports are: for a moment connections are refused.
        daemon_json({"live-restore": True}, "0644")
        set_by_us = row.ended(row.start(None, *LOUD, **asked))
        assert set_by_us.code == 0, set_by_us.log
        assert places(row, ours) == {DAEMON_JSON: PRIVATE, OURS[0]: PRIVATE}
    for play in (changed, refused, set_by_us):
        says_none(play, theirs, ours)
    failed = row.answers.failed
    odd = [line for line in failed if "Connection refused" not in str(line.get("error"))]
    assert not odd, f"questions failed otherwise than by a refused connection, such as {odd[0]}"
    assert len(failed) * 10 < len(row.answers.lines), f"{len(failed)} questions were refused, which is no moment"
    row.untouched()


# What is asked for, with the secret where {} is, and what the refusal says.
ASKED: dict[str, tuple[Json, str]] = {
    "token": ({"env": {"HF_TOKEN": "hf_{}"}}, "env.HF_TOKEN is a secret by its name"),
    "key": ({"env": {"VLLM_API_KEY": "{}"}}, "env.VLLM_API_KEY would stand in clear"),
    "proxy": ({"env": {"HTTPS_PROXY": "http://somebody:{}@proxy.example.com"}}, "env.HTTPS_PROXY has credentials"),
}


def test_f37_secret_in_the_environment(row: Row) -> None:
    """Secrets in an instance's `env`: refused before the stop by the variable's name, and shown and kept nowhere."""
    secret = secrets.token_hex(20)
    with row.asking():
        for changes, why in ASKED.values():
            told = json.loads(json.dumps(changes).replace("{}", secret))
            for options in (LOUD, (*LOUD, "--check")):
                play = row.ended(row.start(row.changed(**told), *options))
                row.refused(play, why)
                says_none(play, secret)
        assert places(row, secret) == {}
    row.nothing_touched()
