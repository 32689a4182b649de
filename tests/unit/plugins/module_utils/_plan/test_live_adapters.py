# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adapters below the folder of an instance: loaded while it runs, no part of its release."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._model.files import MISSING
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.live_adapters import FOLDER, VARIABLE
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.test_files import A, B, adapter

Json = dict[str, t.Any]
FILES: Json = {
    "/srv/adapters/sql": adapter(),
    "/srv/adapters/law": adapter(),
    "/elsewhere/old": adapter(),
}


def given(*modules: t.Any, **changes: t.Any) -> Json:
    args = {"enable_lora": True, "lora_modules": list(modules) or None, **changes.pop("args", {})}
    own = {"live_adapters": "/srv/adapters/", "allow_dangerous": [VARIABLE], **changes}
    return fleet.instance(engine_args=args, **own)


def planned(
    *modules: t.Any, files: Json | None = None, serves: t.Any = None, version: str = "0.32.0", **changes: t.Any
) -> t.Any:
    facts = fleet.host_facts()
    facts["instances"] = [fleet.observed(serves)] if serves else []
    found = {**FILES, **(files or {})}
    return fleet.outcome(instances=[given(*modules, **changes)], files=found, facts=facts, version=version)


def one(*modules: t.Any, **changes: t.Any) -> t.Any:
    outcome = planned(*modules, **changes)
    assert outcome.errors == ()
    return outcome.plans[0]


def test_the_release_has_the_folder_and_none_of_them() -> None:
    plan = one("sql=/srv/adapters/sql")
    release = plan["release"]
    assert "lora_modules" not in release["arguments"] and "--lora-modules" not in release["command"]
    assert f"/srv/adapters:{FOLDER}:ro" in release["container"]["volumes"]
    assert release["env"][VARIABLE] == "1"
    assert "files" not in release
    assert plan["settings"]["adapters"] == {"sql": {"path": f"{FOLDER}/sql", "sha256": A}}
    assert (plan["files"][0]["path"], plan["files"][0]["live"]) == ("/srv/adapters/sql", True)
    assert [argument["value"] for argument in plan["arguments"] if argument["name"] == "lora_modules"] == [
        ["sql=/srv/adapters/sql"]
    ]


@pytest.mark.parametrize(
    ("modules", "reason"),
    [
        (["sql=/srv/adapters/sql", "law=/srv/adapters/law"], "adapters.law: unset -> "),
        (["law=/srv/adapters/law"], "adapters.sql: /etc/gpufleet/files/live_adapters/sql (aaaaaaaaaaaa) -> unset"),
        ([], "adapters.sql: "),
    ],
)
def test_a_change_of_them_alone_is_live(modules: list[str], reason: str) -> None:
    before = one("sql=/srv/adapters/sql")
    plan = one(*modules, serves=before)
    assert (plan["change"], plan["digest"], plan["downtime_seconds"]) == ("live", before["digest"], 0.0)
    assert any(text.startswith(reason) for text in plan["reasons"])


def test_nothing_changes_where_nothing_does() -> None:
    assert one("sql=/srv/adapters/sql", serves=one("sql=/srv/adapters/sql"))["change"] == "none"


def test_what_the_engine_has_lost_is_live() -> None:
    before = one("sql=/srv/adapters/sql")
    facts = fleet.host_facts()
    facts["instances"] = [fleet.observed(before, adapters_differ=["adapter sql is not loaded"])]
    plan = fleet.outcome(instances=[given("sql=/srv/adapters/sql")], files=FILES, facts=facts).plans[0]
    assert (plan["change"], plan["reasons"]) == ("live", ["adapter sql is not loaded"])


def test_to_begin_with_it_restarts() -> None:
    plain = fleet.instance(engine_args={"enable_lora": True, "lora_modules": ["sql=/srv/adapters/sql"]})
    before = fleet.outcome(instances=[plain], files=FILES).plans[0]
    plan = one("sql=/srv/adapters/sql", serves=before)
    assert plan["change"] == "restart"
    assert f"env.{VARIABLE}: unset -> 1" in plan["reasons"]


def test_others_are_in_the_release_and_it_is_said() -> None:
    modules: list[t.Any] = ["sql=/srv/adapters/sql", "old=/elsewhere/old"]
    modules.append({"name": "law", "path": "/srv/adapters/law", "base_model_name": "x"})
    plan = one(*modules)
    assert list(plan["settings"]["adapters"]) == ["sql"]
    assert str(plan["release"]["arguments"]["lora_modules"][0]).startswith("old=")
    assert any("old and law of lora_modules: not below /srv/adapters" in text for text in plan["notes"])
    assert one(modules[0], serves=plan)["change"] == "restart"


REFUSED: list[tuple[Json, str]] = [
    ({"allow_dangerous": []}, f"{VARIABLE} is '1' (from live_adapters), which nobody has allowed"),
    ({"env": {VARIABLE: "0"}}, "leave the variable out"),
    ({"args": {"enable_lora": False}}, "live_adapters is stated, and enable_lora is not true"),
    ({"args": {"api_server_count": 2}}, "and api_server_count is 2: vLLM starts that many servers"),
    ({"args": {"data_parallel_size": 2}}, "and data_parallel_size is 2"),
    ({"args": {"default_mm_loras": {"sql": "/elsewhere/old"}}}, "vLLM calls one of default_mm_loras so"),
    ({"args": {"lora_modules": [{"name": "s\x1b[2J", "path": "/srv/adapters/sql"}]}}, "has the name 's\\x1b[2J'"),
    (
        {"env": {"VLLM_LORA_RESOLVER_CACHE_DIR": "/srv/adapters"}},
        "env has VLLM_LORA_RESOLVER_CACHE_DIR, by which requests load adapters that nobody has planned",
    ),
    ({"live_adapters": "srv/adapters"}, "live_adapters is 'srv/adapters': write the folder"),
    ({"live_adapters": "/srv/../etc"}, "live_adapters is '/srv/../etc'"),
    ({"live_adapters": "/a:b"}, "live_adapters is '/a:b'"),
    ({"live_adapters": "//srv/adapters"}, "live_adapters is '//srv/adapters': write the folder"),
    ({"live_adapters": "/"}, "live_adapters is '/': write the folder"),
    *(
        ({"live_adapters": folder}, f"live_adapters is '{folder}', and its server would have what is in {kept}")
        for folder, kept in [
            ("/var", "/var/run"),
            ("/var/lib", "/var/lib/containerd"),
            ("/var/lib/gpufleet/", "/var/lib/gpufleet"),
            ("/etc", "/etc"),
            ("/run/docker", "/run"),
        ]
    ),
]


@pytest.mark.parametrize(("changes", "says"), REFUSED)
def test_refused(changes: Json, says: str) -> None:
    assert says in "\n".join(planned("sql=/srv/adapters/sql", **changes).errors)


@pytest.mark.parametrize(
    "path", ["/srv/adapters/../secret", "/srv/adapters/./sql", "/srv/adapters//sql", "/srv/adapters/"]
)
def test_what_is_not_plainly_below_the_folder_is_started_with(path: str) -> None:
    plan = one(f"sql={path}", files={path: adapter()})
    assert plan["settings"]["adapters"] == {}
    assert any("sql of lora_modules: not below" in text for text in plan["notes"])


@pytest.mark.parametrize("folder", ["/srv/models/tiny/adapters", "/opt/adapters"])
def test_the_folder_may_lie_where_the_container_has_something_anyway(folder: str) -> None:
    """Its model, or what images have too."""
    path = f"{folder}/sql"
    plan = one(f"sql={path}", files={path: adapter()}, live_adapters=folder)
    assert plan["settings"]["adapters"] == {"sql": {"path": f"{FOLDER}/sql", "sha256": A}}
    assert "taken as a file of the image's" not in "\n".join(plan["warnings"])
    gone = {path: {"problem": MISSING}}
    assert f"lora_modules.sql is {path}" in "\n".join(planned(f"sql={path}", files=gone, live_adapters=folder).errors)


def test_one_server_is_enough_for_several_engines() -> None:
    one("sql=/srv/adapters/sql", args={"data_parallel_size": 2, "api_server_count": 1})


def test_one_that_is_not_there_is_refused_as_ever() -> None:
    outcome = planned("sql=/srv/adapters/gone")
    assert "lora_modules.sql is /srv/adapters/gone" in "\n".join(outcome.errors)
    wide = planned("sql=/srv/adapters/sql", files={"/srv/adapters/sql": adapter(r=64)})
    assert "of rank 64, and max_lora_rank is 16" in "\n".join(wide.errors)


def test_a_name_is_one_content_while_an_engine_runs() -> None:
    """Its prefix cache goes by the name: also where the adapter was gone meanwhile."""
    other = {"/srv/adapters/sql": {**adapter(), "digest": B}}
    before = one("sql=/srv/adapters/sql")
    says = "lora_modules.sql has another content than the adapter that the running engine had under this name"
    assert says in "\n".join(planned("sql=/srv/adapters/sql", files=other, serves=before).errors)
    gone = one(serves=before)
    assert gone["settings"]["unloaded"] == {f"sql={FOLDER}/sql": A}
    assert says in "\n".join(planned("sql=/srv/adapters/sql", files=other, serves=gone).errors)
    assert one("sql=/srv/adapters/sql", serves=gone)["change"] == "live"


def test_what_serves_in_the_place_of_a_release_has_had_its_adapters_too() -> None:
    before = one("sql=/srv/adapters/sql")
    step = {**before, "digest": "f" * 64}
    facts = fleet.host_facts()
    facts["instances"] = [fleet.observed(step)]
    facts["instances"][0]["current"]["fallback_of"] = before["digest"]
    other = {**FILES, "/srv/adapters/sql": {**adapter(), "digest": B}}
    outcome = fleet.outcome(instances=[given("sql=/srv/adapters/sql")], files=other, facts=facts)
    assert "lora_modules.sql has another content" in "\n".join(outcome.errors)


def test_a_name_whose_content_nobody_knows_is_not_taken() -> None:
    before = one()
    before["settings"]["unloaded"] = {f"sql={FOLDER}/sql": ""}
    says = "lora_modules.sql may have another content than the adapter that the running engine had"
    assert says in "\n".join(planned("sql=/srv/adapters/sql", serves=before).errors)


@pytest.mark.parametrize("damaged", [None, "x", {"path": 5, "sha256": A}, {"path": "/x"}])
def test_what_a_host_keeps_may_be_damaged(damaged: t.Any) -> None:
    before = one("sql=/srv/adapters/sql")
    before["settings"].update(adapters={"sql": damaged}, unloaded={"law=x": 5})
    plan = one("sql=/srv/adapters/sql", serves=before)
    assert (plan["change"], "unloaded" in plan["settings"]) == ("live", False)


def test_another_folder_is_another_adapter_from_the_release_on_that_tells_them_apart() -> None:
    files = {"/srv/adapters/new": {**adapter(), "digest": B}}
    # _gen_lora_extra_hash_keys in v1/core/kv_cache_utils.py: the name alone up to 0.30.0.
    for version, errors in (("0.32.0", 0), ("0.31.0", 0), ("0.30.0", 1)):
        before = one("sql=/srv/adapters/sql", version=version)
        outcome = planned("sql=/srv/adapters/new", files=files, serves=before, version=version)
        assert len(outcome.errors) == errors
    moved = one("sql=/srv/adapters/new", files=files, serves=one("sql=/srv/adapters/sql"))
    assert moved["change"] == "live"
    other = {"/srv/adapters/sql": {**adapter(), "digest": "c" * 64}}
    assert planned("sql=/srv/adapters/sql", files=other, serves=moved).errors


def test_without_that_cache_or_with_a_restart_it_may_be_another() -> None:
    other = {"/srv/adapters/sql": {**adapter(), "digest": B}}
    off = {"args": {"enable_prefix_caching": False}}
    before = one("sql=/srv/adapters/sql", **off)
    assert one("sql=/srv/adapters/sql", files=other, serves=before, **off)["change"] == "live"
    assert one("sql=/srv/adapters/sql", files=other, serves=before)["change"] == "restart"
