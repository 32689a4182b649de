# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet as one value, a table and a page: complete, escaped, and nothing unknown told as zero."""

from __future__ import annotations

import html.parser
import re
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.plugin_utils.status_page import fleet, page, summary, view
from ansible_collections.gpufleet.vllm.tests.data import example_status

Json = dict[str, t.Any]
AT = "2026-11-20T10:00:00+00:00"
HOSTILE = "</script><img src=x onerror=alert(1)>\"'"
VOID = {"meta", "input", "br"}


def gathered() -> Json:
    return fleet.gather(example_status.fleet(), AT)


def one_host(seen: Json, **more: t.Any) -> Json:
    shown = fleet.Host(**{"seen": seen, "facts": example_status.facts(), "planned": None, "limits": {}, **more})
    return fleet.host("gpu-1", shown, AT)


def test_hosts_and_what_wants_attention_are_counted() -> None:
    assert gathered()["totals"] == {
        "hosts": {"seen": 5, "silent": 1},
        "gpus": 4,
        "instances": {"serves": 3, "away": 1},
        "changes": 1,
        "slow": 1,
    }


def test_a_host_that_told_nothing_is_there() -> None:
    silent = gathered()["hosts"][4]
    assert (silent["state"], silent["because"]) == ("silent", fleet.SILENT)
    assert one_host({"msg": "Timeout."})["because"] == "Timeout."
    assert one_host({"failed": True, "msg": "Timeout.", "instances": []})["state"] == "silent"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda seen: seen.update(instances={}), "what the host showed.instances is an object, not a list"),
        (lambda seen: seen["instances"][0].update(name=7), "instances[0].name is a whole number, not a text"),
        (lambda seen: seen["window"]["gpus"][0].update(busy="hot"), "gpus[0].busy is a text, not a number"),
        (lambda seen: seen["window"]["engines"]["assistant"].update(waiting="3"), "waiting is a text, not a number"),
        (lambda seen: seen["load"]["assistant"].update(kv_cache=[]), "kv_cache is a list, not a number"),
    ],
)
def test_what_does_not_fit_costs_its_own_host(change: t.Callable[[Json], None], says: str) -> None:
    seen = example_status.status("slow")
    change(seen)
    hosts = {"gpu-1": fleet.Host(seen, {}, None, {}), "gpu-2": example_status.fleet()["gpu-2"]}
    first, second = fleet.gather(hosts, AT)["hosts"]
    assert says in first["because"] and first["state"] == "silent"
    assert second["instances"][0]["findings"]


def test_change_due_is_known_only_of_a_plan() -> None:
    seen = [entry["instances"][0] for entry in gathered()["hosts"][:3]]
    assert [one["change"] for one in seen] == ["restart", "", ""]
    assert [one["change_unknown"] for one in seen] == [
        "",
        "assistant: max_num_seqs is 0, expected 1 or more.",
        "no plan was asked for",
    ]
    unlisted = one_host(example_status.status("well"), planned={"plans": [], "errors": []})["instances"][0]
    assert unlisted["change_unknown"] == "it is not in the inventory"
    failed = one_host(example_status.status("well"), planned={"failed": True, "msg": "no GPU."})["instances"][0]
    assert failed["change_unknown"] == "no GPU."


def test_what_is_planned_and_not_there_has_a_row() -> None:
    plan = {"instance": "coder", "change": "create", "reasons": [], "release": {"model": {"id": "acme/coder"}}}
    entry = one_host(example_status.status("well"), planned={"plans": [plan]})
    absent = entry["instances"][1]
    keys = ("name", "state", "model", "change")
    assert tuple(absent[key] for key in keys) == (
        "coder",
        "absent",
        "acme/coder",
        "create",
    )


def test_bounds_of_class_and_plan() -> None:
    plan = {"instance": "assistant", "change": "none", "memory": {"largest": {"max_num_seqs": 3}}}
    planned = one_host(example_status.status("slow"), planned={"plans": [plan]})["instances"][0]["findings"][0]
    assert (planned["to"], "the planned memory has room for 3" in planned["advice"]) == (3, True)
    for limits in ({"max_num_seqs": 2}, '{"max_num_seqs": 2}'):
        held = one_host(example_status.status("slow"), limits=limits)["instances"][0]["findings"][0]
        assert (held["to"], "the class allows 2 at most" in held["advice"]) == (2, True)
    own = {**example_status.facts(), "gpufleet_host_class": {"limits": {"max_num_seqs": 1}}}
    assert one_host(example_status.status("slow"), facts=own)["instances"][0]["findings"][0]["to"] is None


def test_no_more_of_a_gpu_than_others_leave() -> None:
    seen: Json = {"instances": [], "window": {"engines": {}, "gpus": [example_status.GPU]}}
    for name, share in (("a", 0.45), ("b", 0.4), ("rests", 0.9)):
        one = example_status.status("slow", name, gpu_memory_utilization=share)
        seen["instances"] += one["instances"]
        seen["window"]["engines"][name] = {**one["window"]["engines"][name], "kv_cache": 0.97}
    seen["instances"][2]["resting"] = True
    found = [one["findings"][0] for one in one_host(seen)["instances"][:2]]
    assert [one["to"] for one in found] == [0.5, 0.45]
    seen["instances"][1]["current"]["release"]["arguments"]["gpu_memory_utilization"] = 0.5
    full = one_host(seen)["instances"][0]["findings"][0]
    assert (full["to"], "others ask for 0.5 of the same GPU" in full["advice"]) == (None, True)


PARTS = ("window.engines.assistant", "window.gpus.0", "load.assistant", "window", "instances.0.watch", "instances.0")


@pytest.mark.parametrize("where", PARTS)
def test_an_older_program_may_leave_anything_out(where: str) -> None:
    def part(seen: t.Any) -> t.Any:
        for step in where.split("."):
            seen = seen[int(step)] if step.isdecimal() else seen[step]
        return seen

    for name in part(example_status.status("slow")):
        seen = example_status.status("slow")
        del part(seen)[name]
        text = summary.summary({**gathered(), "hosts": [one_host(seen)]})
        assert "gpu-1" in text


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"gpufleet": "x"}, "what is known of the host.gpufleet is a text, not an object"),
        ({"gpufleet": {"gpus": [None]}}, "gpus[0] is null, not an object"),
        ({"gpufleet": {"gpus": [{"uuid": []}]}}, "gpus[0].uuid is a list, not a text"),
        ({"gpufleet": {"gpus": [{"problems": "x"}]}}, "problems is a text, not a list"),
        ({"gpufleet_host_class": {"limits": [1]}}, "limits is a list, not an object"),
    ],
)
def test_facts_that_do_not_fit_cost_their_own_host(facts: Json, says: str) -> None:
    entry = one_host(example_status.status("well"), facts=facts)
    assert entry["state"] == "silent" and says in entry["because"]


@pytest.mark.parametrize("where", ["name", "cause", "msg"])
def test_no_host_writes_a_line_of_another(where: str) -> None:
    forged = "x\ngpu-9  coder  serves\r\tand"
    seen = example_status.status("away")
    if where == "name":
        seen["instances"][0]["name"] = forged
    elif where == "cause":
        seen["instances"][0]["rejected"][0]["failure_class"] = forged
    else:
        seen = {"msg": forged}
    lines = summary.summary(fleet.gather({"gpu-1": fleet.Host(seen, {}, None, {})}, AT)).splitlines()
    assert not [line for line in lines if line.startswith("gpu-9")]
    assert "\t" not in "".join(lines)


def test_gpus_of_others_are_not_counted() -> None:
    seen = example_status.status("well")
    seen["window"]["gpus"].append({**example_status.GPU, "uuid": "GPU-other", "busy": 0.1})
    (one,) = one_host(seen)["instances"]
    assert (one["gpu"]["busy"], one["numbers"]["gpu_busy"]) == (0.87, 0.87)
    seen["instances"][0]["current"]["release"]["gpus"]["uuids"].append("MIG-7")
    (part,) = one_host(seen)["instances"]
    assert (part["gpu"]["busy"], part["numbers"]["gpu_busy"]) == (None, None)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0, "less than a minute"),
        (60, "1 min"),
        (3700, "1 h 1 min"),
        (273600, "3 d 4 h"),
        (86460, "1 d 1 min"),
    ],
)
def test_ages(seconds: float | None, text: str) -> None:
    assert view.age(seconds) == text


@pytest.mark.parametrize("when", ["yesterday", "2026-11-20T09:00:00", "2027-01-01T00:00:00Z"])
def test_a_time_that_says_nothing_is_no_age(when: str) -> None:
    seen = example_status.status("well")
    seen["instances"][0]["current"]["verified_at"] = when
    age = one_host(seen)["instances"][0]["age_seconds"]
    assert age == 0.0 if when.startswith("2027") else age is None


def test_what_nobody_knows_is_a_question_mark() -> None:
    row = view.page(gathered())["rows"][3]
    assert [row[name] for name in ("kv_cache", "running", "waiting", "first_token", "change_text")] == ["?"] * 5
    assert row["not_judged"] == "/metrics answered 404"


def test_a_first_token_since_the_start_says_so() -> None:
    seen = example_status.status("well")
    seen["window"]["engines"]["assistant"]["first_token"] = None
    seen["load"]["assistant"]["first_token"] = 0.7
    row = view.page({**gathered(), "hosts": [one_host(seen)]})["rows"][0]
    assert (row["first_token"], row["first_token_since"]) == ("0.70 s", "since it started")


def test_the_table_and_what_is_slow() -> None:
    lines = summary.summary(gathered()).splitlines()
    assert lines[0] == "1 host told nothing. 1 instance does not serve. 1 instance is slow, with a cause."
    assert [line.split()[0] for line in lines[1:8]] == ["host", *(f"gpu-{number}" for number in range(1, 7))]
    assert re.search(r"10 d 4 h? *|3 d 4 h", lines[2])
    assert "10.2 of 12.0 GiB  87%  151 W  64 C  50%        4        0       0.20 s" in lines[2]
    assert "oom: CUDA out of memory: 2.1 GiB" in lines[4] and "Restarted 1 time" in lines[4]
    assert lines[8].startswith("gpu-2, assistant: Requests queue (places). All 1 places")
    assert "Try max_num_seqs: 2, now 1; the class allows 2 at most." in lines[8]


def test_rules_that_cannot_be_judged_are_said() -> None:
    seen = example_status.status("slow")
    del seen["instances"][0]["current"]["release"]["arguments"]["max_num_seqs"]
    text = summary.summary({**gathered(), "hosts": [one_host(seen)]})
    assert "gpu-1, assistant: nobody can say of places: taken is not known; step_budget: taken is not known." in text


@pytest.mark.parametrize(
    ("kinds", "says"),
    [([], "No instance is there."), (["well"], "Everything serves."), (["slow"], "1 instance is slow, with a cause.")],
)
def test_the_headline(kinds: list[str], says: str) -> None:
    hosts = {f"gpu-{kind}": fleet.Host(example_status.status(kind), {}, None, {}) for kind in kinds}
    assert view.page(fleet.gather(hosts, AT))["headline"] == [says]


class Balance(html.parser.HTMLParser):
    """Whether every element that opens closes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [str(value) for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_asks_for_nothing() -> None:
    text = page.render(gathered())
    parser = Balance()
    parser.feed(text)
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(parser.ids)
    assert re.findall(r"(?:src|href|action|poster|data)\s*=\s*[\"'](?!#)", text) == []
    assert re.findall(r"url\(|@import|<link|<img|<iframe|fetch\(|XMLHttpRequest|https?://", text) == []
    assert "default-src 'none'" in text
    assert page.render(gathered()) == text


@pytest.mark.parametrize("where", ["name", "unhealthy_because", "cause", "event", "argument", "model"])
def test_what_a_host_says_is_text(where: str) -> None:
    seen = example_status.status("away")
    (one,) = seen["instances"]
    if where == "cause":
        one["rejected"][0]["cause"] = HOSTILE
    elif where == "event":
        one["watch"]["events"][0]["what"] = HOSTILE
    elif where == "argument":
        one["current"]["release"]["arguments"][HOSTILE] = HOSTILE
    elif where == "model":
        one["current"]["release"]["model"]["id"] = HOSTILE
    else:
        one[where] = HOSTILE
    text = page.render({**gathered(), "hosts": [one_host(seen)]})
    assert HOSTILE not in text and "<img" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text
