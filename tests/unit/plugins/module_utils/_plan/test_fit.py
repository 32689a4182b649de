# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPU memory in the whole plan: refusals with their sums, shares, who holds memory, caps."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import memory_text, planner
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.fleet import memory_of

Json = dict[str, t.Any]
CATALOGUE = json.loads((fleet.ROLE / "files" / "models.json").read_text())
AWQ_7B, AWQ_14B = "Qwen/Qwen2.5-7B-Instruct-AWQ", "Qwen/Qwen2.5-14B-Instruct-AWQ"


def board(index: int = 0, total: int = 16311, free: int | None = None, **changes: t.Any) -> Json:
    memory = {"total": total, "reserved": 450, "free": total - 454 if free is None else free, "source": "nvml"}
    found = {"name": "board", "compute_capability": "12.0", "memory_mib": memory, "processes": []}
    return fleet.gpu(index, **{**found, **changes})


def outcome(gpus: t.Sequence[Json], *listed: Json, seen: t.Sequence[Json] = (), **changes: t.Any) -> planner.Outcome:
    facts = {**fleet.host_facts(), "gpus": list(gpus), "instances": list(seen)}
    instances = [{"name": "core", "port": 8000, "model": AWQ_7B, **given} for given in listed]
    return fleet.outcome(**{"instances": instances, "facts": facts, "catalogue": CATALOGUE, **changes})


def length(tokens: int, **arguments: t.Any) -> Json:
    return {"engine_args": {"max_model_len": tokens, "gpu_memory_utilization": 0.9, **arguments}}


def test_a_plan_carries_its_sums() -> None:
    found = outcome([board()], length(16384, max_num_seqs=8))
    memory = memory_of(found.plans[0])
    assert memory["verdict"] == "fits"
    assert memory["weights"] == {"gib": pytest.approx(5.2, abs=0.1), "source": "parameters"}
    assert memory["gpus"][0]["uuid"] == "GPU-0"
    assert any("catalogue" in text for text in memory["assumptions"])
    json.dumps(memory)


def test_compile_caches_are_cold_where_no_release_of_this_vllm_is_verified() -> None:
    """What an engine compiles lies in the instance's own folder, under a key that vLLM's code is part of."""

    def kv(seen: t.Sequence[Json] = ()) -> tuple[float, str]:
        memory = memory_of(outcome([board()], length(16384, max_num_seqs=8), seen=seen).plans[0])
        (said,) = [text for text in memory["assumptions"] if "compile caches" in text]
        return memory["gpus"][0]["kv_cache_gib"]["expected"], said

    first = outcome([board()], length(8192, max_num_seqs=8)).plans[0]
    same, other = fleet.observed(first), fleet.observed(first)
    other["current"]["release"]["version"] = "0.31.0"
    assert kv([other]) == kv() and "are empty" in kv()[1]
    assert kv([same])[0] > kv()[0] and "Warm or cold" in kv([same])[1]


def test_the_host_s_own_files_come_first() -> None:
    config = CATALOGUE["models"][AWQ_7B]["config"]
    models = {AWQ_7B: {"config": config, "weights": {"bytes": 6 * 2**30}, "problems": [], "notes": []}}
    memory = memory_of(outcome([board()], length(16384), models=models).plans[0])
    assert memory["weights"] == {"gib": 6.0, "source": "files"}
    assert not any("catalogue" in text for text in memory["assumptions"])


def test_does_not_fit_is_an_error_with_the_sums_and_what_would() -> None:
    found = outcome([board()], {"model": AWQ_14B, **length(32768)})
    assert found.plans == ()
    (error,) = found.errors
    for part in (
        "instance core does not fit: One request of 32768 tokens needs 6.00 GiB of KV cache",
        "In GiB on GPU 0: 15.5 x 0.9 = 13.9; weights 9.3",
        "At most max_model_len ",
        "No max_num_seqs makes it fit.",
        "Nearest change: max_model_len: ",
    ):
        assert part in error, error
    assert memory_of(found.drafts[0])["verdict"] == "does_not_fit"


def test_the_nearest_change_is_taken_at_its_word() -> None:
    refused = memory_of(outcome([board()], {"model": AWQ_14B, **length(32768)}).drafts[0])
    change = next(one for one in refused["changes"] if one["name"] == "max_model_len")
    again = outcome([board()], {"model": AWQ_14B, **length(change["value"])})
    assert memory_of(again.plans[0])["verdict"] == change["verdict"]


def test_tight_is_a_warning() -> None:
    found = outcome([board()], {"model": AWQ_14B, **length(16384)})
    for tokens in range(16384, 32768, 1024):
        found = outcome([board()], {"model": AWQ_14B, **length(tokens)})
        if found.plans and memory_of(found.plans[0])["verdict"] == "tight":
            break
    assert memory_of(found.plans[0])["verdict"] == "tight"
    assert any(text.startswith("instance core is tight: ") for text in found.warnings)


def test_unknown_says_what_is_not_known() -> None:
    found = outcome([board()], {"model": "somebody/something"})
    memory = memory_of(found.plans[0])
    assert memory["verdict"] == "unknown"
    assert "how large the weights are" in memory["reasons"][0]["text"]
    assert "neither on the host nor in the collection's catalogue" in memory["assumptions"][0]


def test_a_cpu_host_has_no_such_sums() -> None:
    facts = fleet.host_facts(0)
    plan = fleet.plan(host_class="cpu", facts=facts, catalogue=CATALOGUE, instances=[fleet.instance(model=AWQ_7B)])
    assert plan["memory"] is None


@pytest.mark.parametrize(
    ("shares", "says"),
    [((0.45, 0.45), ""), ((0.6, 0.5), "2 instances ask for 1.10 of GPU 0"), ((0.9, None), "1.82 of GPU 0")],
)
def test_instances_on_one_gpu(shares: t.Any, says: str) -> None:
    listed = [
        {"name": f"i{n}", "port": 8000 + n, "engine_args": {"max_model_len": 2048, "gpu_memory_utilization": share}}
        for n, share in enumerate(shares)
    ]
    found = outcome([board(total=49140)], *listed)
    assert bool(found.errors) is bool(says), found.errors
    assert all(says in error for error in found.errors)


def test_instances_that_take_turns_claim_nothing_of_each_other() -> None:
    listed = [
        {"name": f"i{n}", "port": 8000 + n, "exclusive_group": "g", "active": n == 0, **length(16384)} for n in range(3)
    ]
    assert outcome([board()], *listed).errors == ()


def test_a_hopeless_instance_is_refused_although_it_is_not_active() -> None:
    listed = {"model": AWQ_14B, "active": False, **length(32768)}
    assert "does not fit" in outcome([board()], listed).errors[0]


def test_who_holds_memory_is_named() -> None:
    held = [{"pid": 77, "name": "/usr/bin/trainer", "memory_mib": 9000}]
    found = outcome([board(free=6800, processes=held)], length(8192))
    (error,) = found.errors
    assert "held by /usr/bin/trainer (pid 77, 8.8 GiB)" in error


OURS = [{"pid": 9, "name": "VLLM::EngineCore", "memory_mib": 14200}]


def running(*listed: Json) -> list[Json]:
    return [fleet.observed(plan) for plan in outcome([board()], *listed).plans]


def test_a_running_container_gives_its_share_back() -> None:
    full = board(free=1600, processes=OURS)
    seen = running(length(8192))
    assert outcome([full], length(8192), seen=seen).plans[0]["change"] == "none"
    assert outcome([full], length(16384), seen=seen).plans[0]["change"] == "restart"
    # The same memory in other hands is not given back.
    assert (
        "holds" in outcome([full], length(16384)).errors[0]
        or "free at start" in outcome([full], length(16384)).errors[0]
    )


def test_a_stranger_s_memory_is_not_given_back() -> None:
    strangers = [{"pid": 8, "name": "trainer", "memory_mib": 9000}, {**OURS[0], "memory_mib": 5200}]
    seen = running(length(2048, gpu_memory_utilization=0.35))
    found = outcome([board(free=1600, processes=strangers)], length(8192), seen=seen)
    assert "held by trainer (pid 8" in found.errors[0]


@pytest.mark.parametrize(
    ("changes", "errors"),
    [({"active": False}, 0), ({"exclusive_group": "", "active": True}, 1)],
)
def test_the_one_before_leaves_when_instances_take_turns(changes: Json, errors: int) -> None:
    one = {"name": "one", "port": 8000, "exclusive_group": "g", **length(8192)}
    two = {"name": "two", "port": 8001, "exclusive_group": "g", "active": False, **length(8192)}
    seen = running(one)
    found = outcome([board(free=1600, processes=OURS)], {**one, **changes}, {**two, "active": True}, seen=seen)
    assert len([error for error in found.errors if "two" in error and "does not fit" in error]) <= errors
    assert bool(found.errors) is bool(errors)


def test_a_removed_instance_leaves_its_memory() -> None:
    seen = running({"name": "old", **length(8192)})
    found = outcome(
        [board(free=1600, processes=OURS)], {"name": "new", **length(8192)}, seen=seen, remove_unlisted=True
    )
    assert [plan["change"] for plan in found.plans] == ["remove", "create"]


def test_what_serves_already_is_not_refused_by_arithmetic() -> None:
    wanted = {"model": AWQ_14B, **length(32768)}
    draft = outcome([board()], wanted).drafts[0]
    found = outcome([board()], wanted, seen=[fleet.observed(draft)])
    assert found.errors == ()
    assert any("It serves all the same" in text for text in found.warnings)


def test_what_something_else_holds_comes_back_with_no_other_length() -> None:
    """Seen on an H200: "At most max_model_len 32768 fits" and "1311.2 requests at once", for want of free memory."""
    busy = outcome([board(free=6000)], length(16384))
    (error,) = busy.errors
    assert "asks for" in error
    assert "At most" not in error
    assert "No max_num_seqs" not in error
    text = "\n".join(memory_text.lines(busy.drafts[0]["memory"]))
    assert "requests of" not in text
    assert "at most" not in text
    free = "\n".join(memory_text.lines(outcome([board()], length(16384)).plans[0]["memory"]))
    assert "requests of 16384 tokens at once" in free
    assert "at most" in free


def test_what_fits_at_most_is_no_less_than_the_nearest_change() -> None:
    """A model that was stretched: its own limit is no bound for what is offered."""
    stretched = {**CATALOGUE["models"][AWQ_14B]["config"], "rope_scaling": {"rope_type": "yarn", "factor": 4.0}}
    models = {AWQ_14B: {"config": stretched, "weights": {"bytes": 9_976_721_184}, "problems": [], "notes": []}}
    found = outcome([board(total=24564)], {"model": AWQ_14B, **length(131072)}, models=models)
    memory = memory_of(found.drafts[0])
    nearest = [one["value"] for one in memory["changes"] if one["name"] == "max_model_len"]
    assert nearest
    assert memory["largest"]["max_model_len"]["expected"] >= max(nearest)


CAPPED = {"max_num_seqs": 256, "max_num_batched_tokens": 2048}
SHORT: Json = {
    "model": "openai/gpt-oss-120b",
    "engine_args": {"max_model_len": 4096, "gpu_memory_utilization": 0.7},
}


def planned(total: int, wanted: Json, seen: t.Sequence[Json] = (), **changes: t.Any) -> t.Any:
    """The only plan of a host with one Hopper card, refused or not."""
    found = outcome([board(total=total, compute_capability="9.0", **changes)], wanted, seen=seen, version="0.19.0")
    (plan,) = [*found.plans, *found.drafts]
    return plan


def test_defaults_that_nobody_set_are_capped_and_free_memory_plays_no_part() -> None:
    arguments = [planned(95830, SHORT, free=free)["release"]["arguments"] for free in (95300, 94000, 80000)]
    assert len({json.dumps(one, sort_keys=True) for one in arguments}) == 1
    assert CAPPED.items() <= arguments[0].items()


@pytest.mark.parametrize(("had", "total"), [({}, 95830), (CAPPED, 143771)])
def test_a_verified_release_keeps_its_caps_or_their_lack(had: Json, total: int) -> None:
    """The sums move with our releases, digests must not. A new server would get caps on the one, none on the other."""
    new = planned(total, SHORT)
    assert (CAPPED.items() <= new["release"]["arguments"].items()) is not bool(had)
    arguments = {name: value for name, value in new["release"]["arguments"].items() if name not in CAPPED}
    before = fleet.observed({**new, "release": {**new["release"], "arguments": {**arguments, **had}}})
    assert planned(total, SHORT, [before])["release"]["arguments"] == {**arguments, **had}
    changed = {**SHORT, "engine_args": {**SHORT["engine_args"], "max_model_len": 3072}}
    assert (CAPPED.items() <= planned(total, changed, [before])["release"]["arguments"].items()) is not bool(had)


def test_values_that_are_wrong_anyway_get_no_sums() -> None:
    found = outcome([board()], {"engine_args": {"gpu_memory_utilization": 90}})
    assert len(found.errors) == 1
    assert "a share of the GPU's memory" in found.errors[0]


def test_heads_are_a_gate() -> None:
    found = outcome([board(n) for n in range(3)], length(8192, tensor_parallel_size=3))
    assert "28 attention heads do not divide by tensor_parallel_size 3; 1, 2, 4 would." in found.errors[0]


def test_compute_capability_is_a_gate() -> None:
    turing = board(compute_capability="7.5")
    found = outcome([turing], {"model": "openai/gpt-oss-20b", "engine_args": {"max_model_len": 2048}})
    assert any("Quantization mxfp4 needs compute capability 8.0" in error for error in found.errors)
    found = outcome([turing], length(2048, dtype="bfloat16"))
    assert any("bfloat16 needs compute capability 8.0" in error for error in found.errors)


@pytest.mark.parametrize(("asked", "told"), [("rtn", False), ("auto_awq", True)])
def test_a_method_that_the_release_has_not_is_told_once(asked: str, told: bool) -> None:
    given = {**length(2048, quantization=asked), "quantization_check": "warn"}
    found = outcome([board(compute_capability="5.2")], given)
    assert any("Quantization awq needs compute capability" in error for error in found.errors) is told
    assert any("has no quantization method 'rtn'" in text for text in found.warnings) is not told


def test_mig_devices_are_judged_by_their_own_size() -> None:
    parts = [{"uuid": f"MIG-{n}", "index": n, "memory_mib": 4864} for n in range(2)]
    divided = board(mig={"mode": "enabled", "pending": "enabled", "devices": parts})
    found = outcome([divided], length(8192))
    assert "does not fit" in found.errors[0]


@pytest.mark.parametrize("more", [0, 2048, 8192, 65536])
def test_more_memory_never_turns_a_plan_into_a_refusal(more: int) -> None:
    found = outcome([board(total=16311 + more)], {"model": AWQ_14B, **length(16384)})
    assert found.errors == ()
