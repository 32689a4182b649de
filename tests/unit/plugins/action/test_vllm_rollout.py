# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action on the control node: order of the changes, bringing the program, following, and what a user is told."""

from __future__ import annotations

import json
import types
import typing as t

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError

from ansible_collections.gpufleet.vllm.plugins.action import vllm_rollout as action

Json = dict[str, t.Any]
NOTHING: t.Any = None


def plan(instance: str, change: str) -> Json:
    return {
        "instance": instance,
        "change": change,
        "digest": "d",
        "release": {},
        "client": {},
        "settings": {},
        "rungs": [],
        "warnings": ["x"],
    }


def ended(outcome: str, detail: str = "The end.", **facts: t.Any) -> Json:
    return {"instance": "a", "elapsed": 9.0, "stage": "commit", "detail": detail, "outcome": outcome, "facts": facts}


def reached(stage: str) -> Json:
    return {"instance": "a", "elapsed": 1.0, "stage": stage, "detail": "going"}


def news(*lines: Json, active: bool = False, offset: int = 0) -> Json:
    return {"rc": 0, "stdout": json.dumps({"lines": lines, "offset": offset, "active": active}), "stderr": ""}


class Wire:
    """The host as the action sees it: answers of the module and of `follow`, in order."""

    def __init__(self, follow: t.Sequence[Json | Exception] = (), program_there: bool = True) -> None:
        self.follow = list(follow)
        self.program_there = program_there
        self.refusal = ""
        self.out_of_reach = ""
        self.module_calls: list[Json] = []
        self.commands: list[str] = []
        self.brought: list[str] = []
        self.shown: list[str] = []
        self.paused = 0.0
        self.piped: list[bool] = []
        self.pipes = True
        self.order: list[str] = []

    def execute_module(self, name: str, module_args: Json, task_vars: Json) -> Json:
        if module_args["instance"] == self.out_of_reach:
            raise AnsibleConnectionFailure("gone")
        self.module_calls.append({"module": name, **module_args})
        self.order.append(f"start {module_args['instance']}")
        if not self.program_there and "program_source" not in module_args:
            return {"changed": False, "program_needed": True}
        if self.refusal:
            return {"failed": True, "msg": self.refusal}
        return {"changed": True, "offset": 17}

    def execute_command(self, command: str) -> Json:
        self.commands.append(command)
        self.order.append(f"follow {command.split()[2]}")
        answer = self.follow.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def started(self) -> list[tuple[str, str]]:
        return [(call["instance"], call["request"]["kind"]) for call in self.module_calls]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., Json]:
    def carry_out(wire: Wire, *, check: bool = False, no_log: bool = False, **args: t.Any) -> Json:
        task = types.SimpleNamespace(
            args=args,
            check_mode=check,
            no_log=no_log,
            async_val=0,
            diff=False,
            action=action.MODULE,
            environment=None,
            delegate_to=None,
        )
        shell = types.SimpleNamespace(tmpdir="/tmp/task", join_path=lambda *parts: "/".join(parts))
        parts: Json = {
            "task": task,
            "connection": types.SimpleNamespace(
                _shell=shell, has_pipelining=wire.pipes, is_pipelining_enabled=lambda _wrap_async: False
            ),
            "play_context": types.SimpleNamespace(remote_addr="gpu1", check_mode=check),
        }
        plugin = action.ActionModule(**parts, loader=NOTHING, templar=NOTHING, shared_loader_obj=NOTHING)

        def execute_module(name: str, module_args: Json, task_vars: Json) -> Json:
            wire.piped.append(plugin._is_pipelining_enabled("new"))
            return wire.execute_module(name, module_args, task_vars)

        monkeypatch.setattr(plugin, "_execute_module", execute_module)
        monkeypatch.setattr(plugin, "_low_level_execute_command", wire.execute_command)
        monkeypatch.setattr(plugin, "_transfer_file", lambda _source, target: wire.brought.append(target))
        monkeypatch.setattr(plugin, "_remove_tmp_path", lambda _path: None)
        monkeypatch.setattr(plugin, "_display", types.SimpleNamespace(display=wire.shown.append))
        clock = types.SimpleNamespace(monotonic=lambda: wire.paused, sleep=pause(wire))
        monkeypatch.setattr(action, "time", clock)
        result: Json = plugin.run(None, {"inventory_hostname": "gpu1"})
        return result

    return carry_out


def pause(wire: Wire) -> t.Callable[[float], None]:
    def sleep(seconds: float) -> None:
        wire.paused += seconds

    return sleep


def good(instances: int) -> list[Json | Exception]:
    return [answer for _at in range(instances) for answer in (news(ended("verified")), news())]


def test_what_gives_ports_and_gpus_back_comes_first(run: t.Callable[..., Json]) -> None:
    wire = Wire(good(6))
    plans = [plan(change[0] + "1", change) for change in ("create", "restart", "none", "repair", "live", "remove")]
    result = run(wire, plans=plans, rollback=["b1"])
    assert wire.started == [
        ("r1", "remove"),
        ("l1", "live"),
        ("r1", "repair"),
        ("r1", "rollout"),
        ("c1", "rollout"),
        ("b1", "rollback"),
    ]
    assert (result["changed"], result.get("failed", False), len(result["results"])) == (True, False, 6)
    request = wire.module_calls[4]["request"]
    assert request == {
        "kind": "rollout",
        "retry": False,
        "plan": {"digest": "d", "release": {}, "client": {}, "settings": {}, "rungs": []},
    }


@pytest.mark.parametrize("plans", [[], [plan("a", "none")]])
def test_nothing_due_touches_nothing(run: t.Callable[..., Json], plans: list[Json]) -> None:
    wire = Wire()
    result = run(wire, plans=plans)
    assert (result["changed"], result["results"], wire.module_calls, wire.commands) == (False, [], [], [])


@pytest.mark.parametrize(("change", "changed"), [("restart", True), ("none", False)])
def test_check_mode_says_whether_and_touches_nothing(run: t.Callable[..., Json], change: str, changed: bool) -> None:
    wire = Wire()
    result = run(wire, check=True, plans=[plan("a", change)])
    assert (result["changed"], wire.module_calls, wire.commands) == (changed, [], [])


@pytest.mark.parametrize(("outcome", "changed"), [("refused", False), ("restored", True), ("failed", True)])
def test_the_first_that_fails_stops_the_rest(run: t.Callable[..., Json], outcome: str, changed: bool) -> None:
    failure = {"failure_class": "oom", "cause": "CUDA out of memory", "advice": "Less."}
    wire = Wire([news(ended(outcome, "It was not to be.", failure=failure)), news()])
    result = run(wire, plans=[plan("a", "restart"), plan("b", "create"), plan("c", "create")])
    assert wire.started == [("a", "rollout")]
    assert (result["failed"], result["changed"]) == (True, changed)
    assert result["msg"] == "It was not to be. Not tried after that: b, c."
    assert result["results"] == [{"instance": "a", "outcome": outcome, "failure": failure}]


def test_what_was_updated_is_told_with_the_digest_that_serves(run: t.Callable[..., Json]) -> None:
    """Nothing is different from before where the release served already, or was repaired."""
    changes = ("restart", "restart", "repair", "live", "create", "remove")
    plans = [plan(f"{change[0]}{at}", change) for at, change in enumerate(changes)]
    outcomes = {"remove": "removed", "live": "live", "repair": "repaired"}
    ordered = ("remove", "live", "repair", "restart", "restart", "create")
    digests: tuple[Json, ...] = ({}, {}, {}, {}, {"serves": "n1", "container": "c1"}, {"serves": "n2"})
    lines = [ended(outcomes.get(change, "verified"), **facts) for change, facts in zip(ordered, digests, strict=True)]
    result = run(Wire([answer for line in lines for answer in (news(line), news())]), plans=plans)
    assert result["updated"] == [
        {"instance": "r5", "change": "remove", "serves": "", "container": ""},
        {"instance": "l3", "change": "live", "serves": "", "container": ""},
        {"instance": "r1", "change": "restart", "serves": "n1", "container": "c1"},
        {"instance": "c4", "change": "create", "serves": "n2", "container": ""},
    ]


GPU2_FAILED = {"failure_class": "rolled_back", "cause": "gpu2 failed in the same run", "advice": ""}
UPDATED = [
    {"instance": "x", "change": "remove", "serves": ""},
    {"instance": "l", "change": "live", "serves": ""},
    {"instance": "a", "change": "restart", "serves": "a" * 64, "container": "id-a"},
    {"instance": "c", "change": "create", "serves": "c" * 64},
    {"instance": "b", "change": "restart", "serves": "b" * 64, "container": "id-b"},
]


def test_what_was_updated_goes_back_last_first_from_the_digest_that_it_led_to(run: t.Callable[..., Json]) -> None:
    wire = Wire(
        [news(ended("verified", "b: release p is verified.")), news(), news(ended("refused", "a: no.")), news()]
    )
    result = run(wire, take_back=UPDATED, because="gpu2 failed in the same run")
    assert [call["request"] for call in wire.module_calls] == [
        {"kind": "rollback", "from": name * 64, "container": f"id-{name}", "reason": GPU2_FAILED} for name in ("b", "a")
    ]
    assert wire.started == [("b", "rollback"), ("a", "rollback")]
    assert (result["failed"], result["changed"], result["updated"]) == (True, True, [])
    assert result["msg"] == (
        "Taken back: b: release p is verified. "
        "c: stays on release cccccccccccc: this run has created it, and there is none before it. "
        "Not taken back: a: no. "
        "l: keeps what clients are told: the engine was not touched. "
        "x: stays removed."
    )


def test_nothing_goes_back_in_check_mode(run: t.Callable[..., Json]) -> None:
    wire = Wire()
    assert run(wire, check=True, take_back=UPDATED)["changed"] is True
    assert wire.module_calls == []


def test_one_that_cannot_be_reached_is_named_and_keeps_no_other(run: t.Callable[..., Json]) -> None:
    wire = Wire(good(1))
    wire.out_of_reach = "b"
    result = run(wire, take_back=UPDATED[2:])
    assert wire.started == [("a", "rollback")]
    assert result["failed"] and "b: not taken back, the host is out of reach (gone)." in result["msg"]
    assert result["msg"].endswith("Taken back: The end.")


def test_one_after_another_where_instances_share_a_gpu(run: t.Callable[..., Json]) -> None:
    """The second is started when the first has ended, not before."""
    wire = Wire([news(reached("ready"), active=True), news(ended("verified")), news(), *good(1)])
    run(wire, plans=[plan("a", "restart"), plan("b", "restart")])
    assert wire.order == ["start a", "follow a", "follow a", "follow a", "start b", "follow b", "follow b"]


LADDER = ["low", "middle", "high"]
TOLD: Json = {"failure_class": "oom", "cause": "CUDA out of memory", "advice": "Less."}
OF_THE_MOMENT: Json = {"failure_class": "docker.away", "cause": "no daemon", "advice": ""}


def climb(stands_on: str, *profiles: str, ends: Json | None = None, instance: str = "a") -> Json:
    plans = [{**plan(instance, "restart"), "profile": profile} for profile in profiles]
    return {"instance": instance, "ladder": LADDER, "stands_on": stands_on, "plans": plans, "ends": ends}


def test_a_climb_goes_to_the_top_one_rung_after_another(run: t.Callable[..., Json]) -> None:
    result = run(Wire(good(2)), climbs=[climb("low", "middle", "high")])
    assert (result.get("failed", False), result["changed"]) == (False, True)
    assert result["climbed"] == [{"instance": "a", "profile": "high", "ladder": LADDER, "why": ""}]
    assert result["msg"] == ["a: stands on high, rung 3 of 3."]


@pytest.mark.parametrize("outcome", ["restored", "refused"])
def test_a_rung_that_does_not_hold_ends_the_climb_and_is_no_failure(run: t.Callable[..., Json], outcome: str) -> None:
    bad = [news(ended(outcome, "a: CUDA out of memory.", failure=TOLD)), news()]
    wire = Wire([*good(1), *bad, *good(1)])
    result = run(wire, climbs=[climb("low", "middle", "high"), climb("middle", "high", instance="b")])
    assert wire.started == [("a", "rollout"), ("a", "rollout"), ("b", "rollout")]
    assert result.get("failed", False) is False
    assert [(one["instance"], one["profile"]) for one in result["climbed"]] == [("a", "middle"), ("b", "high")]
    assert result["msg"][0] == "a: stands on middle, rung 2 of 3. high does not hold: a: CUDA out of memory."


@pytest.mark.parametrize(
    ("stands_on", "outcome", "failure"),
    [
        ("", "restored", TOLD),
        ("low", "failed", TOLD),
        ("low", "restored", OF_THE_MOMENT),
        ("low", "refused", OF_THE_MOMENT),
    ],
    ids=["the rung it begins at", "nothing is sure to serve", "taken back by chance", "refused by chance"],
)
def test_a_climb_fails_where_no_rung_was_judged(
    run: t.Callable[..., Json], stands_on: str, outcome: str, failure: Json
) -> None:
    wire = Wire([news(ended(outcome, "It broke.", failure=failure)), news()])
    result = run(wire, climbs=[climb(stands_on, "middle", "high")])
    assert (result["failed"], result["msg"], result["climbed"]) == (True, "It broke.", [])
    assert wire.started == [("a", "rollout")]


def test_a_climb_that_does_not_start_or_gets_lost_fails(run: t.Callable[..., Json]) -> None:
    wire = Wire()
    wire.refusal = "another rollout is running"
    assert run(wire, climbs=[climb("low", "middle")])["failed"]
    assert run(Wire([AnsibleConnectionFailure("gone")] * 1000), climbs=[climb("low", "middle")])["failed"]


def test_a_rung_that_was_not_planned_is_told_and_touches_nothing(run: t.Callable[..., Json]) -> None:
    wire = Wire()
    ends = {"profile": "high", "because": "exactly this release was tried before."}
    result = run(wire, climbs=[climb("middle", ends=ends)])
    assert (result["changed"], wire.module_calls) == (False, [])
    assert result["msg"] == [
        "a: stands on middle, rung 2 of 3. high was not tried: exactly this release was tried before."
    ]


@pytest.mark.parametrize(("profiles", "changed"), [(("high",), True), ((), False)])
def test_a_climb_in_check_mode_touches_nothing(
    run: t.Callable[..., Json], profiles: tuple[str, ...], changed: bool
) -> None:
    wire = Wire()
    result = run(wire, check=True, climbs=[climb("middle", *profiles)])
    assert (result["changed"], wire.module_calls) == (changed, [])


def test_a_failure_after_a_change_is_still_a_change(run: t.Callable[..., Json]) -> None:
    wire = Wire([news(ended("verified")), news(), news(ended("refused", "No.")), news()])
    result = run(wire, plans=[plan("a", "restart"), plan("b", "create")])
    assert (result["failed"], result["changed"], result["msg"]) == (True, True, "No.")


@pytest.mark.parametrize(("retry", "asked"), [(True, True), ("false", False), ("yes", True), (None, False)])
def test_retry_is_a_boolean_however_it_is_written(run: t.Callable[..., Json], retry: t.Any, asked: bool) -> None:
    wire = Wire(good(1))
    run(wire, plans=[plan("a", "restart")], **({} if retry is None else {"retry": retry}))
    assert wire.module_calls[0]["request"]["retry"] is asked


@pytest.mark.parametrize("args", [{"plan": []}, {"plans": "a"}, {"retry": "perhaps"}])
def test_arguments_that_are_none_of_its_own_are_refused(run: t.Callable[..., Json], args: Json) -> None:
    wire = Wire()
    with pytest.raises(AnsibleError):
        run(wire, **args)
    assert wire.module_calls == []


def test_the_program_is_brought_where_it_is_needed(run: t.Callable[..., Json]) -> None:
    wire = Wire(good(1), program_there=False)
    run(wire, plans=[plan("a", "create")])
    assert wire.brought == ["/tmp/task/gpufleet-host"]
    first, second = wire.module_calls
    assert second == {**first, "program_source": "/tmp/task/gpufleet-host"}
    assert len(first["program_digest"]) == 64
    there = Wire(good(1))
    run(there, plans=[plan("a", "create")])
    assert there.brought == []


def test_a_rollout_that_does_not_start_is_said(run: t.Callable[..., Json]) -> None:
    wire = Wire()
    wire.refusal = "another rollout is running (gpufleet-rollout@a.service), at stage ready"
    result = run(wire, plans=[plan("a", "restart"), plan("b", "restart")])
    assert (result["failed"], result["changed"], len(result["results"])) == (True, False, 1)
    assert result["msg"].startswith("a: another rollout is running")
    assert result["msg"].endswith("Not tried after that: b.")


def test_stages_are_shown_as_they_are_reached_from_where_the_rollout_began(run: t.Callable[..., Json]) -> None:
    wire = Wire(
        [
            news(reached("start"), active=True, offset=40),
            news(active=True, offset=40),
            news(reached("ready"), ended("verified", "Verified.", serves="d"), active=True, offset=90),
            news(offset=90),
        ]
    )
    result = run(wire, plans=[plan("a", "restart")])
    assert [command.split(" --wait")[0].rsplit(" ", 1)[1] for command in wire.commands] == ["17", "40", "40", "90"]
    assert wire.shown == [
        "[gpu1] a     1.0 s  start       going",
        "[gpu1] a     1.0 s  ready       going",
        "[gpu1] a     9.0 s  commit      Verified.",
    ]
    assert result["results"] == [{"instance": "a", "outcome": "verified", "serves": "d"}]


def test_what_the_smoke_test_warns_of_is_a_warning_of_the_task(run: t.Callable[..., Json]) -> None:
    wire = Wire([news(ended("verified", "Verified.", serves="d", warnings=["slow"]), offset=90), news(offset=90)])
    result = run(wire, plans=[plan("a", "restart")])
    assert (result["warnings"], result["results"][0]["warnings"]) == (["a: slow"], ["slow"])


def test_no_log_shows_nothing(run: t.Callable[..., Json]) -> None:
    wire = Wire([news(reached("start"), ended("verified")), news()])
    run(wire, no_log=True, plans=[plan("a", "restart")])
    assert wire.shown == []


def test_the_last_outcome_counts(run: t.Callable[..., Json]) -> None:
    wire = Wire(
        [news(ended("restored", "An earlier one was taken back.")), news(ended("verified", "Verified.")), news()]
    )
    assert run(wire, plans=[plan("a", "restart")])["results"][0]["outcome"] == "verified"


def test_a_rollout_that_ends_without_a_word_has_failed(run: t.Callable[..., Json]) -> None:
    result = run(Wire([news(reached("start"), active=True), news()]), plans=[plan("a", "restart")])
    assert result["failed"] and "journalctl -u gpufleet-rollout@a.service" in result["msg"]


def test_a_lost_line_is_taken_up_again(run: t.Callable[..., Json]) -> None:
    lost = AnsibleConnectionFailure("gone")
    wire = Wire(
        [news(reached("start"), active=True, offset=40), lost, lost, news(ended("verified"), offset=90), news()]
    )
    assert run(wire, plans=[plan("a", "restart")])["results"][0]["outcome"] == "verified"
    assert wire.commands[1] == wire.commands[2] == wire.commands[3]
    assert "the host is out of reach and goes on by itself" in wire.shown[1]


def test_a_line_that_stays_lost_fails_and_says_that_the_host_goes_on(run: t.Callable[..., Json]) -> None:
    """Failed, not unreachable: a rescue runs for one and not for the other."""
    wire = Wire([AnsibleConnectionFailure("gone")] * 1000)
    result = run(wire, plans=[plan("a", "restart"), plan("b", "restart")])
    assert (result["failed"], result["results"][0]["outcome"], result["updated"]) == (True, "lost", [])
    assert result["msg"].startswith(
        "a: the host has been out of reach for 600 s. It finishes the rollout or takes it back"
    )
    assert result["msg"].endswith("Not tried after that: b.")
    assert action.LOST_LIMIT < wire.paused <= action.LOST_LIMIT + 2 * action.LOST_PAUSE


def test_a_program_that_cannot_follow_is_said(run: t.Callable[..., Json]) -> None:
    wire = Wire([{"rc": 126, "stdout": "", "stderr": "permission denied\n"}])
    with pytest.raises(AnsibleActionFail, match="following the rollout failed: permission denied"):
        run(wire, plans=[plan("a", "restart")])


@pytest.mark.parametrize(
    ("started", "why"),
    [
        ({"msg": "the state folder cannot be written", "exception": object()}, "the state folder cannot be written"),
        ({"msg": "it broke", "exception": "Traceback:\n  x\nOSError: full\n"}, "it broke (OSError: full)"),
        ({"msg": "it broke", "exception": object(), "module_stderr": "sh: python3: not found\n"},
         "it broke (sh: python3: not found)"),
        ({}, "the rollout did not start"),
    ],
    ids=["told", "a traceback", "no Python", "nothing"],
)  # fmt: skip
def test_why_the_module_did_not_start_it(started: Json, why: str) -> None:
    assert action._why(started) == why


def test_a_fallback_is_green_and_warned_of(run: t.Callable[..., Json]) -> None:
    wire = Wire([news(ended("fallback", "a: release b serves in its place."), offset=9), news(offset=9)])
    result = run(wire, plans=[plan("a", "restart")])
    assert (result["changed"], result.get("failed", False)) == (True, False)
    assert result["warnings"] == ["a: release b serves in its place."]


def test_a_release_that_was_stopped_fails_the_run(run: t.Callable[..., Json]) -> None:
    wire = Wire([news(ended("stopped", "a: nothing serves."), offset=9), news(offset=9)])
    result = run(wire, plans=[plan("a", "restart"), plan("b", "restart")])
    assert (result["failed"], result["msg"]) == (True, "a: nothing serves. Not tried after that: b.")


KEY = "sk-0123456789abcdef"
LISTED = [{"name": "a", "api_key": KEY}, {"name": "b"}]


def test_a_key_goes_with_its_instance_over_standard_input(run: t.Callable[..., Json]) -> None:
    wire = Wire(good(2), program_there=False)
    result = run(wire, plans=[plan("a", "restart"), plan("b", "create")], instances=LISTED)
    assert [call.get("api_key") for call in wire.module_calls] == [[KEY], [KEY], None, None]
    assert wire.piped == [True, True, False, False]
    assert KEY not in json.dumps([call["request"] for call in wire.module_calls])
    assert KEY not in json.dumps(result) + repr(wire.shown) + repr(wire.commands)


def test_a_key_is_not_sent_where_it_would_need_a_temporary_file(run: t.Callable[..., Json]) -> None:
    wire = Wire()
    wire.pipes = False
    with pytest.raises(AnsibleActionFail, match="has no pipelining") as refused:
        run(wire, plans=[plan("a", "restart")], instances=LISTED)
    assert KEY not in str(refused.value)
    assert wire.module_calls == []


@pytest.mark.parametrize("listed", [KEY, [KEY]])
def test_instances_that_are_none_are_refused_and_not_shown(run: t.Callable[..., Json], listed: t.Any) -> None:
    with pytest.raises(AnsibleError) as refused:
        run(Wire(), plans=[], instances=listed)
    assert KEY not in str(refused.value)
