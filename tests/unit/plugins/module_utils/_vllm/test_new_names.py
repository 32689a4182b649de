# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release of vLLM names in its arguments stands in the tables that know more of it.

Where a release brings a name, a test fails and says which table wants it.
"""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis import settings
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model import kv_types
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm import capabilities, drafters
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.schema import of_release, version_key
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._plan.fleet import HISTORY

VERSIONS: list[str] = HISTORY["versions"]
# Its slot is that of latent attention alone: DS_MLA_BYTES.
LATENT = {"fp8_ds_mla"}
# Arguments of the API server, and words that many a message has which means no argument.
NOT_TOLD = frozenset(
    (
        "allow_credentials", "allowed_headers", "allowed_methods", "allowed_origins",
        "anthropic_disabled_thinking_effort", "cohere_format", "cohere_is_reasoning_model",
        "data_parallel_supervisor_port", "default_chat_template_kwargs", "disable_access_log_for_endpoints",
        "dp_supervisor_probe_failure_threshold", "dp_supervisor_probe_interval_s", "dp_supervisor_probe_timeout_s",
        "enable_flash_late_interaction", "enable_force_include_usage", "enable_log_deltas", "enable_log_outputs",
        "enable_offline_docs", "enable_per_request_metrics", "enable_scale_out", "enable_tokenizer_info_endpoint",
        "exclude_tools_when_tool_choice_none", "expand_tools_even_if_tool_choice_none", "fingerprint_mode",
        "fingerprint_value", "grpc_port", "h11_max_header_count", "h11_max_incomplete_event_size", "log_config_file",
        "log_error_stack", "log_level", "reasoning_effort_map", "sse_keep_alive_interval", "ssl_ca_certs",
        "ssl_cert_reqs", "ssl_certfile", "ssl_ciphers", "ssl_keyfile", "tokens_only", "tool_server",
        "tool_strict_level", "trust_request_chat_template", "trust_request_mm_kwargs", "use_gpu_for_pooling_score",
        "uvicorn_log_level",
    )
)  # fmt: skip


def choices(argument: str, version: str) -> set[str]:
    """What an argument may be in a release; nothing where it was not there, or takes any text."""
    spans: list[t.Any] = HISTORY["arguments"][argument]
    found = [span for span in spans if version_key(span["since"]) <= version_key(version)]
    return set(found[-1].get("choices", ())) if found else set()


@pytest.mark.parametrize("version", [version for version in VERSIONS if choices("spec_method", version)])
def test_ways_of_guessing_ahead_are_in_the_table(version: str) -> None:
    known, told = drafters.methods(version_key(version)), choices("spec_method", version)
    new, gone = sorted(told - known), sorted(known - told)
    assert not new + gone, (
        f"plugins/module_utils/_vllm/drafters.py: put {new} into METHODS and {gone} into GONE, from {version} on"
    )


def test_each_quantization_method_says_which_gpus_it_runs_on() -> None:
    marks = HISTORY["quantization_methods"]  # [since, gone, since again ...]
    unknown = {name for name in marks if len(marks[name]) % 2} - capabilities.METHODS.keys()
    assert unknown == set(), "put get_min_capability into METHODS of plugins/module_utils/_vllm/capabilities.py"


@pytest.mark.parametrize(("version", "least"), [("0.10.0", (8, 0)), ("0.20.0", (8, 0))])
def test_gptq_bitblas_has_run_on_the_gpus_of_8_0_and_newer_since_0_10_0(version: str, least: tuple[int, int]) -> None:
    """MINIMUM_CAPABILITY of BitBLAS in quantization/gptq_bitblas.py, get_min_capability."""
    assert of_release(capabilities.METHODS["gptq_bitblas"], version_key(version)) == least


def test_a_mode_of_the_cache_of_states_is_one_of_two_in_the_newest_release() -> None:
    """MambaCacheMode in config/cache.py; arg_utils.py of 0.33.0 gives it another default and keeps its choices."""
    read = [choices("mamba_cache_mode", version) for version in ("0.31.0", "0.32.0", "0.33.0")]
    assert read == [{"align", "all", "none"}, {"align", "none"}, {"align", "none"}]


@pytest.mark.parametrize("version", VERSIONS)
def test_each_type_of_the_kv_cache_has_its_bytes_or_its_gpus(version: str) -> None:
    unknown = {
        name
        for name in choices("kv_cache_dtype", version) - LATENT
        if not kv_types.known(name) and name not in capabilities.CACHE_TYPES
    }
    assert unknown == set(), (
        "put their bytes into plugins/module_utils/_plan/model/kv_types.py; if these cannot be told, the GPUs into "
        "CACHE_TYPES of plugins/module_utils/_vllm/capabilities.py"
    )


def test_each_argument_of_more_than_one_word_is_told_in_a_diagnosis_or_is_not_for_a_reason() -> None:
    """The host has no list of arguments; its own is held to the planner's."""
    arguments = {name for name in HISTORY["arguments"] if "_" in name}
    assert arguments - settings.NAMES - NOT_TOLD == set(), (
        "put those of the engine into NAMES of plugins/module_utils/_diagnosis/settings.py, and those of the API "
        "server into NOT_TOLD here"
    )
    assert NOT_TOLD - arguments == set(), "no release has them"
    assert NOT_TOLD.isdisjoint(settings.NAMES)
