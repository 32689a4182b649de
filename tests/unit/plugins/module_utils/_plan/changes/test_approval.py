# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is approved of a plan: what makes another plan another one, and what does not."""

from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.changes import approval

Json = dict[str, t.Any]
COMMIT, OTHER = "c" * 40, "d" * 40
PLAN: Json = {
    "instance": "a",
    "active": True,
    "change": "restart",
    "release": {
        "api_key": {"fingerprint": "one", "path": "/key"},
        "model": {"id": "org/model", "path": None, "revision": COMMIT},
        "arguments": {"max_model_len": 4096},
        "command": ["--max-model-len", "4096", "--revision", COMMIT],
    },
    "settings": {"timeouts": {"ready": 600}, "profile": "fast"},
    "demands": {"prompt": "Say hello."},
    "client": {"base_url": "http://127.0.0.1:8000/v1"},
}


def plan(**changes: t.Any) -> t.Any:
    """The plan with other values; a name with a dot is that of a value in it."""
    found = copy.deepcopy(PLAN)
    for name, value in changes.items():
        at, *within = name.split("__")
        if not within:
            found[at] = value
            continue
        node = found[at]
        for key in within[:-1]:
            node = node[key]
        node[within[-1]] = value
    return found


def differs(before: t.Any, now: t.Any) -> list[str]:
    return approval.differences(approval.approval(before), now)


@pytest.mark.parametrize(
    "now",
    [
        plan(),
        plan(change="none"),
        plan(change="repair"),
        plan(change="create"),
        # A secret of the host that was not kept, and what the engine that runs by now has loaded.
        plan(release__api_key={"fingerprint": "two", "path": "/key"}),
        plan(settings__unloaded={"sql=/a": "b"}),
        plan(settings__profile="safe"),
        # What the model turned out to take, once its files were there.
        plan(settings__smoke={"prompt": "Say hello.", "image": "auto"}),
        plan(notes=["something"], downtime_seconds=4.0),
    ],
)
def test_what_is_done_or_learned_meanwhile_is_no_difference(now: Json) -> None:
    assert differs([plan()], [now]) == []


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (plan(release__arguments={"max_model_len": 8192}), "was approved, and release"),
        (plan(release__image="other"), "was approved, and release"),
        (plan(release__model__id="org/other"), "was approved, and release"),
        (plan(release__model__revision=OTHER), f"commit {COMMIT[:12]} of its model was approved, and {OTHER[:12]}"),
        (
            plan(release__model__revision=None),
            f"commit {COMMIT[:12]} of its model was approved, and none that is known",
        ),
        (plan(settings__timeouts={"ready": 60}), "its settings"),
        (plan(demands={"prompt": "Say nothing."}), "its settings"),
        (plan(client={"base_url": "http://192.0.2.1:8000/v1"}), "its settings"),
        (plan(active=False, change="rest"), "and that it does not serve is planned now"),
    ],
)
def test_what_would_serve_otherwise_is_told(now: Json, told: str) -> None:
    found = differs([plan()], [now])
    assert len(found) == 1 and found[0].startswith("instance a: ") and told in found[0]


def test_a_key_that_comes_or_goes_is_another_release() -> None:
    open_one = plan()
    del open_one["release"]["api_key"]
    assert "release" in differs([plan()], [open_one])[0]


@pytest.mark.parametrize("branch", [None, "main"])
def test_a_commit_that_nobody_knew_may_be_any(branch: str | None) -> None:
    """Downloaded since: the release states a commit where it had none, or a branch."""
    before = plan(release__model={"id": "org/model", "path": None, "revision": branch})
    model = {"id": "org/model", "path": None, "revision": COMMIT, **({"asked": branch} if branch else {})}
    assert differs([before], [plan(release__model=model)]) == []
    moved = {**model, "asked": "v2"}
    assert "release" in differs([before], [plan(release__model=moved)])[0]


@pytest.mark.parametrize("before", ["none", "live", "create", "repair"])
@pytest.mark.parametrize("now", approval.STOPS)
def test_what_stops_a_server_is_not_what_stops_none(before: str, now: str) -> None:
    """The same release in a new container, as where the image's tag was moved."""
    assert (
        f"{before} was approved, which stops nothing, and {now}"
        in differs([plan(change=before)], [plan(change=now)])[0]
    )


@pytest.mark.parametrize(("before", "told"), [("rest", True), ("remove", False)])
def test_what_rests_is_not_removed(before: str, told: bool) -> None:
    """A member that rests keeps its verified release; one that left its group keeps nothing."""
    ends = {**plan(active=False), "release": None}
    found = differs([{**ends, "change": before}], [{**ends, "change": "remove"}])
    assert found == (["instance a: rest was approved, which removes nothing, and remove is planned now."] * told)
    assert differs([{**ends, "change": "remove"}], [{**ends, "change": "rest"}]) == []


def test_a_name_that_no_approval_has_is_told() -> None:
    """Of an instance that only the host knows."""
    found = differs([plan()], [plan(), {**plan(instance="A\x1b[31m", active=False, change="remove"), "release": None}])
    assert found == ["instance 'A\\x1b[31m': remove is planned, and no approval has such a name."]


def test_instances_that_come_and_go_are_told_and_removed_ones_stay_removed() -> None:
    gone: Json = {**plan(instance="old", active=False, change="remove"), "release": None, "client": None}
    assert differs([plan(), gone], [plan()]) == []
    assert differs([plan()], [plan(), gone]) == [
        "instance old: remove is planned now, and it was in no plan that was approved."
    ]
    assert "is not planned any more" in differs([plan(), plan(instance="b")], [plan()])[0]


def test_an_approval_holds_names_and_digests_alone() -> None:
    found = approval.approval([plan(), plan(instance="{{ lookup('pipe', 'id') }}")])
    assert set(found) == {"a"}
    for one in found.values():
        assert all(form.fullmatch(one[part]) for part, form in approval.PARTS.items())  # type: ignore[literal-required]
    problems: list[str] = []
    assert approval.read({"gpu-1": found}, "gpu-1", problems) == found and problems == []


@pytest.mark.parametrize("blank", ["", None, {}])
def test_nothing_approved_is_nothing_to_compare(blank: t.Any) -> None:
    problems: list[str] = []
    assert (approval.read(blank, "gpu-1", problems), problems) == (None, [])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("yes", "vllm_server_approved is no mapping"),
        ({"gpu-2": {}}, "vllm_server_approved has no gpu-1: it was not planned"),
        ({"gpu-1": ""}, "vllm_server_approved has no gpu-1: it was not planned"),
        ({"gpu-1": "all"}, "vllm_server_approved.gpu-1 is no mapping"),
        ({"gpu-1": {"a": "n" * 64}}, "vllm_server_approved.gpu-1 is not what plan.yml leaves for a"),
        ({"gpu-1": {"a": {"change": "none", "release": "{{ 1 }}", "revision": "", "settings": ""}}}, "leaves for a"),
        ({"gpu-1": {"a": {"change": "none", "release": ""}}}, "leaves for a"),
    ],
)
def test_what_is_no_approval_is_refused(given: t.Any, told: str) -> None:
    problems: list[str] = []
    assert approval.read(given, "gpu-1", problems) is None
    assert len(problems) == 1 and told in problems[0]


def test_a_host_keeps_what_concerns_it_and_still_knows_that_it_is_in_none() -> None:
    made = {f"gpu-{number}": approval.approval([plan()]) for number in range(3)}
    assert approval.of_host(made, "gpu-1") == {"gpu-1": made["gpu-1"]}
    problems: list[str] = []
    assert approval.read(approval.of_host(made, "other"), "other", problems) is None
    assert "has no other" in problems[0]
    assert approval.of_host({}, "gpu-1") == {}
