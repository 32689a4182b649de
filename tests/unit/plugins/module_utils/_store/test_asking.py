# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a hub, and a look at what is missing that writes nothing."""

from __future__ import annotations

import dataclasses
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._store import asking
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.asking import opening, resolver
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.looking import Found, look
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.mover import Away, Mover
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.progress import Progress
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.transfer import Failed
from ansible_collections.gpufleet.vllm.tests.hub.content import MIB, Made
from ansible_collections.gpufleet.vllm.tests.hub.server import Hub
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store.hubs import request

MODEL, TOKEN = "org/model", "hf_0123456789abcdefgh"
FILES: t.Final[dict[str, bytes | Made]] = {
    "config.json": b"{}",
    "model.safetensors": Made(MIB),
    "README.md": b"not for serving",
}


@pytest.fixture
def hub() -> t.Iterator[Hub]:
    with Hub() as made:
        made.add(MODEL, FILES)
        yield made


class Place:
    def __init__(self, folder: pathlib.Path, hub: Hub) -> None:
        self.folder, self.state = folder / "hub", str(folder / "state")
        self.request = request(str(self.folder), model=MODEL, endpoint=hub.url)

    def look(self, token: str = "") -> Found:
        return look(self.request, resolver(self.request, token), self.state)

    def fetch(self, token: str = "") -> str:
        asked = (self.request, resolver(self.request, token), opening(self.request, token))
        return Mover(*asked, Progress(), lambda: None, self.state).run().detail


@pytest.fixture
def place(tmp_path: pathlib.Path, hub: Hub) -> Place:
    return Place(tmp_path, hub)


def test_a_look_says_what_is_missing_and_writes_nothing(place: Place, tmp_path: pathlib.Path) -> None:
    found = place.look()
    assert (found["outcome"], found["missing_files"], found["missing_bytes"]) == ("missing", 2, MIB + 2)
    assert found["detail"] == f"2 files of {MODEL} at {found['commit'][:12]} would be fetched, 1.0 MB."
    assert list(tmp_path.iterdir()) == []
    place.fetch()
    before = sorted(tmp_path.rglob("*"))
    assert (place.look()["outcome"], sorted(tmp_path.rglob("*"))) == ("whole", before)


def test_a_look_says_that_only_links_are_missing(place: Place) -> None:
    place.fetch()
    (place.folder / "models--org--model" / "refs" / "main").unlink()
    found = place.look()
    assert (found["outcome"], found["missing_files"]) == ("missing", 0)
    assert found["detail"].endswith("are there, and its links would be made.")


def test_what_a_hub_refuses_is_told_with_its_page(place: Place, hub: Hub) -> None:
    hub.models[MODEL].gated = "manual"
    said = [place.look()["detail"], place.fetch()]
    for text in said:
        assert text.startswith(f"The model {MODEL} is gated, and no token was sent: open {hub.url}/{MODEL}")
        assert "set vllm_server_hub_token" in text and text.endswith(".") and not text.endswith("..")
    hub.tokens[TOKEN] = {MODEL}
    assert "is whole: 2 files" in place.fetch(TOKEN)
    hub.models[MODEL].gated = False
    place.request["revision"] = "none-such"
    assert f"The model {MODEL} has no revision none-such" in place.fetch()


def test_what_passes_is_told_apart_from_what_stays(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.request["model"] = "org/unknown"
    with pytest.raises(Failed, match="There is no model org/unknown"):
        resolver(place.request, "")()
    place.request["model"], place.request["endpoint"] = MODEL, "http://127.0.0.1:9"
    impatient = dataclasses.replace(asking.client(place.request, ""), patience=0.1)
    monkeypatch.setattr(asking, "client", lambda _request, _token: impatient)
    with pytest.raises(Away, match="cannot be asked"):
        resolver(place.request, "")()


def test_a_host_reads_no_proxies_and_is_not_told_to(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a check run gets through a proxy, the download would not."""
    for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert place.look()["outcome"] == "missing"
    place.request["endpoint"] = "http://127.0.0.1:9"
    impatient = dataclasses.replace(asking.client(place.request, ""), patience=0.1)
    monkeypatch.setattr(asking, "client", lambda _request, _token: impatient)
    said = place.look()["detail"]
    assert "a mirror that it reaches belongs into vllm_server_hub_endpoint" in said and "HTTPS_PROXY" not in said
