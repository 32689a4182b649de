# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release needs stays, what is somebody else's stays, and what nobody needs goes."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import DockerError
from ansible_collections.gpufleet.vllm.plugins.module_utils._images.brought import Brought
from ansible_collections.gpufleet.vllm.plugins.module_utils._prune import images, needed
from ansible_collections.gpufleet.vllm.plugins.module_utils._prune.due import DAY, Due, in_words, line
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.state import Entry, Rejection, State
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import Store
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._images.daemon import Daemon, Json
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import plan

NOW = 100 * DAY
PIN = "@sha256:" + "a" * 64
OLD: Json = {"Id": "sha256:old", "Size": 3 * 2**30, "RepoTags": ["vllm/vllm-openai:v1"], "RepoDigests": []}


class Host(Daemon):
    """`rows` are its containers; what `keeps` names is not given up."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Json] = []
        self.keeps: set[str] = set()

    def all_containers(self) -> list[Json]:
        return self.rows

    def remove_image(self, name: str) -> None:
        if name in self.keeps:
            raise DockerError(409, "conflict: unable to remove")
        self.done.append(f"remove {name}")
        self.known.pop(self.names.pop(name, name), None)


def brought(*names: str, days: float = 50) -> Brought:
    return {"names": list(names), "by": "registry", "at": NOW - days * DAY}


def entry(image: str, image_id: str, digest: str = "d") -> Entry:
    found = plan(1024)
    release: t.Any = {**found["release"], "image": image}
    return Entry(digest, release, found["client"], {}, f"container-{digest}", image_id)


def states(folder: pathlib.Path, **roles: t.Any) -> needed.Needs:
    store = Store("assistant", str(folder / "state"), str(folder / "run"))
    store.save(State("assistant", **roles))
    return needed.of_host((), str(folder / "state"), str(folder / "run"), str(folder / "transient"))


def look(
    host: Host, needs: needed.Needs, records: dict[str, Brought], tried: t.Collection[str] = ()
) -> tuple[list[Due], list[str]]:
    due, stays = images.look(host, needs, images.Records(records, tried), 7, NOW)
    return due, [one.because for one in stays]


def test_what_nobody_needs_goes_by_all_its_names(tmp_path: pathlib.Path) -> None:
    host = Host()
    host.has({**OLD, "RepoDigests": [f"vllm/vllm-openai{PIN}"]}, "vllm/vllm-openai:v1")
    due, stays = look(
        host, needed.Needs(), {"sha256:old": brought("vllm/vllm-openai:v1"), "sha256:gone": brought("x:1")}
    )
    assert [(one.what, one.size, stays) for one in due] == [("vllm/vllm-openai:v1", 3 * 2**30, [])]
    assert line(due[0]) == "image vllm/vllm-openai:v1: 3.0 GiB, no release needs it" and in_words(2**19) == "0.5 MiB"
    assert images.remove(host, due[0]) == ""
    assert host.done == ["remove vllm/vllm-openai:v1", f"remove vllm/vllm-openai{PIN}"]


def test_one_without_a_name_goes_by_its_id() -> None:
    """As an archive by digest leaves it."""
    host = Host()
    host.has({**OLD, "RepoTags": ["<none>:<none>"]})
    (due,), _stays = look(host, needed.Needs(), {"sha256:old": brought(f"vllm/vllm-openai{PIN}")})
    assert (due.what, due.names) == (f"vllm/vllm-openai{PIN}", ("sha256:old",))
    host.keeps = {"sha256:old"}
    assert "Docker keeps it: conflict" in images.remove(host, due)


@pytest.mark.parametrize("role", ["current", "previous", "candidate", "held"])
def test_what_a_release_needs_stays(tmp_path: pathlib.Path, role: str) -> None:
    host = Host()
    host.has(OLD, "vllm/vllm-openai:v1")
    records = {"sha256:old": brought("vllm/vllm-openai:v1")}
    needs = states(tmp_path, **{role: entry("other:1", "sha256:old")})
    assert look(host, needs, records) == ([], []) and needs.instances == {"assistant"}
    # By its name too, where the state does not know its id.
    assert look(host, states(tmp_path, **{role: entry("vllm/vllm-openai:v1", "")}), records) == ([], [])
    assert len(look(host, states(tmp_path), records)[0]) == 1


def test_what_the_inventory_plans_stays() -> None:
    host = Host()
    host.has(OLD, "vllm/vllm-openai:v1")
    host.has({**OLD, "Id": "sha256:new", "RepoTags": []})
    records = {"sha256:old": brought("vllm/vllm-openai:v1"), "sha256:new": brought(f"vllm/vllm-openai{PIN}")}
    needs = needed.Needs(images={"vllm/vllm-openai:v1": "", f"vllm/vllm-openai{PIN}": ""})
    assert look(host, needs, records) == ([], [])


def test_that_of_a_rejected_release_goes(tmp_path: pathlib.Path) -> None:
    host = Host()
    host.has(OLD, "vllm/vllm-openai:v1")
    rejected = (Rejection("d2", "oom", "", "", "", "sha256:old"),)
    needs = states(tmp_path, current=entry("vllm/vllm-openai:v2", "sha256:new"), rejected=rejected)
    assert [one.because for one in look(host, needs, {})[0]] == ["of a rejected release"]


def test_strangers_are_left_alone() -> None:
    host = Host()
    host.has(OLD, "vllm/vllm-openai:v1")
    needs = needed.Needs(images={"vllm/vllm-openai:v9": "the inventory"})
    assert look(host, needs, {}) == ([], [])  # pulled by somebody, and never tried by us
    records = {"sha256:old": brought("vllm/vllm-openai:v1")}
    host.rows = [{"Id": "c1", "Names": ["/theirs"], "ImageID": "sha256:old"}]
    assert look(host, needs, records) == ([], ["the container theirs is made of it"])
    host.rows = []
    host.has({**OLD, "RepoTags": ["vllm/vllm-openai:v1", "their/own:1"]})
    assert look(host, needs, records) == ([], ["it is also their/own:1, which is not ours"])
    # What a release was tried with is ours where its name is.
    host.has(OLD)
    assert len(look(host, needs, {}, ["sha256:old"])[0]) == 1
    assert look(host, needed.Needs(), {}, ["sha256:old"])[1] == ["it is also vllm/vllm-openai:v1, which is not ours"]


@pytest.mark.parametrize(("days", "goes"), [(8, True), (6, False), (0, False)])
def test_what_came_lately_stays(days: float, goes: bool) -> None:
    host = Host()
    host.has(OLD, "vllm/vllm-openai:v1")
    due, stays = look(host, needed.Needs(), {"sha256:old": brought("vllm/vllm-openai:v1", days=days)})
    assert (bool(due), bool(stays)) == (goes, not goes)


def test_what_came_in_this_hour_stays_whatever_is_asked() -> None:
    """A rollout may have brought it, and not have written down yet that it needs it."""
    host = Host()
    host.has(OLD, "vllm/vllm-openai:v1")
    records = images.Records({"sha256:old": brought("vllm/vllm-openai:v1", days=0.01)}, [])
    assert images.look(host, needed.Needs(), records, 0, NOW)[0] == []


def test_where_a_state_is_not_known_nothing_goes(tmp_path: pathlib.Path) -> None:
    states(tmp_path)
    (tmp_path / "state" / "assistant" / "state.json").write_text("{")
    with pytest.raises(needed.Unsure, match="the state of assistant is not known"):
        needed.of_host((), str(tmp_path / "state"), str(tmp_path / "run"), str(tmp_path / "transient"))


def test_while_a_rollout_runs_nothing_goes(tmp_path: pathlib.Path) -> None:
    (tmp_path / "transient").mkdir()
    (tmp_path / "transient" / "gpufleet-rollout@a.service").write_text("")
    with pytest.raises(needed.Unsure, match=r"gpufleet-rollout@a\.service is running"):
        states(tmp_path)
