# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which arguments a release takes, and which it has no longer or not yet."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm import schema
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import schema_files
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan import fleet


@pytest.mark.parametrize(
    ("asked", "read_from", "warned"),
    [
        ("0.32.0", "0.32.0", False),
        ("v0.32.0", "0.32.0", False),
        ("0.32.0+cpu", "0.32.0", False),
        ("0.32.1", "0.32.0", True),
        ("0.15.1", "0.14.0", True),
        ("1.0.0", fleet.HISTORY["versions"][-1], True),
        ("0.11.1rc2", "0.11.1", False),
    ],
)
def test_nearest_older_release(asked: t.Any, read_from: t.Any, warned: t.Any) -> None:
    found = fleet.schema_of(asked)
    assert found.read_from == read_from
    assert bool(found.warnings) is warned
    if warned:
        assert asked in found.warnings[0]
        assert read_from in found.warnings[0]


@pytest.mark.parametrize("asked", ["0.8.4", "nightly", "0.32", ""])
def test_version_without_arguments_is_refused(asked: t.Any) -> None:
    with pytest.raises(schema.UnknownVersionError):
        fleet.schema_of(asked)


@pytest.mark.parametrize(
    ("version", "name", "kind"),
    [
        ("0.8.5", "enforce_eager", "flag"),
        ("0.9.0", "enforce_eager", "switch"),
        ("0.32.0", "enable_prefix_caching", "switch"),
        ("0.32.0", "enable_chunked_prefill", "switch"),
        ("0.32.0", "headless", "flag"),
        ("0.32.0", "max_model_len", "size"),
        ("0.32.0", "allowed_origins", "json"),
        ("0.32.0", "speculative_config", "json"),
        ("0.32.0", "hf_overrides", "str_or_json"),
        ("0.32.0", "tensor_parallel_size", "int"),
        ("0.32.0", "gpu_memory_utilization", "float"),
    ],
)
def test_type_of_argument(version: t.Any, name: t.Any, kind: t.Any) -> None:
    assert fleet.schema_of(version).arguments[name].type == kind


@pytest.mark.parametrize(
    ("version", "name", "since"),
    [("0.17.0", "disable_log_requests", "0.17.0"), ("0.18.0", "swap_space", "0.18.0"), ("0.33.0", "task", "0.13.0")],
)
def test_gone(version: t.Any, name: t.Any, since: t.Any) -> None:
    found = fleet.schema_of(version)
    assert name not in found.arguments
    assert found.gone[name] == since


def test_coming() -> None:
    assert fleet.schema_of("0.10.0").coming["kv_cache_memory_bytes"] == "0.10.2"


def test_default_changes_between_releases() -> None:
    assert fleet.schema_of("0.19.0").arguments["gpu_memory_utilization"].default == 0.9
    assert fleet.schema_of("0.20.0").arguments["gpu_memory_utilization"].default == 0.92


def test_parsers_and_environment_of_a_release() -> None:
    assert "openai_gptoss" in fleet.schema_of("0.32.0").reasoning_parsers
    assert "GptOss" in fleet.schema_of("0.10.1").reasoning_parsers
    assert "GptOss" not in fleet.schema_of("0.10.2").reasoning_parsers
    assert "VLLM_USE_V1" in fleet.schema_of("0.11.0").environment
    assert "VLLM_USE_V1" not in fleet.schema_of("0.11.1").environment


@pytest.mark.parametrize(("version", "subcommand"), [("0.11.0", False), ("0.11.1", True), ("0.32.0", True)])
def test_entry_point(version: t.Any, subcommand: t.Any) -> None:
    assert schema.serves_with_subcommand(version) is subcommand


READING = {
    "schema": 1,
    "version": "0.34.0",
    "arguments": {"model": {"type": "str"}, "brand_new": {"type": "switch"}},
    "reasoning_parsers": [],
    "tool_parsers": [],
    "quantization_methods": [],
    "environment": [],
}


def test_reading_of_an_image_takes_precedence() -> None:
    history = {"versions": ["0.33.0"], "arguments": {}, "reasoning_parsers": {}, "tool_parsers": {}}
    found = schema.resolve("0.34.0", history, {"0.34.0": READING})
    assert set(found.arguments) == {"model", "brand_new"}
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "cannot be read"), ("{", "no valid JSON"), ('{"schema": 9}', "not of schema 1"), ("[]", "not of schema 1")],
)
def test_directory_that_holds_no_schema(tmp_path: pathlib.Path, content: t.Any, says: t.Any) -> None:
    if content is not None:
        (tmp_path / "history.json").write_text(content)
    with pytest.raises(schema_files.BadSchemaError, match=says):
        schema_files.load(str(tmp_path))
