# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that containers write, and root reads: a hub cache that leads elsewhere, blocks, or has no end."""

from __future__ import annotations

import secrets

from ansible_collections.gpufleet.vllm.tests.faults.host import FILES
from ansible_collections.gpufleet.vllm.tests.faults.matrix import Row
from ansible_collections.gpufleet.vllm.tests.faults.wanted import ASSISTANT, merged, never_seen, wanted

HUB = "/srv/hub"
OUTSIDE = "/srv/outside"
FOLDER = "/srv/models/blocks"
# What hostile_cache.py makes of each model of `acme`, and what the plan says of it.
FOUND = {
    "config-link": "config.json is a link to a place outside of {hub}, and is not read: remove it",
    "config-pipe": "config.json is no regular file: remove it",
    "config-device": "config.json is a link to a place outside of {hub}, and is not read: remove it",
    "config-huge": "and 67108864 are more than it can need: download the model again",
    "config-deep": "config.json is no valid JSON (it is nested too deep)",
    "config-list": "config.json holds no JSON object",
    "weights-elsewhere": "'../../../../outside/weights', which is no file of the folder",
    "weights-pipe": "model.safetensors is no regular file: remove it",
    "weights-odd": "model.safetensors has a header that cannot be read: download it again",
}
# Nothing of these is read either. Such a model counts as one that is not there yet.
NOT_YET = "The model acme/{name} is not in the hub cache {hub} yet"
NOTED = {
    "snapshot-link": "leads out of the hub cache, and is not read: remove it",
    **dict.fromkeys(("ref-path", "ref-pipe", "ref-link", "ref-huge"), NOT_YET),
}


def test_f35_hostile_cache(row: Row) -> None:
    """Links out, pipes, devices, odd commits and a huge config in a cache: each is named at once, and none is read."""
    secret = secrets.token_hex(20)
    make = (FILES / "hostile_cache.py").read_text()
    row.host.run("python3", "-", HUB, OUTSIDE, secret, given=make)
    names = [*FOUND, *NOTED]
    bad = [
        never_seen(merged(ASSISTANT, {"name": name, "model": f"acme/{name}", "port": 8100 + at}))
        for at, name in enumerate(names)
    ]
    served = row.good.wanted["vllm_server_instances"][0]
    with row.asking():
        play = row.ended(row.start(None, "-vvv", **wanted(served, *bad, vllm_server_hub_dir=HUB)))
    row.refused(play, *(text.format(hub=HUB) for text in FOUND.values()))
    row.says(play, *(f"instance {name}:" for name in FOUND))
    row.says(play, *(text.format(name=name, hub=HUB) for name, text in NOTED.items()))
    assert secret not in play.log.read_text(), f"what a link led to is shown in {play.log}"
    row.nothing_touched()
    row.host.run("rm", "--recursive", HUB, OUTSIDE)


def test_f35_pipe_after_the_plan(row: Row) -> None:
    """A model's config becomes a pipe after the plan was made: the transaction refuses it, and does not wait for it."""
    row.host.run("mkdir", "--parents", FOLDER)
    row.host.run("cp", "--recursive", "/models/tiny-64/.", FOLDER)
    with row.asking():
        play = row.planned(row.changed(model=FOLDER))
        row.host.run("sh", "-c", f"rm {FOLDER}/config.json && mkfifo {FOLDER}/config.json")
        play.goes_on()
        row.ended(play)
    row.refused(play, "(model.missing)", f"{FOLDER}/config.json is no regular file: remove it")
    row.nothing_touched()
    row.host.run("rm", "--recursive", FOLDER)
