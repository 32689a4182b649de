# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files besides the model: mounted, part of the digest by content, and refused where they are not what is needed."""

from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import inputs
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory import catalogue
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.canonical_json import digest
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.path_arguments import anywhere
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet

Json = dict[str, t.Any]
A, B = "a" * 64, "b" * 64
TEMPLATE, SQL = "/srv/chat.jinja", "/srv/adapters/sql"
INSIDE = "/etc/gpufleet/files"
LORA: Json = {"enable_lora": True, "lora_modules": [f"sql={SQL}"]}
CONFIG: Json = {"model_type": "llama", "num_hidden_layers": 4, "hidden_size": 64, "num_attention_heads": 4}


def file(**changes: t.Any) -> Json:
    found: Json = {"kind": "file", "bytes": 9, "digest": A, "problem": "", "names": [], "unreadable": {}}
    return {**found, **changes}


def folder(*names: str, **changes: t.Any) -> Json:
    return file(kind="folder", names=list(names), adapter=None, model=None, **changes)


def adapter(**changes: t.Any) -> Json:
    said = {"r": 16, "base_model_name_or_path": "acme/tiny", "use_dora": False, "modules_to_save": None, **changes}
    return {**folder("adapter_config.json", "adapter_model.safetensors"), "adapter": said}


def planned(args: Json, files: Json, **changes: t.Any) -> t.Any:
    given = fleet.instance(engine_args=args, **changes.pop("instance", {}))
    return fleet.outcome(instances=[given], files=files, **changes)


def one(args: Json, files: Json, **changes: t.Any) -> Json:
    outcome = planned(args, files, **changes)
    assert outcome.errors == ()
    plan: Json = outcome.plans[0]
    return plan


def test_a_file_is_kept_by_its_content_and_mounted_read_only() -> None:
    plan = one({"chat_template": TEMPLATE}, {TEMPLATE: file()})
    inside = f"{INSIDE}/chat_template/chat.jinja"
    release = plan["release"]
    assert release["arguments"]["chat_template"] == inside
    assert release["command"][release["command"].index("--chat-template") + 1] == inside
    assert f"/var/lib/gpufleet/kept_files/{A}:{inside}:ro" in release["container"]["volumes"]
    assert release["files"] == {inside: A}
    assert [argument["value"] for argument in plan["arguments"] if argument["name"] == "chat_template"] == [TEMPLATE]
    assert plan["files"][0] | {"argument": "chat_template", "path": TEMPLATE, "sha256": A} == plan["files"][0]


def test_content_is_in_the_digest_and_where_it_comes_from_is_not() -> None:
    found = [
        one({"chat_template": path}, {path: file(digest=mark)})["digest"]
        for path, mark in ((TEMPLATE, A), ("/srv/elsewhere/chat.jinja", A), ("inventory:chat.jinja", A), (TEMPLATE, B))
    ]
    assert found[0] == found[1] == found[2] != found[3]


def test_a_release_without_files_is_what_it_was() -> None:
    release = one({"chat_template": "{{ messages }}"}, {TEMPLATE: file()})["release"]
    assert "files" not in release
    assert release["container"]["volumes"] == ["/srv/models/tiny:/srv/models/tiny:ro"]


@pytest.mark.parametrize(
    "value",
    [
        f"sql={SQL}",
        [f"sql={SQL}"],
        [{"name": "sql", "path": SQL, "base_model_name": "x"}],
        [f'{{"name": "sql", "path": "{SQL}"}}'],
    ],
)
def test_adapters_are_mounted_from_where_they_lie(value: t.Any) -> None:
    release = one({"enable_lora": True, "lora_modules": value}, {SQL: adapter()})["release"]
    inside = f"{INSIDE}/lora_modules/sql/sql"
    assert f"{SQL}:{inside}:ro" in release["container"]["volumes"]
    assert inside in str(release["arguments"]["lora_modules"])
    assert SQL not in str(release["command"])


def test_names_of_people_lead_nowhere_else_inside() -> None:
    args = {"enable_lora": True, "lora_modules": [f"..={SQL}", f"a b={SQL}", f"a_b={SQL}"]}
    release = one(args, {SQL: adapter()})["release"]
    folders = [f"{INSIDE}/lora_modules/{name}" for name in ("_/sql", "a_b/sql", "a_b/sql_")]
    assert list(release["files"]) == sorted(folders)
    assert release["arguments"]["lora_modules"] == [
        f"{name}={place}" for name, place in zip(("..", "a b", "a_b"), folders, strict=True)
    ]


def test_a_drafter_by_its_path_counts() -> None:
    draft = {**folder("config.json", "model.safetensors"), "model": {"config": CONFIG, "weights": {"bytes": 5}}}
    args = {"speculative_config": {"method": "draft_model", "model": "/srv/draft", "num_speculative_tokens": 2}}
    plan = one(args, {"/srv/draft": draft})
    inside = f"{INSIDE}/speculative_config/model/draft"
    assert plan["release"]["arguments"]["speculative_config"]["model"] == inside
    assert not any("is not known here" in text for text in plan["warnings"])
    read = inputs.read(fleet.task(files={"/srv/draft": draft}), fleet.HISTORY, fleet.READINGS, [])
    drafter = catalogue.drafter(args, read.models, {})
    assert drafter is not None
    assert (drafter.weights_bytes, drafter.config) == (5, CONFIG)


def test_variables_too() -> None:
    changes: Json = {"instance": {"env": {"VLLM_TUNED_CONFIG_FOLDER": "/srv/tuned"}}}
    release = one({}, {"/srv/tuned": folder("E=8.json")}, **changes)["release"]
    assert release["env"]["VLLM_TUNED_CONFIG_FOLDER"] == f"{INSIDE}/env/VLLM_TUNED_CONFIG_FOLDER/tuned"


REFUSED: list[tuple[Json, Json, str]] = [
    ({"chat_template": TEMPLATE}, {}, "is not there on the host"),
    ({"chat_template": TEMPLATE}, {TEMPLATE: file(digest="", problem="is not there on the host")}, "Put it there"),
    ({"chat_template": TEMPLATE}, {TEMPLATE: file(digest="", problem="is empty")}, f"{TEMPLATE}, which is empty."),
    ({"chat_template": TEMPLATE}, {TEMPLATE: file(digest="../../x")}, "is not there on the host"),
    ({"chat_template": TEMPLATE}, {TEMPLATE: file(unreadable={"template": "does not compile"})}, "does not compile"),
    ({"chat_template": TEMPLATE}, {TEMPLATE: folder("a")}, "which is a folder: name the file"),
    ({"chat_template": "inventory:x"}, {}, "nobody has looked for it"),
    ({"chat_template": "inventory:x"}, {"inventory:x": file(digest="", problem="is gone")}, "which is gone"),
    ({"tokenizer": "inventory:x"}, {"inventory:x": file(source="/inv/x")}, "this argument needs a folder"),
    ({"tokenizer": "/srv/t"}, {"/srv/t": folder("README")}, "which has no file of a tokenizer"),
    ({"tokenizer": "/srv/t"}, {"/srv/t": file()}, "which is a file: name the folder"),
    ({"tokenizer": "/srv/a:b"}, {"/srv/a:b": folder("tokenizer.json")}, "with a colon"),
    ({"hf_config_path": "/srv/t"}, {"/srv/t": folder("README")}, "which has no config.json"),
    (LORA, {SQL: folder("adapter_model.safetensors")}, "which has no adapter_config.json"),
    (LORA, {SQL: {**adapter(), "names": ["adapter_config.json"]}}, "which has no adapter_model.safetensors"),
    (LORA, {SQL: adapter(r=32)}, "of rank 32, and max_lora_rank is 16: set it to 32 or more"),
    (LORA, {SQL: adapter(r="x")}, "states no rank"),
    (LORA, {SQL: adapter(use_dora=True)}, "which is a DoRA adapter"),
    (LORA, {SQL: adapter(modules_to_save=["lm_head"])}, "whole modules"),
    ({"lora_modules": [f"sql={SQL}"]}, {SQL: adapter()}, "enable_lora is not true"),
    (LORA, {}, f"lora_modules.sql is {SQL}, which is not there on the host"),
    (
        {"speculative_config": {"method": "draft_model", "model": "/srv/d", "num_speculative_tokens": 2}},
        {"/srv/d": {**folder("config.json"), "model": {"problems": ["There are no weights."]}}},
        "There are no weights.",
    ),
]


@pytest.mark.parametrize(("args", "files", "words"), REFUSED, ids=[row[2] for row in REFUSED])
def test_what_is_refused(args: Json, files: Json, words: str) -> None:
    errors = planned(args, files).errors
    assert len(errors) == 1, errors
    assert words in errors[0]
    assert errors[0].startswith("instance assistant: ")


def test_a_plugin_is_python_by_its_name() -> None:
    args, allowed = {"tool_parser_plugin": "/srv/parser.txt"}, {"allow_dangerous": ["tool_parser_plugin"]}
    errors = planned(args, {"/srv/parser.txt": file()}, instance=allowed).errors
    assert "give it a name that ends in .py" in errors[0]


def test_a_higher_rank_is_right_where_it_is_planned() -> None:
    assert planned({**LORA, "max_lora_rank": 32}, {SQL: adapter(r=32)}).errors == ()


@pytest.mark.parametrize(
    ("base", "told"), [("acme/tiny", False), ("acme/tin", False), ("acme/other", True), ("", False)]
)
def test_an_adapter_for_another_model_is_told(base: str, told: bool) -> None:
    warnings = planned(LORA, {SQL: adapter(base_model_name_or_path=base)}).warnings
    assert any("was trained for" in text for text in warnings) == told


def test_pickled_adapters_are_told() -> None:
    found = planned(LORA, {SQL: {**adapter(), "names": ["adapter_config.json", "adapter_model.bin"]}})
    assert any("can carry code" in text for text in found.warnings)


def test_a_path_of_the_image_stays_and_the_hosts_own_is_told_of() -> None:
    path = "/opt/templates/chat.jinja"
    outcome = planned({"chat_template": path}, {path: file()})
    assert outcome.plans[0]["release"]["arguments"]["chat_template"] == path
    assert any("The host has one of that name too" in text for text in outcome.warnings)
    quiet = planned({"chat_template": path}, {path: file(digest="", problem="is not there on the host")})
    assert not any("of that name too" in text for text in quiet.warnings)


def test_what_serves_with_a_file_of_its_image_is_not_started_again() -> None:
    """A build that brings its own template, on a host that has one of the same name."""
    mine: Json = {"image": "registry.example/mine:1"}
    before = one({"chat_template": TEMPLATE}, {}, **mine)
    facts = fleet.host_facts()
    current = {"digest": before["digest"], "release": before["release"], "client": before["client"]}
    current["settings"] = before["settings"]
    facts["instances"] = [{"name": "assistant", "healthy": True, "current": current, "rejected": []}]
    for fact in (file(), file(digest="", problem="is empty")):
        assert one({"chat_template": TEMPLATE}, {TEMPLATE: fact}, facts=facts, **mine)["change"] == "none"


def test_new_content_is_a_restart_that_says_so() -> None:
    before = one({"chat_template": TEMPLATE}, {TEMPLATE: file()})
    facts = fleet.host_facts()
    current = copy.deepcopy({key: before[key] for key in ("digest", "release", "client", "settings")})
    assert current["digest"] == digest(current["release"])
    facts["instances"] = [{"name": "assistant", "healthy": True, "current": current, "rejected": []}]
    assert one({"chat_template": TEMPLATE}, {TEMPLATE: file()}, facts=facts)["change"] == "none"
    after = one({"chat_template": TEMPLATE}, {TEMPLATE: file(digest=B)}, facts=facts)
    assert after["change"] == "restart"
    assert any(reason.startswith(f"files.{INSIDE}/chat_template/chat.jinja: {A}") for reason in after["reasons"])
    assert all("from_value" not in argument for argument in after["arguments"])


def test_the_plan_shows_them() -> None:
    outcome = planned({"chat_template": TEMPLATE}, {TEMPLATE: file()})
    assert f"file chat_template: {TEMPLATE} (9 bytes, sha256 {A[:12]})" in outcome.blocks[0]
    assert f"{INSIDE}/chat_template/chat.jinja: {A}" in outcome.diff[0]["after"]


def test_paths_are_found_in_every_spelling() -> None:
    layer = {
        "--chat-template": "/a",
        "lora_modules": ["x=/b", {"name": "y", "path": "/c"}, '{"name": "z", "path": "/d"}'],
        "sc": '{"model": "/e"}',
        "speculative_config.tokenizer": "inventory:f",
        "download_dir": "/not",
        "allowed-local-media-path": "/not",
        "watchdog_config": {"dump_dir": "/not"},
        "served": "a/b",
        "template": "{{ x }}/y",
    }
    assert anywhere([layer, None, 3]) == {"/a", "/b", "/c", "/d", "/e", "inventory:f"}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"width": 32}, "for layers with a width of 32, and the model's have 64: vLLM serves such an adapter where"),
        ({"layers": 5}, "for 5 layers or more, and the model has 4: name an adapter of this model"),
        (
            {"damaged": "is cut off: download it again"},
            "whose adapter_model.safetensors is cut off: download it again.",
        ),
        ({"width": 64, "layers": 4, "damaged": ""}, ""),
        ({"width": None, "layers": None}, ""),
    ],
)
def test_an_adapter_of_another_model(told: Json, words: str) -> None:
    model = "/srv/models/tiny"
    models = {model: {"config": CONFIG, "problems": [], "notes": []}}
    outcome = planned(LORA, {SQL: adapter(**told)}, models=models, instance={"model": model})
    assert [words in text for text in outcome.errors] == ([True] if words else []), outcome.errors
