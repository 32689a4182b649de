# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What opens something is refused unless it is allowed by its name, whatever way it came."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm import openings, schema
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.openings import ARGUMENTS, NAMES, TRUST, VARIABLES
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.fleet import release_of

MODEL = "acme/tiny"
# A value that opens something, where a made-up text is none.
VALUES: dict[str, t.Any] = {
    "compilation_config.backend": "mine.Backend",
    "compilation_config.inductor_passes": {"mine": "mine.pass"},
    "load_format": "pt",
    "log_config_file": "examples/log.json",
    "model_class_overrides": {"LlamaForCausalLM": "mine:Llama"},
    "reasoning_parser_plugin": "examples/ours.py",
    "root_path": "/v",
    "spec_method": "custom_class",
    "spec_model": "mine.Proposer",
    "speculative_config.method": "custom_class",
    "speculative_config.model": "mine.Proposer",
    "tool_parser_plugin": "examples/ours.py",
    "weight_transfer_config": {"backend": "nccl"},
}
BENEATH = ("HF_", "LD_", "PYTHON", "NCCL_", "TORCH", "TRITON_", "CUDA_", "NVIDIA_", "OPENSSL_", "FLASHINFER_")
OTHERS = ("PATH", "BASH_ENV", "CC", "CXX", "GCONV_PATH", "XDG_CACHE_HOME")


def value_of(row: openings.Opening) -> t.Any:
    return VALUES.get(row.name, True if row.switch else "some.thing")


def newest_with(argument: str) -> str:
    """The newest release that has the argument."""
    known: list[str] = sorted(fleet.HISTORY["versions"], key=schema.version_key, reverse=True)
    return next(version for version in known if argument in fleet.schema_of(version).arguments)


def instance_with(row: openings.Opening, **changes: t.Any) -> fleet.Json:
    value = value_of(row)
    if row in VARIABLES:
        return fleet.instance(env={row.name: "1" if value is True else value}, **changes)
    head, _dot, key = row.name.partition(".")
    return fleet.instance(engine_args={head: {key: value} if key else value}, **changes)


def planned(row: openings.Opening, **changes: t.Any) -> t.Any:
    settings = changes.pop("settings", {})
    version = "0.33.0" if row in VARIABLES else newest_with(row.name.partition(".")[0])
    instances = [instance_with(row, **changes)]
    models = {"/srv/models/tiny": {"config": {"auto_map": {"AutoModel": "mine.Model"}}, "problems": [], "notes": []}}
    return fleet.outcome(instances=instances, version=version, models=models, settings=settings)


ROWS = pytest.mark.parametrize("row", [*ARGUMENTS, *VARIABLES], ids=lambda row: row.name)


@ROWS
def test_each_is_refused_with_what_it_opens_and_what_to_add(row: openings.Opening) -> None:
    found = planned(row, allow_dangerous=sorted(NAMES - {row.name}))
    assert found.plans == ()
    if row.name == TRUST:
        (error,) = found.errors
        assert "brings its own Python code and nobody has allowed it" in error
        assert f"allow_dangerous: [{TRUST}]" in error
        return
    (error,) = [text for text in found.errors if text.startswith(f"instance assistant: {row.name} is ")]
    value = value_of(row)
    assert str(value if isinstance(value, str) else "") in error
    assert f"nobody has allowed: it {row.opens}." in error
    assert f"allow_dangerous: [{row.name}] at the instance, or vllm_server_allow_dangerous: [{row.name}] for" in error


@ROWS
def test_each_is_planned_where_its_name_allows_it(row: openings.Opening) -> None:
    found = planned(row, allow_dangerous=[row.name])
    assert not [text for text in found.errors if "allowed" in text]
    notes = next(iter([*found.plans, *found.drafts]))["notes"]
    assert any(note.startswith(f"Allowed by its name: {row.name} is ") for note in notes)


@pytest.mark.parametrize("value", [None, False, ""])
def test_an_argument_that_states_nothing_opens_nothing(value: t.Any) -> None:
    given: fleet.Json = {}
    for row in ARGUMENTS:
        head, _dot, key = row.name.partition(".")
        given[head] = {**given.get(head, {}), key: value} if key else value
    assert_nothing_is_refused({"engine_args": given})


@pytest.mark.parametrize("value", ["0", "false", "False", ""])
def test_a_variable_that_is_off_opens_nothing(value: str) -> None:
    rows = [row for row in VARIABLES if row.switch or not value]
    assert_nothing_is_refused({"env": {row.name: value for row in rows}})


def assert_nothing_is_refused(one: fleet.Json) -> None:
    """Unknown names count, too: not every release has every argument."""
    found = fleet.outcome(instances=[fleet.instance(**one)], version="0.33.0", unknown_arguments="warn")
    assert not [text for text in found.errors if "nobody has allowed" in text]


@pytest.mark.parametrize("row", ARGUMENTS, ids=lambda row: row.name)
def test_each_argument_is_one_of_a_release(row: openings.Opening) -> None:
    assert row.name.partition(".")[0] in fleet.HISTORY["arguments"]


@pytest.mark.parametrize("row", VARIABLES, ids=lambda row: row.name)
def test_each_variable_is_one_of_a_release_or_of_what_the_engine_stands_on(row: openings.Opening) -> None:
    known = row.name in fleet.HISTORY["environment"]
    assert known or row.name in OTHERS or row.name.startswith(BENEATH)


def test_no_name_is_there_twice_and_each_says_something() -> None:
    rows = [*ARGUMENTS, *VARIABLES]
    assert len(NAMES) == len(rows)
    assert all(row.opens and row.opens[0].islower() and not row.opens.endswith(".") and row.source for row in rows)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("distributed_executor_backend", "mp"),
        ("worker_cls", "auto"),
        ("load_format", "safetensors"),
        ("root_path", "/llm"),
        ("root_path", "/llm/"),
        ("root_path", "/vllm/chat"),
        ("master_addr", "127.0.0.1"),
        ("speculative_config", {"method": "ngram", "num_speculative_tokens": 3}),
        ("speculative_config", {"model": "acme/draft.v2", "num_speculative_tokens": 3}),
        ("compilation_config", {"backend": "inductor", "mode": 3}),
        ("kv_transfer_config", {"kv_connector": "OffloadingConnector", "kv_role": "kv_both"}),
        ("kv_events_config", {"enable_kv_cache_events": False}),
    ],
)
def test_what_opens_nothing_is_planned(name: str, value: t.Any) -> None:
    assert fleet.plan(instances=[fleet.instance(engine_args={name: value})])["change"] == "create"


@pytest.mark.parametrize("path", ["/", "/v", "/v1", "/v1/ch", "/infer", "/coh", "v1"])
def test_a_root_path_that_takes_the_key_off_a_path(path: str) -> None:
    (error,) = fleet.outcome(instances=[fleet.instance(engine_args={"root_path": path})]).errors
    assert f"root_path is {path!r}, which nobody has allowed" in error


@pytest.mark.parametrize(
    ("engine_args", "name"),
    [
        ({"middlewar": "mine.Audit"}, "middlewar (middleware)"),
        ({"--middleware": ["mine.Audit"]}, "middleware"),
        ({"kv_transfer_config.kv-connector-module-path": "mine"}, "kv_transfer_config.kv_connector_module_path"),
        ({"kv_transfer_conf.kv_connector": "X"}, "kv_transfer_conf.kv_connector (kv_transfer_config.kv_connector)"),
        ({"kv_transfer_config": '{"kv_connector_module_path": "mine"}'}, "kv_transfer_config.kv_connector_module_path"),
        (
            {"kv_transfer_config": {"kv_connector": "OffloadingConnector", "x": {"tiers": [{"module_path": "mine"}]}}},
            "kv_transfer_config.module_path",
        ),
        ({"kv_transfer_config": {"x": '[{"kv_connector": "NixlConnector"}]'}}, "kv_transfer_config.kv_connector"),
        ({"trust_remote_cod": True}, "trust_remote_code is left out"),
    ],
)
def test_other_ways_to_write_it(engine_args: t.Any, name: str) -> None:
    """Unknown names are passed on here, and vLLM's parser takes abbreviations and points."""
    found = fleet.outcome(instances=[fleet.instance(engine_args=engine_args)], unknown_arguments="warn")
    assert any(name in text for text in (*found.errors, *found.warnings))
    assert not found.plans or "--trust-remote-cod" not in release_of(found.plans[0])["command"]


@pytest.mark.parametrize("layer", ["class", "profile x", "environment", "target", "settings.env"])
def test_it_counts_from_every_layer(layer: str) -> None:
    bad: fleet.Json = {"middleware": ["mine.Audit"]}
    changes: dict[str, fleet.Json] = {
        "class": {"class_engine_args": bad},
        "profile x": {"instances": [fleet.instance(profile="x")], "profiles": {"x": {"engine_args": bad}}},
        "environment": {"environment_engine_args": bad},
        "target": {"target": {"profile": "x"}, "profiles": {"x": {"engine_args": bad}}},
        "settings.env": {"settings": {"env": {"LD_PRELOAD": "/x.so"}}},
    }
    found = fleet.outcome(**changes[layer])
    (error,) = found.errors
    says = "LD_PRELOAD is '/x.so'" if layer == "settings.env" else f"middleware is 'mine.Audit' (from {layer}"
    assert says in error


def test_a_higher_layer_unsets_it() -> None:
    plan = fleet.plan(
        instances=[fleet.instance(engine_args={"middleware": None})], class_engine_args={"middleware": ["mine.Audit"]}
    )
    assert "--middleware" not in plan["release"]["command"]


def test_a_profile_of_a_promotion_is_no_way_around() -> None:
    profiles = {"safe": {"engine_args": {}}, "x": {"engine_args": {"middleware": ["mine.Audit"]}}}
    one = fleet.instance(promotion=["x", "safe"])
    (error,) = fleet.outcome(instances=[one], profiles=profiles).errors
    assert "middleware is 'mine.Audit' (from profile x)" in error
    step = {"helps": ["oom"], "engine_args": {"middleware": ["mine.Audit"]}}
    (error,) = fleet.outcome(instances=[fleet.instance(on_failure="fallback", fallback=[step])]).errors
    assert "it changes middleware" in error


def test_what_serves_stays_and_is_the_same_once_it_is_allowed() -> None:
    allowed = fleet.instance(engine_args={"middleware": ["mine.Audit"]}, allow_dangerous=["middleware"])
    facts = fleet.facts_with(fleet.observed(fleet.plan(instances=[allowed])))
    bare = {key: value for key, value in allowed.items() if key != "allow_dangerous"}
    assert fleet.outcome(instances=[bare], facts=facts).plans == ()
    assert fleet.plan(instances=[allowed], facts=facts)["change"] == "none"
    settings = {"allow_dangerous": ["middleware", "LD_PRELOAD"]}
    assert fleet.plan(instances=[bare], settings=settings, facts=facts)["change"] == "none"


@pytest.mark.parametrize("allow", [[MODEL], True])
def test_the_models_that_may_run_their_code_keep_their_variable(allow: t.Any) -> None:
    one = fleet.instance(model=MODEL, engine_args={TRUST: True})
    old = fleet.plan(instances=[one], settings={"allow_trust_remote_code": allow})
    new = fleet.plan(instances=[{**one, "allow_dangerous": [TRUST]}])
    assert old["release"] == new["release"]
    assert "--trust-remote-code" in new["release"]["command"]
    other = fleet.plan(instances=[one], settings={"allow_trust_remote_code": ["acme/other"]})
    assert "--trust-remote-code" not in other["release"]["command"]
    assert any("trust_remote_code is left out" in text for text in other["warnings"])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"allow_dangerous": ["middlewares"]}, "nothing that has to be allowed. Did you mean middleware?"),
        (
            {"allow_dangerous": ["zzz"]},
            "nothing that has to be allowed. docs/dangers.md lists the names.",
        ),
        ({"allow_dangerous": 5}, "instance assistant: allow_dangerous is 5: write a list of names"),
        ({"allow_dangerous": True}, "allow_dangerous is True: write a list of names"),
    ],
)
def test_a_name_that_allows_nothing(changes: t.Any, says: str) -> None:
    assert any(says in text for text in fleet.outcome(instances=[fleet.instance(**changes)]).errors)
    assert any(says.rpartition("instance assistant: ")[2] in text for text in fleet.outcome(settings=changes).errors)


def test_names_may_come_as_the_text_of_a_survey() -> None:
    one = fleet.instance(engine_args={"middleware": ["a.B"], "tool_server": "demo"})
    assert fleet.plan(instances=[one], settings={"allow_dangerous": "middleware, tool_server"})["change"] == "create"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"engine_args": {"allowed_media_domains": ["a.org", "--middleware=a.B"]}}, "has '--middleware=a.B'"),
        ({"engine_args": {"brand_new": ["x", "--middleware"]}}, "has '--middleware'"),
        ({"engine_args": {"middleware=a.B": True}}, "'middleware=a.B' is no name of an engine argument"),
        ({"engine_args": {"seed 1 --middleware": "a.B"}}, "is no name of an engine argument"),
        ({"served_model_name": ["a", "--middleware=a.B"]}, "none of them empty or with a hyphen first"),
    ],
)
def test_nothing_becomes_an_option_that_nobody_planned(changes: t.Any, says: str) -> None:
    found = fleet.outcome(instances=[fleet.instance(**changes)], unknown_arguments="warn")
    assert any(says in text for text in found.errors)


@pytest.mark.parametrize(
    "engine_args", [{"allowed_origins": ["-x"]}, {"cudagraph_capture_sizes": [1, 2]}, {"ignore_patterns": ["*.bin"]}]
)
def test_lists_that_become_no_option(engine_args: t.Any) -> None:
    assert fleet.plan(instances=[fleet.instance(engine_args=engine_args)])["change"] == "create"


def test_credentials_and_long_values_are_not_told() -> None:
    value = "s3://user:hunter2secret@host/" + "x" * 500
    found = fleet.outcome(instances=[fleet.instance(env={"VLLM_CACHE_ROOT": value, "LD_PRELOAD": "a\x1b[2J"})])
    text = "\n".join(found.errors)
    assert "hunter2secret" not in text
    assert "\x1b" not in text
    assert max(map(len, found.errors)) < 500
