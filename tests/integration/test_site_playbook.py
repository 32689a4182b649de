# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook site.yml over several hosts: who goes first, who is touched after a failure, and what is rolled back."""

from __future__ import annotations

import pathlib

import pytest
import yaml

from ansible_collections.gpufleet.vllm.tests.integration.scripted_hosts import Fleet, Json, restart

GOOD: Json = {"plans": [restart()]}
CREATED: Json = {"plans": [{**restart(), "change": "create"}]}
BAD: Json = {"plans": [restart()], "outcomes": {"a": "rolled_back"}}
LOST: Json = {"plans": [restart()], "outcomes": {"a": "lost"}}
WRONG: Json = {"plans": [restart()], "errors": ["max_model_len is wrong"]}
AWAY: Json = {"plans": [restart()], "unreachable": True}
NOT_PROVED: Json = {"plans": [restart()], "not_proved": True}
UNCHANGED: Json = {"plans": [{**restart(), "change": "none"}]}
G2_FAILED = {"failure_class": "rolled_back", "cause": "g2 failed in the same run", "advice": ""}
NEW = "n" * 64
KEY = "sk-0123456789abcdef"


def rolled(*hosts: str) -> list[tuple[str, str]]:
    return [(host, "rollout") for host in hosts]


def returned(*hosts: str) -> list[tuple[str, str]]:
    return [(host, "rollback") for host in hosts]


@pytest.mark.parametrize(
    ("groups", "named"),
    [({"vllm_canary": ["g3"]}, ""), ({}, "g3"), ({"few": ["g3", "other"]}, "few"), ({"vllm_canary": ["g1"]}, "g3")],
)
def test_the_canary_goes_alone_whatever_the_order_of_names(
    tmp_path: pathlib.Path, groups: dict[str, list[str]], named: str
) -> None:
    fleet = Fleet(tmp_path, {"g1": GOOD, "g2": GOOD, "g3": GOOD}, groups)
    ended = fleet.run(vllm_server_canary=named)
    assert (ended.code, ended.kinds[0], sorted(ended.kinds)) == (0, ("g3", "rollout"), rolled("g1", "g2", "g3"))
    # It has proved itself before any other is looked at.
    assert ended.said.index("a serves.") < ended.said.index("PLAY [Serve vLLM] ")


def test_nobody_is_touched_after_a_canary_that_failed(tmp_path: pathlib.Path) -> None:
    ended = Fleet(tmp_path, {"g1": GOOD, "g2": BAD}, {"vllm_canary": ["g2"]}).run()
    assert (ended.code, ended.kinds, ended.recap("g1")) == (2, rolled("g2"), {})
    assert "PLAY [Serve vLLM] " not in ended.said
    assert "Failed, for the reason above: g2." in ended.said and "Nothing was changed on any other host." in ended.said


def test_a_canary_that_is_partly_out_of_reach_has_not_proved_itself(tmp_path: pathlib.Path) -> None:
    ended = Fleet(tmp_path, {"g1": AWAY, "g2": GOOD, "g3": GOOD}, {"vllm_canary": ["g1", "g2"]}).run()
    assert (ended.code, ended.kinds) == (2, rolled("g2"))
    assert "Of the canary, g1 did not prove itself: no other host is touched." in ended.said


def test_without_a_canary_nothing_is_said_about_one(tmp_path: pathlib.Path) -> None:
    ended = Fleet(tmp_path, {"g1": GOOD, "g2": GOOD}).run()
    assert (ended.code, sorted(ended.kinds)) == (0, rolled("g1", "g2"))
    assert "WARNING" not in ended.said and "anary (" not in ended.said


@pytest.mark.parametrize(("options", "left"), [((), True), (("--check",), False)])
def test_a_run_leaves_with_its_job_what_has_proved_itself_on_every_host_of_every_batch(
    tmp_path: pathlib.Path, options: tuple[str, ...], left: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSIBLE_CALLBACK_RESULT_FORMAT", "json")
    ended = Fleet(tmp_path, {"g1": GOOD, "g2": GOOD}).run("site", *options, vllm_server_serial=1)
    found = {"gpufleet_rollout": {host: {"a": "p" * 64} for host in ("g1", "g2")}}
    assert (ended.code, ended.left) == (0, found if left else {})


def test_a_canary_outside_of_the_limit_is_said(tmp_path: pathlib.Path) -> None:
    fleet = Fleet(tmp_path, {"g1": GOOD, "g2": GOOD, "g3": GOOD}, {"vllm_canary": ["g3"]})
    ended = fleet.run("site", "-l", "g1,g2")
    assert (ended.code, sorted(ended.kinds)) == (0, rolled("g1", "g2"))
    assert ended.said.count("The canary (g3) is outside of --limit: no host goes first.") == 1
    assert fleet.run("site", "-l", "g3").kinds == rolled("g3")


@pytest.mark.parametrize("named", ["g9", "webservers"])
def test_an_unknown_canary_is_refused_before_any_host_is_looked_at(tmp_path: pathlib.Path, named: str) -> None:
    ended = Fleet(tmp_path, {"g1": GOOD}, {"webservers": ["w1"]}).run(vllm_server_canary=named)
    assert ended.code != 0 and "TASK" not in ended.said
    assert f"vllm_server_canary is {named}, and that is neither a host of gpu_hosts nor a group with one" in ended.said


def test_a_canary_in_group_vars_is_refused_because_it_is_read_too_late(tmp_path: pathlib.Path) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "gpu_hosts.yml").write_text("vllm_server_canary: g2\n")
    ended = Fleet(tmp_path, {"g1": GOOD, "g2": GOOD}).run()
    assert (ended.code, ended.kinds) == (2, [])
    assert "put the canary into the group vllm_canary" in ended.said


@pytest.mark.parametrize("scope", ["", "host", "run"])
def test_the_first_batch_that_fails_is_the_last(tmp_path: pathlib.Path, scope: str) -> None:
    hosts = {"g1": GOOD, "g2": BAD, "g3": GOOD, "g4": GOOD}
    ended = Fleet(tmp_path, hosts).run(vllm_server_serial=1, **({"vllm_server_rollback_scope": scope} if scope else {}))
    back = returned("g1") if scope == "run" else []
    assert (ended.code, ended.kinds) == (2, rolled("g1", "g2") + back)
    assert (ended.recap("g1")["failed"], ended.recap("g2")["failed"], ended.recap("g3")) == (0, 1, {})
    if scope != "run":
        assert "Updated before by this run, and left as they are (vllm_server_rollback_scope: host): g1." in ended.said


def test_a_healthy_host_beside_one_that_fails_still_proves_itself(tmp_path: pathlib.Path) -> None:
    ended = Fleet(tmp_path, {"g1": BAD, "g2": GOOD}).run()
    assert (ended.code, ended.recap("g2")["failed"]) == (2, 0)
    assert ended.said.index("a serves.") < ended.said.index("Failed, for the reason above: g1.")


@pytest.mark.parametrize(
    ("bad", "kinds"),
    [(BAD, [*rolled("g3", "g2"), *returned("g3")]), (WRONG, [*rolled("g3"), *returned("g3")])],
    ids=["in the rollout", "in the plan"],
)
def test_what_earlier_batches_and_the_canary_got_is_rolled_back(
    tmp_path: pathlib.Path, bad: Json, kinds: list[tuple[str, str]]
) -> None:
    hosts = {"g1": UNCHANGED, "g2": bad, "g3": GOOD, "g4": GOOD}
    ended = Fleet(tmp_path, hosts, {"vllm_canary": ["g3"]}).run(vllm_server_rollback_scope="run", vllm_server_serial=2)
    assert (ended.code, ended.kinds) == (2, kinds)
    host, instance, request = ended.asked[-1]
    assert (host, instance) == ("g3", "a")
    assert request == {"kind": "rollback", "from": NEW, "container": "c-g3", "reason": G2_FAILED}
    assert "g3: Rolled back: a: verified" in ended.said


def test_each_host_goes_back_once_however_many_fail(tmp_path: pathlib.Path) -> None:
    hosts = {"g1": BAD, "g2": LOST, "g3": GOOD, "g4": NOT_PROVED, "g5": CREATED, "g6": {**GOOD, "back": "refused"}}
    ended = Fleet(tmp_path, hosts).run(vllm_server_rollback_scope="run")
    asked = [host for host, kind in ended.kinds if kind == "rollback"]
    assert (ended.code, asked) == (2, ["g3", "g4", "g6"])
    assert {
        request["reason"]["cause"] for _host, _instance, request in ended.asked if request["kind"] == "rollback"
    } == {"g1, g2, g4 failed in the same run"}
    for told in (
        "Failed, for the reason above: g1, g2, g4.",
        "What serves now: nobody can say, the host is out of reach.",
        "g3: Rolled back: a: verified",
        "g5: a: stays on release nnnnnnnnnnnn: this run has created it",
        "g6: Not rolled back: a: refused before",
        "g2 failed. g1 says what became of the others.",
    ):
        assert told in ended.said.replace("\n        reach", " reach"), told


def test_what_cannot_be_reached_on_the_rollback_is_named_and_keeps_nobody_else(tmp_path: pathlib.Path) -> None:
    hosts = {"g1": BAD, "g2": {**GOOD, "back": "unreachable"}, "g3": GOOD}
    ended = Fleet(tmp_path, hosts).run(vllm_server_rollback_scope="run")
    assert (ended.code, ended.kinds[-2:]) == (2, returned("g2", "g3"))
    assert "g2: a: not rolled back, the host is out of reach" in ended.said and "g3: Rolled back" in ended.said


def test_what_a_host_updated_before_it_failed_goes_back_too(tmp_path: pathlib.Path) -> None:
    hosts: dict[str, Json] = {
        "g1": {"plans": [restart("b"), restart("c"), restart("a")], "outcomes": {"a": "rolled_back"}},
    }
    ended = Fleet(tmp_path, hosts).run(vllm_server_rollback_scope="run")
    assert [(instance, request["kind"]) for _host, instance, request in ended.asked] == [
        ("b", "rollout"),
        ("c", "rollout"),
        ("a", "rollout"),
        ("c", "rollback"),
        ("b", "rollback"),
    ]


@pytest.mark.parametrize(("bad", "code", "kinds"), [(WRONG, 2, []), (AWAY, 4, rolled("g1"))], ids=["wrong", "away"])
def test_nothing_is_touched_beside_a_host_that_cannot_be_planned(
    tmp_path: pathlib.Path, bad: Json, code: int, kinds: list[tuple[str, str]]
) -> None:
    """A host that nobody reaches is none that has failed: nothing is known against the plan."""
    ended = Fleet(tmp_path, {"g1": GOOD, "g2": bad}).run()
    assert (ended.code, ended.kinds) == (code, kinds)


BEFORE = """
- name: A play before
  hosts: gpu_hosts
  gather_facts: false
  tasks:
    - name: A failure that is dealt with
      block:
        - name: Fail
          ansible.builtin.fail:
            msg: on purpose
          when: inventory_hostname == 'g1'
      rescue:
        - name: Rescue
          ansible.builtin.debug:
            msg: rescued
- name: Serve
  ansible.builtin.import_playbook: gpufleet.vllm.site
"""


@pytest.mark.parametrize(
    ("second", "code", "kinds"),
    [
        (GOOD, 0, rolled("g1", "g2")),
        (BAD, 2, rolled("g1", "g2") + returned("g1")),
        (WRONG, 2, []),
    ],
    ids=["good", "bad", "wrong"],
)
def test_a_failure_that_was_dealt_with_before_holds_nothing_back(
    tmp_path: pathlib.Path, second: Json, code: int, kinds: list[tuple[str, str]]
) -> None:
    """ansible-core keeps the variables of a rescue for the whole run: taken for a failure, they leave a host stale."""
    playbook = tmp_path / "before.yml"
    playbook.write_text(BEFORE)
    ended = Fleet(tmp_path, {"g1": GOOD, "g2": second}).run(str(playbook), "-f", "1", vllm_server_rollback_scope="run")
    assert (ended.code, ended.kinds) == (code, kinds)


@pytest.mark.parametrize("options", [("--check",), ("--tags", "vllm_server_preflight")])
def test_looking_touches_nothing(tmp_path: pathlib.Path, options: tuple[str, ...]) -> None:
    ended = Fleet(tmp_path, {"g1": GOOD, "g2": GOOD}, {"vllm_canary": ["g2"]}).run("site", *options)
    assert (ended.code, ended.kinds) == (0, [])


def test_a_failure_is_a_failure_with_tags_too(tmp_path: pathlib.Path) -> None:
    fleet = Fleet(tmp_path, {"g1": BAD, "g2": GOOD}, {"vllm_canary": ["g2"]})
    ended = fleet.run("site", "--tags", "vllm_server_run", vllm_server_rollback_scope="run")
    assert (ended.code, ended.kinds) == (2, rolled("g2", "g1") + returned("g2"))


def test_of_an_instance_nothing_is_masked_and_no_key_is_said(tmp_path: pathlib.Path) -> None:
    """From ansible-core 2.22 on a number that is taken for a secret is masked in the recap, too."""
    numbers = {f"argument_{number}": number for number in range(30)}
    listed = [{"name": "a", "model": "m", "port": 1, "engine_args": numbers, "api_key": KEY}]
    passed_on = {"vllm_server_unknown_arguments": "warn"}
    ended = Fleet(tmp_path, {"g1": GOOD}).run("site", "-vvv", vllm_server_instances=listed, **passed_on)
    assert (ended.code, ended.kinds, ended.recap("g1")["failed"]) == (0, rolled("g1"), 0)
    assert KEY not in ended.said and "REDACTED" not in ended.said


def test_a_scope_that_is_none_is_refused(tmp_path: pathlib.Path) -> None:
    ended = Fleet(tmp_path, {"g1": GOOD}).run(vllm_server_rollback_scope="fleet")
    assert (ended.code, ended.kinds) == (2, [])
    assert "vllm_server_rollback_scope is 'fleet': write host or run." in ended.said


def test_what_no_script_answers_is_not_done_to_the_machine_that_tests(tmp_path: pathlib.Path) -> None:
    """A new role's task that calls a module of Ansible's own."""
    task = {"name": "Touch", "ansible.builtin.file": {"path": str(tmp_path / "done"), "state": "touch", "mode": "0600"}}
    play = {"name": "Touch", "hosts": "gpu_hosts", "gather_facts": False, "tasks": [task]}
    (tmp_path / "touch.yml").write_text(yaml.safe_dump([play]))
    ended = Fleet(tmp_path, {"g1": GOOD}).run(str(tmp_path / "touch.yml"))
    assert (ended.code, (tmp_path / "done").exists()) == (2, False)
    assert "this task would run on a host, and the hosts of this test are none" in " ".join(ended.said.split())
