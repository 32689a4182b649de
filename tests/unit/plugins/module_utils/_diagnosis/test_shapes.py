# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One failure, as it reads through what writes an engine's log, and what a release refuses in words of its own."""

from __future__ import annotations

import json

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis.diagnosis import diagnose
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._engine.engine_logs import (
    API,
    CORE,
    TRACEBACK,
    WRAPPERS,
    said,
)

CAUSE = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.50 GiB."
START = "(APIServer pid=1) INFO 11-20 10:00:00 [api_server.py:1] ValueError: No available memory for the cache blocks"
LINES = (START, f"{CORE}{CAUSE}", *WRAPPERS.splitlines())
FRAME = '  File "/usr/lib/python3/dist-packages/vllm/{}", line 1, in {}'


def in_json(line: str) -> str:
    """A record of a formatter that an operator set: the level and the words, and a traceback beside them."""
    level = "INFO" if " INFO " in line else "ERROR"
    words = line.partition("] ")[2] or line
    return json.dumps({"timestamp": "2026-11-20", "level": level, "message": "x", "exc_info": words})


@pytest.mark.parametrize(
    "written",
    [
        "{}",
        "vllm-1  | {}",
        "Nov 20 10:00:00 host1 docker[123]: {}",
        "Nov 20 10:00:00 host1 vllm: {}",
        "2026-11-20T10:00:00+0000 host1 docker[123]: {}",
        "2026-11-20T10:00:00.123456+00:00 host1 vllm[1]: {}",
        "2026-11-20T10:00:00.123456789Z {}",
        "2026-11-20T10:00:00.123456789Z stderr F {}",
        "[pod/vllm-7d9f-abc/vllm] {}",
        "[pod/vllm-7d9f-abc/vllm] 2026-11-20T10:00:00.123456789Z {}",
        "[default0]:{}",
        "> {}",
        "Loading weights: 10%\r{}",
    ],
)
def test_what_stands_before_a_line_is_no_part_of_it(written: str) -> None:
    found = diagnose("\n".join(written.format(line) for line in LINES), 1)
    assert (found.failure_class, found.cause) == ("oom", CAUSE)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_log_of_records_in_json_is_read_by_their_levels(end: str) -> None:
    assert diagnose(end.join(map(in_json, LINES)), 1).cause == CAUSE
    of_docker = (json.dumps({"log": f"{line}\n", "stream": "stderr", "time": "x"}) for line in LINES)
    assert diagnose(end.join(of_docker), 1).cause == CAUSE


@pytest.mark.parametrize(
    "line", ['{"level": "ERROR"', '{"a": 1}', '{"message": 5}', "{" + '"a":{' * 5000 + "}", '{"a": 1e999}']
)
def test_a_line_that_only_looks_like_a_record_is_itself(line: str) -> None:
    assert diagnose(f"{line}\n{CORE}{CAUSE}", 1).cause == CAUSE


def test_a_level_with_a_whole_date_is_a_level() -> None:
    log = f"INFO 2026-11-20 10:00:00,123 [a.py:1] {CAUSE}\n"
    log += "ERROR 2026-11-20 10:00:01,123 [a.py:1] ValueError: Unknown dtype: x"
    assert diagnose(log, 1).cause == "ValueError: Unknown dtype: x"


@pytest.mark.parametrize(
    ("heading", "told"),
    [
        ("SpeculativeConfig", "how speculative_config is set"),
        ("KVTransferConfig", "how kv_transfer_config is set"),
        ("EPLBConfig", "how eplb_config is set"),
        ("ModelConfig", "these settings, or this model with them"),
    ],
)
@pytest.mark.parametrize("kind", ["Value error", "Assertion failed"])
def test_a_mapping_whose_own_code_refuses_it_is_named(kind: str, heading: str, told: str) -> None:
    log = said(
        API, f"pydantic_core._pydantic_core.ValidationError: 1 validation error for {heading}", f"  {kind}, the moon"
    )
    found = diagnose(log, 1)
    assert (found.failure_class, found.cause) == ("flag.refused", f"{kind}, the moon")
    assert told in found.advice and "leave" not in found.advice


@pytest.mark.parametrize(
    ("heading", "mapping"),
    [
        ("SpeculativeConfig", " It is a key of speculative_config."),
        ("EPLBConfig", " It is a key of eplb_config."),
        ("Nobodys", ""),
    ],
)
def test_a_key_that_is_unknown_is_told_with_its_mapping(heading: str, mapping: str) -> None:
    heads = f"pydantic_core._pydantic_core.ValidationError: 1 validation error for {heading}"
    found = diagnose(said(API, heads, "some_key", "  Unexpected keyword argument [type=x, input_value=4]"), 1)
    assert found.failure_class == "flag.json_key"
    assert found.advice == f"Remove some_key, which this release does not know, or correct its name.{mapping}"


def test_what_is_set_may_be_left_out() -> None:
    log = said(API, TRACEBACK, FRAME.format("config/profiler.py", "f"), "    raise x", "ValueError: the moon is full")
    found = diagnose(log, 1, release={"arguments": {"profiler_config": {"profiler": "x"}}})
    assert found.failure_class == "flag.refused"
    assert "leave profiler_config out" in found.advice


@pytest.mark.parametrize(
    ("frame", "line", "advised"),
    [
        (
            ("v1/attention/backends/x.py", "__init__"),
            "NotImplementedError: XImpl reads no sinks",
            "Try another attention_backend",
        ),
        (
            ("model_executor/layers/quantization/x.py", "f"),
            "ValueError: Unsupported layer skip match mode: x",
            "another build of the model",
        ),
        (
            ("model_executor/layers/fused_moe/x.py", "f"),
            "RuntimeError: x does not support y",
            "Try another moe_backend",
        ),
        (
            ("config/x.py", "f"),
            "RuntimeError: the cache of x is incompatible with y",
            "This release does not do what the line says",
        ),
        (
            ("model_executor/layers/fused_moe/x.py", "f"),
            "ValueError: No suitable kernel for x",
            "This release does not do what the line says",
        ),
    ],
)
def test_what_a_release_does_not_do_is_told_as_that(frame: tuple[str, str], line: str, advised: str) -> None:
    found = diagnose(said(CORE, TRACEBACK, FRAME.format(*frame), "    raise x", line) + WRAPPERS, 1)
    assert (found.failure_class, found.cause) == ("release.lacks", line)
    assert advised in found.advice


@pytest.mark.parametrize(
    "line",
    [
        "KeyError: 'not supported'",
        "TypeError: unsupported operand type(s) for +: 'NoneType' and 'int'",
        "ValueError: unsupported format character 'x'",
        "ValueError: unsupported pickle protocol: 9",
        # pybind11, NumPy and torch, of what they are called with.
        "TypeError: f(): incompatible function arguments. The following argument types are supported: 1. (x: int)",
        "ValueError: Incompatible dimension for X and Y matrices",
        "RuntimeError: incompatible tensor shapes",
        "RuntimeError: No backend type associated with device type cpu",
        # A peer, a port or a package that is away is no matter of the release.
        "RuntimeError: the store of the group is not available",
    ],
)
def test_a_mistake_is_not_called_a_lack(line: str) -> None:
    log = said(CORE, TRACEBACK, FRAME.format("v1/core/x.py", "f"), "    x", line)
    assert diagnose(log, 1).failure_class == "unknown"


def test_an_adapter_that_cannot_be_read_is_told_by_where_it_was_read() -> None:
    log = said(CORE, TRACEBACK, FRAME.format("lora/peft_helper.py", "from_dict"), "    x", "ValueError: Missing: r")
    assert diagnose(log, 1).failure_class == "lora.adapter"


@pytest.mark.parametrize(
    "text", ["[core.py:1330] ", "11-20 10:00:00 [core.py:1330] ", "2026-11-20 10:00:00 [core.py:1330] "]
)
def test_the_file_that_speaks_is_no_part_of_what_it_says(text: str) -> None:
    assert (
        diagnose(f"(EngineCore pid=1) ERROR {text}ValueError: the moon is full", 1).cause
        == "ValueError: the moon is full"
    )


def test_a_size_of_the_cache_that_is_set_is_the_cause_and_no_share_of_the_gpu() -> None:
    """v1/worker/gpu_worker.py and v1/core/kv_cache_utils.py of 0.33.0."""
    log = (
        "(Worker pid=2) INFO 09-22 01:20:17 [gpu_worker.py:544] Initial free memory 93.95 GiB, reserved 4.0 GiB "
        "memory for "
        "KV Cache as specified by kv_cache_memory_bytes config and skipped memory profiling.\n"
        f"{CORE}ValueError: To serve at least one request with max seq len (9), 7.8 GiB KV cache is needed, "
        "which is larger than the available KV cache memory (4.0 GiB). the estimated maximum model length is 530432."
    )
    found = diagnose(log, 1)
    assert found.failure_class == "kv.too_small"
    assert "kv_cache_memory_bytes (it is 4.0 GiB) is all that" in found.advice
    assert "raise gpu_memory_utilization" not in found.advice


def test_a_backend_is_not_taken_for_a_variable() -> None:
    log = said(CORE, "ValueError: FLASHINFER_MOONS and VLLM_MOONS are no moons")
    assert "FLASHINFER_MOONS is set" not in diagnose(log, 1).advice
    log = said(CORE, "ValueError: the environment variable VLLM_MOONS is no number")
    assert "how VLLM_MOONS is set" in diagnose(log, 1).advice


def test_a_mistake_of_vllms_own_code_is_known_by_who_says_it() -> None:
    assert "try another release" in diagnose(said(CORE, "IndexError: list index out of range"), 1).advice


@pytest.mark.parametrize(
    "line", ["start.sh: line 3: numactl: command not found", "cp: cannot stat 'x': Permission denied"]
)
def test_what_a_launcher_lacked_did_not_stop_the_engine(line: str) -> None:
    assert diagnose(f"{line}\n{CORE}{CAUSE}\n{WRAPPERS}", 1).cause == CAUSE


@pytest.mark.parametrize(
    "given", [{}, {"env": {"VLLM_USE_DEEP_GEMM": "1"}}, {"arguments": {"attention_backend": "FLASH_ATTN"}}]
)
@pytest.mark.parametrize("how", ["not available or outdated. Please install", "unavailable in the current vLLM"])
def test_the_lack_of_deepgemm_is_cured_by_doing_without_it(how: str, given: dict[str, dict[str, str]]) -> None:
    """It is on where nothing is set (vllm/envs.py), so to leave the variable out, or another backend, helps nothing."""
    found = diagnose(f"{CORE}RuntimeError: DeepGEMM backend is {how}\n", 1, release=given)
    assert "VLLM_USE_DEEP_GEMM: '0'" in found.advice
    assert "Leave" not in found.advice


def test_another_variable_is_not_blamed_for_the_lack_of_flashinfer() -> None:
    line = f"{CORE}RuntimeError: FlashInfer backend is not available. Please install the package\n"
    assert "VLLM_USE_DEEP_GEMM" not in diagnose(line, 1, release={"env": {"VLLM_USE_DEEP_GEMM": "1"}}).advice


def test_compiled_code_that_names_a_lost_operation_is_told_with_it() -> None:
    """FlashInfer's are registered where it is found alone: vllm/utils/flashinfer.py 0.27.0, has_flashinfer."""
    found = diagnose(f"{CORE}AttributeError: '_OpNamespace' 'vllm' object has no attribute 'flashinfer_mm_fp4'\n", 1)
    assert "(flashinfer_mm_fp4)" in found.advice
    assert "torch_compile_cache" in found.advice


@pytest.mark.parametrize(
    ("feature", "named"),
    [
        ("Concurrent Partial Prefill", "max_num_partial_prefills"),
        (
            "Pipeline Parallelism without Ray distributed executor or multiprocessing executor or external launcher",
            "pipeline_parallel_size, or distributed_executor_backend",
        ),
        ("A Feature of Tomorrow", "what asks for it"),
    ],
)
def test_what_a_release_asks_to_be_removed_is_left_out(feature: str, named: str) -> None:
    """vllm/engine/arg_utils.py, _raise_unsupported_error: a newer image or another build is no remedy."""
    text = f"NotImplementedError: {feature} is not supported. We recommend to remove {feature} from your config."
    found = diagnose(said(CORE, text), 1)
    assert found.failure_class == "flag.refused"
    assert f"leave {named}" in found.advice
    assert "another build" not in found.advice


def test_attention_of_an_encoder_has_a_setting_of_its_own() -> None:
    frame = '  File "/usr/lib/python3/dist-packages/vllm/v1/attention/ops/vit_attn_wrappers.py", line 51, in wrapper'
    log = said(CORE, TRACEBACK, frame, "    flash()", "RuntimeError: cu_seqlens_q must be on CUDA")
    assert "Try another mm_encoder_attn_backend" in diagnose(log, 1).advice


@pytest.mark.parametrize("given", [{}, {"gpu_memory_utilization": "0.48"}])
def test_no_room_for_the_cache_may_be_the_doing_of_another_program(given: dict[str, str]) -> None:
    """What it takes while this engine measures counts as this engine's: vllm/v1/worker/gpu_worker.py 0.21.0."""
    line = "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`"
    advice = diagnose(said(CORE, line), 1, release={"arguments": given}).advice
    assert "start one engine after the other" in advice
    assert "limit_mm_per_prompt" in advice


@pytest.mark.parametrize(
    ("text", "advised"),
    [
        ("vllm serve: error: unrecognized arguments: --task embed", "say runner"),
        ("RuntimeError: Cannot find any safetensors model weights with `/models/x`", "load_format"),
        (
            "ValueError: Number of experts in the model must be greater than 0 when expert parallelism is enabled.",
            "enable_expert_parallel",
        ),
        (
            (
                "RuntimeError: Worker failed with error 'index 1 is out of bounds for dimension 0 with size 1', please "
                "check the stack trace above for the root cause"
            ),
            "try another release",
        ),
    ],
)
def test_what_a_line_says_in_words_is_advised_by_name(text: str, advised: str) -> None:
    frame = '  File "/usr/lib/python3/dist-packages/vllm/config/vllm.py", line 1, in __post_init__'
    assert advised in diagnose(said(CORE, TRACEBACK, frame, "    raise", text), 1).advice


def test_what_a_kernel_asserted_is_the_cause_and_not_that_something_did() -> None:
    """Positions past those of a table, as a length brings that was written over the model's own."""
    asserted = (
        "/tmp/x.py:31: block: [1,0,0] Assertion `index out of bounds: 0 <= tl.broadcast_to(t, [X]) < 40960` failed."
    )
    found = diagnose(f"{asserted}\n{CORE}torch.AcceleratorError: CUDA error: device-side assert triggered\n", 0)
    assert found.failure_class == "gpu.fault"
    assert "< 40960" in found.cause
    assert "past 40960" in found.advice
    assert "max_model_len" in found.advice
