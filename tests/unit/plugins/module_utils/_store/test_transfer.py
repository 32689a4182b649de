# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads from the hub of tests, over real sockets: what it does wrong costs little, and is never kept."""

from __future__ import annotations

import http.client
import pathlib
import threading
import time
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.manifest import File, Manifest
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.mover import Ended, Mover
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.opening import Opening
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.progress import Progress
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.transfer import Failed, Transfer
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.waits import Patience
from ansible_collections.gpufleet.vllm.tests.hub.content import MIB, Made
from ansible_collections.gpufleet.vllm.tests.hub.faults import Fault, busy
from ansible_collections.gpufleet.vllm.tests.hub.server import Hub
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store.hubs import request

MODEL, WEIGHTS = "org/model", "model.safetensors"
SIZE = 3 * MIB + 5
TOKEN = "hf_0123456789abcdefgh"


def manifest_of(hub: Hub, commit: str, model: str = MODEL) -> Manifest:
    files = [
        File(
            path=path,
            size=one.size,
            sha256=one.sha256 if one.lfs else None,
            git_sha1=None if one.lfs else one.blob_id,
            url=f"{hub.url}/{model}/resolve/{commit}/{path}",
        )
        for path, one in hub.models[model].commits[commit].items()
    ]
    source = {"kind": "hub", "endpoint": hub.url}
    return t.cast(
        "Manifest",
        {"schema": 1, "model": model, "source": source, "revision": "main", "commit": commit, "files": files},
    )


class Place:
    def __init__(self, folder: pathlib.Path, hub: Hub, token: str = "", silence: float = 5) -> None:
        self.folder, self.hub = folder, hub
        self.commit = hub.add(MODEL, {"config.json": b'{"model_type": "llama"}', WEIGHTS: Made(SIZE)})
        self.progress = Progress()

        def refusal(status: int, headers: http.client.HTTPMessage, path: str) -> str:
            return f"the hub refuses {path}: {status} {headers.get('X-Error-Code')}"

        self.opening = Opening(hub.url, token, refusal, silence)

    def fetch(self, **asked: t.Any) -> Ended:
        self.progress = Progress()

        def transfer(*args: t.Any, **named: t.Any) -> Transfer:
            return Transfer(
                args[0], args[1], args[2], args[3], lambda: Patience(tries=6, first=0.01, longest=0.05), **named
            )

        manifest = manifest_of(self.hub, self.commit)
        wanted = request(str(self.folder / "hub"), model=MODEL, **asked)
        state = str(self.folder / "state")
        self.mover = Mover(wanted, lambda: manifest, self.opening, self.progress, lambda: None, state, "b1", transfer)
        return self.mover.run()

    def weights(self) -> pathlib.Path:
        return self.folder / "hub" / "models--org--model" / "snapshots" / self.commit / WEIGHTS

    def is_whole(self) -> bool:
        return self.weights().read_bytes() == Made(SIZE).read(0, SIZE)


@pytest.fixture
def hub() -> t.Iterator[Hub]:
    with Hub() as made:
        yield made


@pytest.fixture
def place(tmp_path: pathlib.Path, hub: Hub) -> Place:
    return Place(tmp_path, hub)


def test_files_come_from_the_hub_and_from_where_it_sends(place: Place) -> None:
    assert place.fetch() == (
        "whole", f"org/model at {place.commit[:12]} is whole: 2 files, 3.1 MB. Fetched 2 files, 3.1 MB.", True,
    )  # fmt: skip
    assert place.is_whole()
    assert place.fetch().changed is False
    assert place.hub.sent(WEIGHTS) < SIZE + 2000


CUT: t.Final = MIB + 7


@pytest.mark.parametrize(
    ("fault", "again"),
    [
        (Fault("cut", server="cdn", after=CUT), 0),
        (Fault("cut", server="cdn", after=CUT, count=4), 0),
        (Fault("reset", server="cdn", after=CUT), MIB),  # what was on its way is lost with the connection
        (Fault("reset", server="cdn", after=-1, count=3), 0),
        (Fault("status", server="cdn", status=503, count=3), 0),
        (Fault("status", server="hub", status=502), 0),
        (Fault("status", server="cdn", status=403, count=2), 0),
        (busy(0, server="hub"), 0),
        (Fault("length", server="cdn", by=5), 0),
        (Fault("length", server="cdn", by=-5), 0),
        (Fault("html", server="cdn"), 0),
        (Fault("garbage", server="cdn"), 0),
        (Fault("endless", server="cdn"), SIZE),
        (Fault("changed", server="cdn", after=MIB), SIZE),
        (Fault("redirect", server="hub", to="ftp://elsewhere/x"), 0),
    ],
    ids=lambda value: f"{value.kind}-{value.server}-{value.status}-{value.by}" if isinstance(value, Fault) else "",
)
def test_a_fault_is_survived(place: Place, fault: Fault, again: int) -> None:
    fault.path = fault.path if fault.server == "cdn" else f"*{WEIGHTS}"
    place.hub.faults.add(fault)
    ended = place.fetch()
    assert ended.outcome == "whole", ended.detail
    assert place.is_whole()
    assert place.progress.told()["received"] <= SIZE + 23 + again


@pytest.mark.parametrize("kind", ["whole", "shifted"])
def test_a_server_that_gives_another_range_is_found_out(place: Place, kind: t.Any) -> None:
    place.hub.faults.add(Fault("cut", server="cdn", after=CUT), Fault(kind, server="cdn", by=1000, count=9))
    assert place.fetch().outcome == "whole" and place.is_whole()


def test_an_address_that_has_expired_is_asked_for_anew(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    real = place.hub.signed

    def signed(*about: t.Any) -> str:
        made = real(*about)
        place.hub.lifetime = 3600
        return made

    place.hub.lifetime = -1
    monkeypatch.setattr(place.hub, "signed", signed)
    assert place.fetch().outcome == "whole" and place.is_whole()
    assert 403 in {asked.status for asked in place.hub.log}


def test_a_token_goes_to_the_hub_alone(tmp_path: pathlib.Path, hub: Hub) -> None:
    place = Place(tmp_path, hub, TOKEN)
    hub.tokens[TOKEN] = {"*"}
    assert place.fetch().outcome == "whole"
    # The CDN of tests refuses a request that brings one, too.
    assert {(asked.server, asked.token) for asked in hub.log} == {("hub", True), ("cdn", False)}


def test_a_token_follows_no_redirect_to_another_port(tmp_path: pathlib.Path, hub: Hub) -> None:
    with Hub() as other:
        other.tokens[TOKEN] = hub.tokens[TOKEN] = {"*"}
        place = Place(tmp_path, hub, TOKEN)
        commit = other.add(MODEL, {WEIGHTS: Made(SIZE)})
        hub.faults.add(
            Fault(
                "redirect", server="hub", path=WEIGHTS, to=f"{other.url}/{MODEL}/resolve/{commit}/{WEIGHTS}", count=-1
            )
        )
        assert place.fetch().outcome == "whole"
        assert {asked.token for asked in other.log} == {False}


def test_a_refusal_of_the_hub_is_told_at_once(tmp_path: pathlib.Path, hub: Hub) -> None:
    place = Place(tmp_path, hub)
    hub.models[MODEL].gated = "manual"
    ended = place.fetch()
    assert ended.outcome == "failed" and ended.detail.startswith("The hub refuses /org/model/resolve/")
    assert ended.detail.endswith(": 401 GatedRepo.")
    assert not place.weights().exists()


def test_a_hub_that_stalls_is_left_and_gone_on_with(tmp_path: pathlib.Path, hub: Hub) -> None:
    place = Place(tmp_path, hub, silence=0.3)
    hub.faults.add(Fault("stall", server="cdn", after=CUT, seconds=3))
    assert place.fetch().outcome == "whole" and place.is_whole()
    assert place.progress.told()["received"] <= SIZE + 23


def test_a_hub_that_redirects_in_a_circle_is_given_up(place: Place) -> None:
    to = f"{place.hub.url}/{MODEL}/resolve/{place.commit}/{WEIGHTS}"
    place.hub.faults.add(Fault("redirect", server="hub", path=WEIGHTS, to=to, count=-1))
    ended = place.fetch()
    assert ended.outcome == "failed" and "redirects more than 8 times" in ended.detail


def test_a_hub_that_is_gone_for_a_while_costs_nothing(place: Place) -> None:
    place.hub.faults.add(Fault("drip", server="cdn", piece=64 * 1024, seconds=0.02))

    def away() -> None:
        while place.progress.told()["received"] < MIB:
            time.sleep(0.01)
        place.hub.kill()
        place.hub.start()

    thread = threading.Thread(target=away)
    thread.start()
    assert place.fetch().outcome == "whole" and place.is_whole()
    thread.join()
    assert place.progress.told()["received"] <= SIZE + 23


def test_a_bound_on_bytes_a_second_is_kept(place: Place) -> None:
    began = time.monotonic()
    assert place.fetch(bandwidth=4 * MIB).outcome == "whole"
    assert time.monotonic() - began > 0.9 * SIZE / (4 * MIB) - 0.1


def test_a_mover_that_is_told_to_stop_keeps_what_came(place: Place) -> None:
    place.hub.faults.add(Fault("drip", server="cdn", piece=64 * 1024, seconds=0.02, count=-1))

    def stop() -> None:
        while place.progress.told()["received"] < MIB:
            time.sleep(0.01)
        place.mover.stop.set()

    thread = threading.Thread(target=stop)
    thread.start()
    ended = place.fetch()
    thread.join()
    assert ended.outcome == "failed" and "told to stop" in ended.detail
    came = place.progress.told()["received"]
    place.hub.faults.clear()
    assert place.fetch().outcome == "whole" and place.is_whole()
    assert came + place.progress.told()["received"] <= SIZE + 23


def test_an_https_address_is_not_left_for_one_without_tls(place: Place) -> None:
    with pytest.raises(Failed, match="redirects to elsewhere without TLS"):
        place.opening._next("https://hub.invalid/x", "http://elsewhere/x")
