# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.bench import plan_cases
from ansible_collections.gpufleet.vllm.tests.bench.plan_judging import Answer, BadCaseError, Verdict, judge

Json = dict[str, t.Any]
FITS = Answer(verdicts=(Verdict("fits", kv_gib=10.0, tokens=1000),))
TIGHT = Answer(verdicts=(Verdict("tight", ("Little is left.",), 10.0, 1000),))
UNKNOWN = Answer(verdicts=(Verdict("unknown", ("Not known: the weights.",)),))
SILENT = Answer(verdicts=(Verdict("unknown"),))
NO_SUMS = Answer(verdicts=(Verdict(None),))
TOO_BIG = Answer(verdicts=(Verdict("does_not_fit", ("Too big.",), -1.0, 0),))
REFUSED = Answer(errors=("No such argument: task.",), verdicts=(Verdict("fits", kv_gib=10.0, tokens=1000),))
WARNED = Answer(verdicts=(Verdict("tight", kv_gib=1.0),), warnings=("Its CUDA graphs may not find room.",))
NOTED = Answer(verdicts=(Verdict("fits"),), notes=("It answers as an embedding server.",))
FIRST_OF_TWO = Answer(verdicts=(Verdict("tight", ("Little is left.",)), Verdict("fits")))
SECOND_OF_TWO = Answer(verdicts=(Verdict("fits"), Verdict("does_not_fit", ("Too big.",))))


def expected(starts: bool, **changes: t.Any) -> Json:
    return {"starts": starts, "kv_gib": None, "tokens": None, "within": 0.15, "names": [], **changes}


@pytest.mark.parametrize(
    ("answer", "changes", "word"),
    [
        # Nothing refuses it, and no number is known.
        (FITS, {}, "right"),
        (TIGHT, {}, "right"),
        (UNKNOWN, {}, "right"),
        (FIRST_OF_TWO, {}, "right"),
        # Tokens decide where both are known, at the very edge too.
        (FITS, {"tokens": 1000}, "right"),
        (FITS, {"tokens": 1176}, "right"),
        (FITS, {"tokens": 870, "kv_gib": 99.0}, "right"),
        (FITS, {"tokens": 1200, "kv_gib": 10.0}, "vague"),
        (FITS, {"tokens": 1200, "kv_gib": 10.0, "within": 0.2}, "right"),
        # GiB decide where tokens are null or the plan gives none.
        (FITS, {"kv_gib": 11.0}, "right"),
        (FITS, {"kv_gib": 5.0}, "vague"),
        (WARNED, {"tokens": 1000, "kv_gib": 1.1}, "right"),
        (WARNED, {"tokens": 1000, "kv_gib": 2.0}, "vague"),
        # A number that is missing.
        (WARNED, {"tokens": 1000}, "vague"),
        (UNKNOWN, {"kv_gib": 5.0}, "vague"),
        # Unknown without a reason, and no verdict at all.
        (SILENT, {}, "vague"),
        (NO_SUMS, {}, "vague"),
        # What should be said may stand in a note too.
        (NOTED, {"says": ["POOL", "embed"]}, "right"),
        (FITS, {"says": ["pool", "embed"]}, "vague"),
        # Refused: by an error, by a verdict, for one instance of two.
        (REFUSED, {}, "wrong"),
        (TOO_BIG, {}, "wrong"),
        (SECOND_OF_TWO, {}, "wrong"),
        # An error that the reporter had met is none, another one is.
        (REFUSED, {"ignore": ["argument: TASK"]}, "right"),
        (REFUSED, {"ignore": ["argument: other"]}, "wrong"),
    ],
)
def test_what_starts(answer: Answer, changes: Json, word: str) -> None:
    found, why = judge(expected(True, **changes), answer)
    assert found == word
    assert bool(why) == (word != "right")


@pytest.mark.parametrize(
    ("answer", "names", "word"),
    [
        # Refused or tight, and named: in an error, a reason, a warning.
        (REFUSED, [r"\btask\b"], "right"),
        (TOO_BIG, ["too big"], "right"),
        (TIGHT, ["nothing", "LITTLE is"], "right"),
        (WARNED, ["cuda graphs?"], "right"),
        (FIRST_OF_TWO, ["little"], "right"),
        (SECOND_OF_TWO, ["too big"], "right"),
        # Refused or tight, and not named; a note is no place for it.
        (REFUSED, ["memory"], "vague"),
        (TOO_BIG, ["memory"], "vague"),
        (TIGHT, ["memory"], "vague"),
        (TIGHT, [], "vague"),
        (Answer(verdicts=(Verdict("tight"),), notes=("memory",)), ["memory"], "vague"),
        # One text at a time: a pattern never spans two.
        (Answer(errors=("first", "second")), ["first.*second"], "vague"),
        # Neither refused nor tight.
        (FITS, [".*"], "wrong"),
        (UNKNOWN, ["Not known"], "wrong"),
        (NO_SUMS, [".*"], "wrong"),
        (Answer(), [".*"], "wrong"),
        (Answer(verdicts=(Verdict("fits"),), warnings=("memory",)), ["memory"], "wrong"),
    ],
)
def test_what_does_not_start(answer: Answer, names: list[str], word: str) -> None:
    found, why = judge(expected(False, names=names), answer)
    assert found == word
    assert bool(why) == (word != "right")


def test_an_error_that_is_ignored_refuses_nothing() -> None:
    assert judge(expected(False, names=["task"], ignore=["task"]), REFUSED)[0] == "wrong"


@pytest.mark.parametrize("wrong", [{"starts": None}, {"starts": True, "name": ["x"]}, {}])
def test_a_rule_that_cannot_be_read_is_refused(wrong: Json) -> None:
    with pytest.raises(BadCaseError):
        judge(wrong, FITS)


def case(**changes: t.Any) -> Json:
    gpu = {
        "uuid": "GPU-0",
        "index": 0,
        "name": "NVIDIA RTX A6000",
        "compute_capability": "8.6",
        "memory_mib": {"total": 49140, "reserved": 633, "free": 48503, "source": "nvml"},
        "mig": {"mode": "disabled", "pending": "disabled", "devices": []},
        "processes": [],
        "problems": [],
    }
    config = {
        "architectures": ["LlamaForCausalLM"],
        "num_hidden_layers": 4,
        "hidden_size": 256,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "intermediate_size": 512,
        "vocab_size": 1000,
        "max_position_embeddings": 4096,
    }
    model = {"config": config, "weights_bytes": 10_000_000}
    given = {"instances": [{"model": "some/model"}], "gpus": [gpu], "models": {"some/model": model}}
    return {"id": "T1", "vllm_version": "0.32.0", **given, "expected": expected(True), **changes}


def test_a_case_is_planned_as_a_host_would_be() -> None:
    found = plan_cases.judged(case())
    assert (found["judged"], found["verdicts"], found["kind"], found["errors"]) == ("right", ["fits"], "other", [])
    assert found["kv_gib"] > 40
    assert found["tokens"] > 1_000_000


def test_what_a_case_states_reaches_the_planner() -> None:
    arguments = {"engine_args": {"trust-remote-code": True, "no-such-thing": 1}}
    found = plan_cases.judged(case(instances=[{"model": "some/model", **arguments}]))
    assert "no_such_thing" in found["errors"][0]
    allowed = {"settings": {"unknown_arguments": "warn", "allow_trust_remote_code": True}, "image": "mine:1"}
    assert "mine:1" in json.dumps(plan_cases.task(case(options=allowed)))
    missing = {"some/model": {"config": None, "weights_bytes": None, "problems": ["It is not there."]}}
    assert plan_cases.judged(case(models=missing))["errors"] == ["instance case0: It is not there."]


def test_what_a_switch_lets_through_is_still_what_the_planner_says() -> None:
    instance = {"model": "some/model", "memory_check": "warn", "engine_args": {"gpu_memory_utilization": 0.0001}}
    assert plan_cases.judged(case(instances=[instance]))["judged"] == "wrong"


def test_totals_are_by_word_and_kind_and_leave_out_what_is_not_judged() -> None:
    refused = case(id="T2", kind="names", instances=[{"model": "some/model", "engine_args": {"tasks": "x"}}])
    found = [plan_cases.judged(one) for one in (case(), refused, case(id="T3", expected=None))]
    totals = plan_cases.totals(found)
    assert totals == {
        "cases": 3,
        "judged": 2,
        "not_judged": ["T3"],
        "right": 1,
        "vague": 0,
        "wrong": 1,
        "refused_that_start": ["T2"],
        "kinds": {
            "names": {"right": 0, "vague": 0, "wrong": 1},
            "other": {"right": 1, "vague": 0, "wrong": 0},
        },
    }


def test_a_file_that_is_none_is_refused_by_line(tmp_path: pathlib.Path) -> None:
    rows = tmp_path / "cases.jsonl"
    rows.write_text(json.dumps(case()) + "\n\n")
    assert [one["id"] for one in plan_cases.load(rows)] == ["T1"]
    for text, problem in (("{", "line 1 is no JSON"), ("[]", "line 1 has no id"), ('{"id": 1}', "no vllm_version")):
        rows.write_text(text)
        with pytest.raises(BadCaseError, match=problem):
            plan_cases.load(rows)
