# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The classifier, with texts of real engines of the releases that have them."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.diagnosis import CAUSES, cleaned, diagnose

CORE = "(EngineCore pid=211) ERROR 11-20 10:00:00 [core.py:1150] "
API = "(APIServer pid=1) "
WRAPPERS = "\n".join(
    (
        CORE + "EngineCore failed to start.",
        API + "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
    )
)

REAL = [
    ("flag.unknown", "vllm: error: unrecognized arguments: --nope"),
    ("flag.ambiguous", "vllm: error: ambiguous option: --max-num could match --max-num-seqs, --max-num-batched-tokens"),
    ("flag.choice", "vllm: error: argument --dtype: invalid choice: 'int3' (choose from 'auto', 'half')"),
    ("flag.type", "vllm: error: argument --port: invalid int value: 'x'"),
    ("flag.type", "vllm: error: argument --seed: expected one argument"),
    (
        "flag.json_key",
        "  Unexpected keyword argument [type=unexpected_keyword_argument, input_value=1]",
    ),
    ("env.unknown", "ValueError: Unknown vLLM environment variable detected: VLLM_NOPE"),
    ("parser.name", "KeyError: \"Reasoning parser 'x' not found. Available parsers: deepseek_r1, qwen3\""),
    ("parser.name", "KeyError: 'invalid tool call parser: x (chose from { hermes,mistral })'"),
    ("parser.name", "TypeError: Error: --enable-auto-tool-choice requires --tool-call-parser"),
    (
        "len.config",
        (
            "  Value error, User-specified max_model_len (9999) is greater than the derived max_model_len "
            "(max_position_embeddings=2048 or model_max_length=None in model's config.json)."
        ),
    ),
    ("kv.none", "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`"),
    (
        "kv.too_small",
        (
            "ValueError: The model's max seq len (4096) is larger than the maximum number of tokens that can be stored "
            "in KV cache (1712). Try increasing `gpu_memory_utilization`"
        ),
    ),
    (
        "kv.too_small",
        (
            "ValueError: To serve at least one request with the models's max seq len (131072), (4.00 GiB KV cache is "
            "needed, which is larger than the available KV cache memory (2.10 GiB). "
            "Based on the available memory, the estimated maximum model length is 68800."
        ),
    ),
    ("kv.autofit", "ValueError: Cannot auto-fit max_model_len: not enough GPU memory available"),
    (
        "mem.busy",
        (
            "ValueError: Free memory on device cuda:0 (3.1/11.76 GiB) on startup is less than desired GPU memory "
            "utilization (0.9, 10.58 GiB). Decrease GPU memory utilization or reduce GPU memory used by others."
        ),
    ),
    (
        "mem.busy",
        "ValueError: Free memory on device (3.1/11.76 GiB) on startup is less than desired GPU memory utilization",
    ),
    ("nccl.cumem", '  File "misc/cudawrap.cc", line 92, in ncclCuMemHostEnable()'),
    (
        "mem.raced",
        "AssertionError: Error in memory profiling. Initial free memory 10.1 GiB, current free memory 10.9 GiB.",
    ),
    (
        "mem.cpu",
        "ValueError: Available memory on node 0 (1.2/9.46 GiB) on startup is less than desired CPU memory utilization",
    ),
    (
        "mem.cpu",
        "ValueError: Available memory on node 0 (1/9 GiB) on kv cache allocation is less than requested memory for kv",
    ),
    (
        "oom",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.50 GiB.",
    ),
    ("oom", "RuntimeError: CUDA out of memory occurred when warming up sampler with 256 dummy requests."),
    ("tp.divide", "  Value error, Total number of attention heads (2) must be divisible by tensor parallel size (8)."),
    ("tp.gpus", "  Value error, World size (4) is larger than the number of available GPUs (1) in this node."),
    (
        "dtype.bf16",
        "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0.",
    ),
    (
        "quant.capability",
        "ValueError: The quantization method fp8 is not supported for the current GPU. Minimum capability: 89.",
    ),
    ("quant.config", "ValueError: torch.bfloat16 is not supported for quantization method awq."),
    ("quant.config", "ValueError: Cannot find the config file for awq"),
    ("quant.config", "  Value error, Quantization method specified in the model config (awq) does not match gptq"),
    (
        "kv.fp8",
        "ValueError: FP8 KV cache is not supported by the Triton attention backend on RTX 3060",
    ),
    (
        "kv.fp8",
        "ValueError: type fp8e4nv not supported in this architecture. The supported fp8 dtypes are ('fp8e4b15',)",
    ),
    ("attention.none", "ValueError: No valid attention backend found for cuda with head_size 16. Reasons: {...}"),
    (
        "attention.none",
        "ValueError: Selected backend FLASHMLA is not valid for this configuration. Reason: ['head_size']",
    ),
    ("driver.old", "RuntimeError: The NVIDIA driver on your system is too old (found version 12080)."),
    (
        "driver.old",
        "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.8, please update your driver",
    ),
    ("disk.full", "OSError: [Errno 28] No space left on device: '/var/cache/gpufleet/vllm/torch_compile_cache'"),
    ("driver.old", "RuntimeError: Error 804: forward compatibility was attempted on non supported HW"),
    ("gpu.none", "RuntimeError: Failed to infer device type, please set the environment variable"),
    ("gpu.none", "RuntimeError: Found no NVIDIA driver on your system."),
    ("gpu.none", "RuntimeError: No CUDA GPUs are available"),
    ("arch.missing", "RuntimeError: CUDA error: no kernel image is available for execution on the device"),
    (
        "model.missing",
        "huggingface_hub.errors.LocalEntryNotFoundError: Cannot find an appropriate cached snapshot folder",
    ),
    ("model.missing", "huggingface_hub.errors.HFValidationError: Repo id must use alphanumeric chars"),
    ("model.missing", "OSError: acme/nope is not a local folder and is not a valid model identifier listed on 'hf.co'"),
    (
        "model.broken",
        "safetensors_rust.SafetensorError: Error while deserializing header: InvalidHeaderDeserialization",
    ),
    ("port.busy", "OSError: [Errno 98] Address already in use"),
    ("shm.small", "RuntimeError: Insufficient space in /dev/shm. Needed 100, available 64"),
    ("shm.small", "OSError: [Errno 28] No space left on device: '/dev/shm/x'"),
    ("cpu.attention", "NotImplementedError: Unsupported CPU attention configuration: head_dim 16"),
]


@pytest.mark.parametrize(("failure_class", "text"), REAL, ids=[f"{name}: {text[:40]}" for name, text in REAL])
def test_the_cause_is_found_under_its_wrappers(failure_class: str, text: str) -> None:
    log = f"INFO starting\n{WRAPPERS}\n{CORE}{text}\n{WRAPPERS}\n"
    found = diagnose(log, 1)
    assert found.failure_class == failure_class
    assert found.cause == text.strip()[:300]
    assert found.advice


@pytest.mark.parametrize(
    ("log", "failure_class"),
    [
        (
            "INFO 11-20 [shm_broadcast.py:495] No available shared memory broadcast block found in 60 seconds.",
            "shm.hang",
        ),
        (
            f"No available shared memory broadcast block found in 60 second(s).\n{CORE}ZeroDivisionError: by zero",
            "unknown",
        ),
        ("INFO all is well", "unknown"),
    ],
)
def test_a_worker_that_hangs_is_the_cause_where_no_error_is(log: str, failure_class: str) -> None:
    assert diagnose(log, 1).failure_class == failure_class


def test_every_row_has_a_real_text() -> None:
    assert {row[0] for row in CAUSES} == {failure_class for failure_class, _text in REAL}


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (f"{WRAPPERS}\n{CORE}ZeroDivisionError: division by zero\n{WRAPPERS}", "ZeroDivisionError: division by zero"),
        (
            (
                f"{API}pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
                f"{API}  Value error, the moon is full [type=value_error]\n"
                f"{API}    For further information visit https://errors.pydantic.dev/2/v/value_error"
            ),
            "Value error, the moon is full [type=value_error]",
        ),
        (
            "RuntimeError: Worker failed with error 'nothing known'\n",
            "RuntimeError: Worker failed with error 'nothing known'",
        ),
        (
            (
                "(APIServer pid=1) WARNING 11-21 01:59:40 [system_utils.py:255] This can cause fd limit errors like "
                "`OSError: [Errno 24] Too many open files`.\n"
                "(APIServer pid=1) ERROR 11-21 02:00:03 [parsers.py:271] ModuleNotFoundError: No module named 'x'\n"
            ),
            "ModuleNotFoundError: No module named 'x'",
        ),
        (f"INFO all is well\n{API}exec: not found\n\n", "exec: not found"),
        ("", "the log is empty"),
        ("\n \n", "the log is empty"),
    ],
    ids=["first root error", "pydantic", "worker's quote", "feared error", "last words", "empty", "blank"],
)
def test_an_unknown_cause_is_quoted(log: str, cause: str) -> None:
    found = diagnose(log, 1)
    assert (found.failure_class, found.cause, found.advice) == ("unknown", cause, "Read the kept log.")


@pytest.mark.parametrize(
    ("exit_code", "oom_killed", "failure_class", "words"),
    [
        (137, True, "host.oom", "ran out of memory (exit code 137)"),
        (0, True, "host.oom", "ran out of memory (exit code 0)"),
        (137, False, "host.killed", "a SIGKILL (exit code 137)"),
        (0, False, "flag.unknown", "unrecognized arguments"),
        (None, False, "flag.unknown", "unrecognized arguments"),
    ],
)
def test_a_kill_comes_before_the_log(exit_code: int | None, oom_killed: bool, failure_class: str, words: str) -> None:
    found = diagnose("vllm: error: unrecognized arguments: --nope", exit_code, oom_killed)
    assert found.failure_class == failure_class
    assert words in found.cause
    assert found.as_dict()["failure_class"] == failure_class


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("(EngineCore pid=211) ERROR 11-20 10:00:00 [core.py:1150] ValueError: x", "ValueError: x"),
        ("(EngineCore_DP0 pid=97) ValueError: x", "ValueError: x"),
        ("(Worker_TP1 pid=3) ERROR 11-20 10:00:00 [v1/worker.py:5] ValueError: x", "ValueError: x"),
        ("ERROR 07-01 12:00:00 [engine.py:366] ValueError: x", "ValueError: x"),
        ("  ValueError: x  ", "ValueError: x"),
        ("x" * 400, "x" * 300),
    ],
)
def test_prefixes_are_cleaned(line: str, text: str) -> None:
    assert cleaned(line) == text
