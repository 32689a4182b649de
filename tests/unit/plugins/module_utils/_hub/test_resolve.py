# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A revision of a model at a hub: what is resolved, refused and asked again, against the hub of tests."""

from __future__ import annotations

import dataclasses
import json
import time
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._hub import facts, resolve
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.client import Client
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.refusals import HubError
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.resolve import Resolved
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.selection import Wish
from ansible_collections.gpufleet.vllm.tests.hub.content import MIB, Made
from ansible_collections.gpufleet.vllm.tests.hub.faults import Fault, busy
from ansible_collections.gpufleet.vllm.tests.hub.server import Hub

READER, OTHER = "hf_" + "r" * 34, "hf_" + "o" * 34
CONFIG = {"architectures": ["Qwen3ForCausalLM"], "num_hidden_layers": 2}


def shard(tensors: int, behind: int = 0) -> bytes:
    """A safetensors file: a header, and as many bytes as it speaks of."""
    entries: dict[str, t.Any] = {
        f"layer.{at}": {"dtype": "BF16", "shape": [4, 8], "data_offsets": [64 * at, 64 * (at + 1)]}
        for at in range(tensors)
    }
    entries["__metadata__"] = {"format": "pt" + "x" * behind}
    raw = json.dumps(entries).encode()
    return len(raw).to_bytes(8, "little") + raw + bytes(64 * tensors)


FILES = {
    "config.json": json.dumps(CONFIG).encode(),
    "tokenizer.json": b"{}",
    "README.md": b"#",
    "modeling_x.py": b"",
    "model.safetensors.index.json": b"{}",
    "model-00001-of-00002.safetensors": shard(3),
    "model-00002-of-00002.safetensors": shard(2, behind=300 * 1024),
}


@pytest.fixture
def hub() -> t.Iterator[Hub]:
    with Hub() as made:
        made.add("org/model", FILES)
        made.add("org/gated", FILES, gated="auto")
        made.add("org/private", FILES, private=True)
        made.add("org/closed", FILES)
        made.models["org/closed"].disabled = True
        made.tokens |= {READER: {"org/gated", "org/private"}, OTHER: ()}
        yield made


@dataclasses.dataclass
class Waits:
    """The clock of a client that does not wait."""

    waited: list[float] = dataclasses.field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)

    def clock(self) -> float:
        return time.monotonic() + sum(self.waited)


def client(hub: Hub, waits: Waits | None = None, **changed: t.Any) -> Client:
    waits = waits or Waits()
    return Client(endpoint=hub.url, variable="the_token", sleep=waits.sleep, clock=waits.clock, **changed)


def resolved(hub: Hub, model: str = "org/model", revision: str = "main", **changed: t.Any) -> Resolved:
    return resolve.resolve(client(hub, **changed), model, revision)


def refusal(hub: Hub, model: str = "org/model", revision: str = "main", **changed: t.Any) -> HubError:
    with pytest.raises(HubError) as caught:
        resolved(hub, model, revision, **changed)
    return caught.value


def test_a_revision_is_a_commit_and_the_files_that_serve(hub: Hub) -> None:
    commit = hub.models["org/model"].branches["main"]
    found = resolved(hub)
    assert found.manifest["commit"] == commit
    assert found.manifest["revision"] == "main"
    assert found.manifest["source"] == {"kind": "hub", "endpoint": hub.url}
    files = {one["path"]: one for one in found.manifest["files"]}
    assert sorted(files) == sorted(set(FILES) - {"README.md", "modeling_x.py"})
    assert found.bytes == sum(len(FILES[path]) for path in files)
    stored = hub.models["org/model"].commits[commit]
    weights, config = files["model-00001-of-00002.safetensors"], files["config.json"]
    assert (weights["sha256"], weights["git_sha1"]) == (stored[weights["path"]].sha256, None)
    assert (config["sha256"], config["git_sha1"]) == (None, stored["config.json"].blob_id)
    assert config["url"] == f"{hub.url}/org/model/resolve/{commit}/config.json"
    assert found.notes == (
        (
            "org/model has Python code of its own, which is not fetched: vllm_server_allow_trust_remote_code does not "
            "name it."
        ),
    )
    assert "modeling_x.py" in str(resolve.resolve(client(hub), "org/model", "main", Wish(code=True)).manifest)


def test_a_branch_and_a_commit_of_before(hub: Hub) -> None:
    before = hub.models["org/model"].branches["main"]
    other = hub.add("org/model", {**FILES, "config.json": b"{ }"}, branch="feature/x")
    assert resolved(hub, revision="feature/x").manifest["commit"] == other
    assert resolved(hub, revision=before).manifest["commit"] == before
    assert hub.log[-2].path == "models/org/model/revision/feature%2Fx"


@pytest.mark.parametrize(
    ("model", "token", "kind", "said"),
    [
        ("org/gated", "", "gated", "is gated, and no token was sent: open {url}/org/gated "),
        ("org/gated", OTHER, "no_access", "has no access to the gated model org/gated: open {url}/org/gated "),
        ("org/private", "", "unknown", "There is no model org/private at {url}, or it is private"),
        ("org/none", "", "unknown", "There is no model org/none at {url}, or it is private"),
        ("org/none", OTHER, "not_found", "There is no model org/none at {url}, or the account of the token may not"),
        ("org/private", OTHER, "not_found", "There is no model org/private"),
        ("org/model", "hf_" + "x" * 34, "token", "does not know the token"),
        ("org/closed", "", "disabled", "{url}/org/closed says why"),
        ("a/b/c", "", "settings", "'a/b/c' is no id"),
    ],
)
def test_refusals_are_different_sentences_with_a_page(hub: Hub, model: str, token: str, kind: str, said: str) -> None:
    error = refusal(hub, model, token=token)
    assert error.kind == kind
    assert said.format(url=hub.url) in str(error)
    assert str(error).endswith(".")
    assert not token or token not in str(error)


def test_a_revision_that_is_missing(hub: Hub) -> None:
    error = refusal(hub, revision="v9")
    assert error.kind == "revision"
    assert str(error) == (
        f"The model org/model has no revision v9: its branches, tags and commits are listed at "
        f"{hub.url}/org/model/commits/main."
    )
    assert refusal(hub, revision="../x").kind == "settings"


def test_with_access_a_gated_model_is_one_like_others(hub: Hub) -> None:
    assert resolved(hub, "org/gated", token=READER).manifest["model"] == "org/gated"
    assert {(asked.method, asked.token) for asked in hub.log} == {("GET", True), ("HEAD", True)}


def test_too_many_requests_are_asked_again_after_as_long_as_it_says(hub: Hub) -> None:
    waits = Waits()
    hub.faults.add(busy(7), Fault("status", status=503), Fault("status", status=502))
    assert resolved(hub, waits=waits).manifest["model"] == "org/model"
    assert waits.waited == [7.0, 2.0, 4.0]


def test_a_wait_without_end_is_not_waited_for(hub: Hub) -> None:
    waits = Waits()
    hub.faults.add(busy(5000, count=-1))
    error = refusal(hub, waits=waits)
    assert (error.kind, waits.waited) == ("busy", [])
    assert "asks to wait 5000 s" in str(error)
    assert "set the_token" in str(error)


def test_a_rate_limit_says_its_time_in_another_header_too(hub: Hub) -> None:
    waits = Waits()
    hub.faults.add(Fault("status", status=429, headers={"RateLimit": '"api";r=0;t=11'}))
    resolved(hub, waits=waits)
    assert waits.waited == [11.0]


@pytest.mark.parametrize("said", ["-5", "soon", "Wed, 21 Oct 2015 07:28:00 GMT", "9" * 400, ""])
def test_a_time_to_wait_that_is_none_is_none(hub: Hub, said: str) -> None:
    waits = Waits()
    hub.faults.add(Fault("status", status=429, headers={"Retry-After": said}))
    resolved(hub, waits=waits)
    assert waits.waited == [1.0]


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (Fault("status", status=500, count=-1), "server", "answers 500: it has trouble of its own"),
        (Fault("html", count=-1), "portal", "a page of HTML"),
        (Fault("status", status=200, body="{}", count=-1), "unsound", "its answer has no sha"),
        (Fault("status", status=200, body='{"sha": "x", "siblings": [7]}', count=-1), "unsound", "not an object"),
        (Fault("status", status=200, body="[" * 9999, count=-1), "unsound", "is no hub"),
        (Fault("status", status=418, body="tea", count=-1), "refused", "answers 418"),
        (Fault("status", status=404, count=-1), "not_found", "There is no model org/model"),
        (Fault("reset", after=-1, count=-1), "unreachable.broken", "the connection broke off"),
        (Fault("cut", after=20, count=-1), "unreachable.broken", "the connection broke off"),
        (Fault("garbage", count=-1), "unreachable.broken", "no HTTP"),
        (Fault("endless", count=-1), "unreachable.size", "it sends more than 16 MiB"),
        (Fault("redirect", to="http://127.0.0.1:1/", count=-1), "unreachable.connect", "nothing can be reached there"),
        (Fault("redirect", to="/api/models/org/model", count=-1), "unsound", "redirects from one address to the next"),
        (Fault("redirect", to="file:///etc/passwd", count=-1), "unsound", "not safe to follow"),
    ],
)
def test_what_goes_wrong_is_said(hub: Hub, fault: Fault, kind: str, said: str) -> None:
    hub.faults.add(fault)
    error = refusal(hub)
    assert error.kind == kind
    assert said in str(error)
    assert str(error).isprintable()


@pytest.mark.parametrize(
    "fault", [Fault("slow", seconds=30), Fault("drip", piece=1, seconds=0.2), Fault("stall", after=5, seconds=30)]
)
def test_it_ends_in_time(hub: Hub, fault: Fault) -> None:
    hub.faults.add(dataclasses.replace(fault, count=-1))
    began = time.monotonic()
    error = refusal(hub, seconds=0.5, patience=2.0)
    assert error.kind == "unreachable.time"
    assert time.monotonic() - began < 25


def test_what_a_hub_says_cannot_be_right(hub: Hub) -> None:
    body = {"sha": "c" * 40, "siblings": [{"rfilename": "model.safetensors", "size": 1, "blobId": "../../x"}]}
    hub.faults.add(Fault("status", status=200, body=json.dumps(body)))
    assert "git_sha1" in str(refusal(hub))
    hub.faults.add(Fault("status", status=200, body=json.dumps({**body, "sha": "main"})))
    assert "commit" in str(refusal(hub))
    body["siblings"] = [{"rfilename": "model.safetensors"}]
    hub.faults.add(Fault("status", status=200, body=json.dumps(body)))
    assert "does not say how long model.safetensors" in str(refusal(hub))


def test_nothing_is_fetched_to_a_place_outside(hub: Hub) -> None:
    """What is no name of a file is none of the files that serve."""
    hub.add("org/bad", {**FILES, "../../etc/x.json": b"{}", "/abs.json": b"{}"})
    assert all(not one["path"].startswith((".", "/")) for one in resolved(hub, "org/bad").manifest["files"])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"token": "bad\r\nX: y"}, "the_token has characters"),
        ({"endpoint": "huggingface.co"}, "is no http or https address"),
        ({"endpoint": "https://me:secret@hub"}, "credentials"),
        ({"endpoint": "https://hub/"}, "no base"),
    ],
)
def test_settings_that_are_wrong(hub: Hub, changed: dict[str, t.Any], said: str) -> None:
    with pytest.raises(HubError, match=said) as caught:
        resolve.resolve(dataclasses.replace(client(hub), **changed), "org/model")
    assert "secret" not in str(caught.value)
    assert "bad" not in str(caught.value)


def test_the_token_is_in_no_text_and_goes_to_no_other_host(hub: Hub) -> None:
    asking = client(hub, token=READER)
    assert READER not in repr(asking)
    assert READER not in repr(asking.about(model="m"))
    hub.faults.add(Fault("status", status=418, headers={"X-Error-Message": f"your token {READER}"}))
    assert READER not in str(refusal(hub, token=READER))
    # A mirror's own token looks like none, and is masked too.
    hub.faults.add(Fault("status", status=418, headers={"X-Error-Message": "you sent mirrors-own-token"}))
    assert str(refusal(hub, token="mirrors-own-token")).count("***") == 1
    found = resolve.resolve(asking, "org/gated")
    facts.of(asking, found)
    told = {(asked.server, asked.token) for asked in hub.log}
    assert told == {("api", True), ("hub", True), ("cdn", False)}


def test_facts_are_config_and_headers_by_ranges(hub: Hub) -> None:
    asking = client(hub)
    found = facts.of(asking, resolve.resolve(asking, "org/model"))
    assert found["config"] == CONFIG
    assert found["weights"] == {"files": 2, "bytes": 64 * 5, "parameters": 32 * 5, "dtypes": {"BF16": 32 * 5}}
    assert found["hub"]["commit"] == hub.models["org/model"].branches["main"]
    assert (found["path"], found["revision"], found["problems"]) == (None, None, [])


def test_of_large_weights_only_the_headers_are_fetched(hub: Hub) -> None:
    entry = {"w": {"dtype": "F8_E4M3", "shape": [1024, 16 * 1024], "data_offsets": [0, 16 * MIB]}}
    raw = json.dumps(entry).encode()
    head = len(raw).to_bytes(8, "little") + raw

    class Large:
        size = len(head) + 16 * MIB

        def read(self, start: int, end: int) -> bytes:
            return head[start:end] + Made(self.size).read(max(start, len(head)), end)

    hub.add("org/large", {"config.json": b"{}", "model.safetensors": Large()})
    asking = client(hub)
    found = facts.of(asking, resolve.resolve(asking, "org/large"))
    assert found["weights"] == {
        "files": 1, "bytes": 16 * MIB, "parameters": 16 * MIB, "dtypes": {"F8_E4M3": 16 * MIB},
    }  # fmt: skip
    assert hub.sent() < MIB


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("whole", "cdn", count=-1), "does not send ranges"),
        (Fault("changed", "hub", path="config.json", after=1, skip=1), "has another hash than was announced"),
        (Fault("changed", "cdn", after=3), "header"),
        (Fault("status", "hub", path="config.json", status=404, headers={"X-Error-Code": "EntryNotFound"}), "no file"),
    ],
)
def test_facts_that_cannot_be_had(hub: Hub, fault: Fault, said: str) -> None:
    hub.faults.add(fault)
    asking = client(hub)
    with pytest.raises(HubError, match=said):
        facts.of(asking, resolve.resolve(asking, "org/model"))


def test_an_address_that_has_expired_is_asked_for_again(hub: Hub) -> None:
    hub.faults.add(Fault("status", "cdn", status=403, count=2))
    asking = client(hub)
    assert facts.of(asking, resolve.resolve(asking, "org/model"))["weights"]["files"] == 2
