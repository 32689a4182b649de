# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the failures in a log is its cause, and what is advised by what its operator has set."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis.diagnosis import cleaned, diagnose
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._engine.engine_logs import (
    API,
    CORE,
    DIRECT,
    DURING,
    TRACEBACK,
    WORKER,
    WRAPPERS,
    said,
)


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


@pytest.mark.parametrize(
    ("log", "failure_class", "cause"),
    [
        (
            f"{WRAPPERS}\n{CORE}ZeroDivisionError: division by zero\n{WRAPPERS}",
            "unknown",
            "ZeroDivisionError: division by zero",
        ),
        (
            said(
                API,
                "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig",
                "  Value error, the moon is full [type=value_error]",
                "    For further information visit https://errors.pydantic.dev/2/v/value_error",
            ),
            "flag.refused",
            "Value error, the moon is full [type=value_error]",
        ),
        ("RuntimeError: Worker failed with error 'nothing known'\n", "unknown", "nothing known"),
        (
            (
                "(APIServer pid=1) WARNING 11-21 01:59:40 [system_utils.py:255] This can cause fd limit errors like "
                "`OSError: [Errno 24] Too many open files`.\n"
                "(APIServer pid=1) ERROR 11-21 02:00:03 [parsers.py:271] ModuleNotFoundError: No module named 'x'\n"
            ),
            "image.package",
            "ModuleNotFoundError: No module named 'x'",
        ),
        (f"INFO all is well\n{API}exec format error\n\n", "image.command", "exec format error"),
        (f"INFO all is well\n{API}good bye\n\n", "unknown", "good bye"),
        ("", "unknown", "the log is empty"),
        ("\n \n", "unknown", "the log is empty"),
        # Names that are no ...Error, as huggingface_hub and torch have them.
        (
            "some.package.OddityFound: the moon is full\nsys:1: DeprecationWarning: x",
            "unknown",
            "some.package.OddityFound: the moon is full",
        ),
        (
            said(API, TRACEBACK, '  File "a.py", line 1, in f', "    raise Oddity()", "Oddity: the moon"),
            "unknown",
            "Oddity: the moon",
        ),
        # An exception whose first line is empty: multiprocessing/spawn.py of Python 3.12.
        (
            said(API, "RuntimeError: ", "        the moon", "        is full.") + WRAPPERS,
            "unknown",
            "RuntimeError: the moon is full.",
        ),
        # A process named twice: a launcher passes on what the engine core says (field report of 0.15).
        (said(API, *said(CORE, "ValueError: twice").splitlines()), "unknown", "ValueError: twice"),
        (
            "\x1b[1;36m(APIServer pid=1)\x1b[0;0m ERROR 11-20 10:00:00 [core.py:1] ValueError: red",
            "unknown",
            "ValueError: red",
        ),
        ("[1;36m(APIServer pid=1)[0;0m ERROR 11-20 10:00:00 [core.py:1] ValueError: red", "unknown", "ValueError: red"),
        # Compose, systemd, two processes with one name, and the headers of releases before 0.8.
        ("vllm-qwen-1  | (EngineCore pid=2) ValueError: composed", "unknown", "ValueError: composed"),
        ("Aug 17 18:42:18 gpu1 vllm[8052]: (APIServer pid=8052) ValueError: journal", "unknown", "ValueError: journal"),
        ("(VllmWorker rank=3 pid=2) ValueError: ranked", "unknown", "ValueError: ranked"),
        ("(EngineCore_0 pid=1) (VllmWorker TP0 pid=2) ValueError: spaced", "unknown", "ValueError: spaced"),
        ("ERROR 12-11 01:25:22 worker_base.py:157] ValueError: old", "unknown", "ValueError: old"),
        # An assertion without a word.
        (
            said(
                CORE,
                TRACEBACK,
                '  File "/x/kv.py", line 9, in unify',
                "    assert a == b",
                "           ^^^^^^",
                "AssertionError",
            ),
            "unknown",
            "AssertionError: assert a == b",
        ),
        (
            said(CORE, TRACEBACK, '  File "/x/a.py", line 9, in f', "    assert a == b", "AssertionError") + "Killed\n",
            "unknown",
            "AssertionError: assert a == b",
        ),
        # Who may raise anything while it is imported.
        (
            said(
                "",
                TRACEBACK,
                '  File "/x/transformers/hub.py", line 9, in <module>',
                "    Layer()",
                '  File "/x/kernels/l.py", line 7, in f',
                "    raise x",
                "ValueError: odd",
            ),
            "image.mixed",
            "ValueError: odd",
        ),
        # A port that only the API server has, and one that it has not.
        (
            "(APIServer pid=1) OSError: [Errno 98] Address already in use",
            "port.busy",
            "OSError: [Errno 98] Address already in use",
        ),
        ("2026-11-20T10:00:00.123456789Z (EngineCore pid=2) ValueError: timed", "unknown", "ValueError: timed"),
    ],
)
def test_the_line_that_is_shown(log: str, failure_class: str, cause: str) -> None:
    found = diagnose(log, 1)
    assert (found.failure_class, found.cause) == (failure_class, cause)


def test_what_is_unknown_says_where_it_was_and_where_to_report_it() -> None:
    found = diagnose(
        said(CORE, TRACEBACK, '  File "/x/vllm/v1/core.py", line 7, in step', "    x()", "ZeroDivisionError: x"), 1
    )
    assert found.failure_class == "unknown"
    assert 'File "/x/vllm/v1/core.py", line 7, in step' in found.advice
    assert "issues" in found.advice and "engine.log" in found.advice


@pytest.mark.parametrize(
    ("file", "arguments", "advised"),
    [
        ("vllm/v1/spec_decode/eagle.py", {"speculative_config": "x"}, "serves without speculative_config."),
        ("vllm/v1/spec_decode/eagle.py", {}, "It came from speculative decoding"),
        ("vllm/model_executor/layers/fused_moe/a.py", {}, "Try another moe_backend."),
        ("vllm/distributed/kv_transfer/offloading.py", {"kv_offloading_size": 4}, "without kv_offloading_size."),
        ("vllm/compilation/backends.py", {}, "enforce_eager"),
        ("somewhere/else.py", {}, 'It came from File "somewhere/else.py", line 7, in f.'),
    ],
)
def test_what_is_unknown_names_the_part_that_may_be_left_out(
    file: str, arguments: dict[str, object], advised: str
) -> None:
    log = said(
        CORE, TRACEBACK, '  File "a.py", line 1, in g', f'  File "{file}", line 7, in f', "    x()", "RuntimeError: odd"
    )
    found = diagnose(log, 1, release={"arguments": arguments})
    assert found.failure_class == "unknown"
    assert advised in found.advice
    if not arguments:
        assert "without" not in found.advice


def test_the_best_lines_are_shown_where_no_exception_is() -> None:
    assert diagnose("INFO a\none\ntwo\nthree\nINFO b\nfour\n", 3).cause == "two | three | four"


OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.50 GiB."
BEGUN = "INFO 11-20 10:01:00 [api_server.py:1]"
REQUEST = (
    "ERROR 08-22 21:36:14 [serving_chat.py:250] jinja2.exceptions.TemplateError: Conversation roles must alternate\n"
    'INFO:     10.0.0.5:1 - "POST /v1/chat/completions HTTP/1.1" 400 Bad Request\n'
)
UNKNOWN_KEY = "KeyError: 'qwen9'"
NEWER = "ValueError: The checkpoint has model type `qwen9` but Transformers does not recognize this architecture."


@pytest.mark.parametrize(
    ("log", "failure_class", "cause"),
    [
        # A chain: the sentence that explains, not the key that was missing.
        (said(API, TRACEBACK, UNKNOWN_KEY, "", DURING, "", TRACEBACK, NEWER), "model.newer", NEWER),
        (
            said(CORE, TRACEBACK, UNKNOWN_KEY, DIRECT, TRACEBACK, "RuntimeError: the moon is full"),
            "unknown",
            "RuntimeError: the moon is full",
        ),
        (
            said(
                CORE,
                TRACEBACK,
                "RuntimeError: the moon is full",
                DURING,
                TRACEBACK,
                "AttributeError: 'NoneType' object has no x",
            ),
            "unknown",
            "RuntimeError: the moon is full",
        ),
        # Two workers write at once: each has its own chain.
        (
            said(WORKER, TRACEBACK, "RuntimeError: mine")
            + said(WORKER.replace("TP1", "TP0"), TRACEBACK, "KeyError: 'other'")
            + said(WORKER, DURING, TRACEBACK, "ValueError: also mine"),
            "unknown",
            "ValueError: also mine",
        ),
        # The innermost process knows: the engine core only heard of it.
        (
            said(WORKER, "ValueError: the cause") + said(CORE, "RuntimeError: heard of it") + WRAPPERS,
            "unknown",
            "ValueError: the cause",
        ),
        # What follows when somebody is gone.
        (
            said(WORKER, "ValueError: the cause")
            + said(WORKER.replace("TP1", "TP0"), "BrokenPipeError: [Errno 32] Broken pipe"),
            "unknown",
            "ValueError: the cause",
        ),
        (said(WORKER, OOM) + said(CORE, "RuntimeError: something else"), "oom", OOM),
        # An error of one request, long before; the template's name is no cause (field report of 0.10.1).
        (
            REQUEST
            + said(
                CORE,
                "EngineCore encountered a fatal error.",
                "torch.AcceleratorError: CUDA error: an illegal memory access",
            ),
            "gpu.fault",
            "torch.AcceleratorError: CUDA error: an illegal memory access",
        ),
        (
            REQUEST + "(APIServer pid=1) WARNING 08-23 00:41:01 [core_client.py:8] MPClient: engine core exited "
            "unexpectedly\n",
            "died.silent",
            "a process of the engine died without a word: MPClient: engine core exited unexpectedly",
        ),
        # The API server answers on until it hears of it; what it said itself before that is past.
        (
            said(WORKER, OOM)
            + 'INFO:     10.0.0.5:1 - "GET /metrics HTTP/1.1" 200 OK\n'
            + said(CORE, "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue."),
            "oom",
            OOM,
        ),
        (
            said(API, "ERROR 11-20 09:00:00 [async_llm.py:1] RuntimeError: of an hour ago")
            + 'INFO:     10.0.0.5:1 - "GET /metrics HTTP/1.1" 200 OK\n'
            + said(CORE, "Engine core proc EngineCore_0 died unexpectedly"),
            "died.silent",
            "a process of the engine died without a word: Engine core proc EngineCore_0 died unexpectedly",
        ),
        # An error of one request is none of the engine's, whatever it reads like.
        (
            "ERROR 08-22 21:36:14 [serving.py:250] RuntimeError: No CUDA GPUs are available, said a client\n"
            + said(CORE, "Engine core proc EngineCore_0 died unexpectedly"),
            "died.silent",
            "a process of the engine died without a word: Engine core proc EngineCore_0 died unexpectedly",
        ),
        # What comes after a chain is no part of it.
        (
            said(
                CORE, TRACEBACK, "RuntimeError: first", DURING, TRACEBACK, "ValueError: second", TRACEBACK, UNKNOWN_KEY
            ),
            "unknown",
            UNKNOWN_KEY,
        ),
        # An earlier life of the same container.
        (
            said(CORE, OOM) + said(API, f"{BEGUN} vLLM API server version 0.33.0") + said(CORE, "ValueError: now"),
            "unknown",
            "ValueError: now",
        ),
        # Of one failure the class that says more, whichever comes first.
        (
            said(
                WORKER,
                "DistBackendError: NCCL error in: x.cpp, unhandled system error",
                "NCCL WARN Error while creating shared memory segment /dev/shm/nccl-x (size 7)",
            ),
            "shm.small",
            "NCCL WARN Error while creating shared memory segment /dev/shm/nccl-x (size 7)",
        ),
        # No compiler's heading, its error.
        (
            said(
                CORE,
                "RuntimeError: Ninja build failed. Ninja output:",
                "[1/4] nvcc -o x.o",
                "x.cu(3): error: no such thing",
            ),
            "jit.build",
            "x.cu(3): error: no such thing",
        ),
        # Memory that runs out while weights are loaded, whatever the release says of it.
        (
            said(
                WORKER,
                TRACEBACK,
                '  File "/x/vllm/v1/worker/gpu/model_runner.py", line 7, in load_model',
                "    m = load()",
                OOM,
            ),
            "mem.weights",
            OOM,
        ),
        (
            said(
                WORKER,
                TRACEBACK,
                '  File "/x/vllm/v1/worker/gpu/model_runner.py", line 7, in capture_model',
                "    m = run()",
                OOM,
            ),
            "oom",
            OOM,
        ),
        # A line of source code is no cause.
        (
            said(
                CORE,
                TRACEBACK,
                '  File "/x/p.py", line 7, in f',
                '    raise RuntimeError("No CUDA GPUs are available")',
                "ValueError: x",
            ),
            "unknown",
            "ValueError: x",
        ),
        # A group of exceptions, as Python draws it.
        (
            "  + Exception Group Traceback (most recent call last):\n  | ValueError: in a group\n",
            "unknown",
            "ValueError: in a group",
        ),
    ],
)
def test_what_killed_the_process_is_the_cause(log: str, failure_class: str, cause: str) -> None:
    found = diagnose(log, 1)
    assert (found.failure_class, found.cause) == (failure_class, cause)


HANG = (
    "(EngineCore pid=2) INFO 11-20 10:00:00 [shm_broadcast.py:7] No available shared memory broadcast "
    "block found in 60 seconds.\n"
)


def test_a_hang_is_the_cause_of_its_consequence() -> None:
    log = HANG + said(
        CORE, "EngineCore encountered a fatal error.", "TimeoutError: RPC call to sample_tokens timed out."
    )
    found = diagnose(log)
    assert (found.failure_class, found.cause[:19]) == ("shm.hang", "No available shared")
    assert "NCCL_P2P_DISABLE" in found.advice and "shm_size" not in found.advice
    assert (
        diagnose(HANG + said(WORKER, OOM) + said(CORE, "TimeoutError: RPC call to x timed out."), 1).failure_class
        == "oom"
    )


KV_NONE = "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`"
NO_BACKEND = (
    "ValueError: No valid attention backend found for cuda with X. Reasons: {FLASH_ATTN: "
    "[kv_cache_dtype not supported]}."
)


@pytest.mark.parametrize(
    ("text", "arguments", "advised", "never"),
    [
        (KV_NONE, {"num_gpu_blocks_override": 1}, "num_gpu_blocks_override (it is 1)", "smaller model"),
        (
            KV_NONE,
            {"gpu_memory_utilization": 0.3},
            "raise gpu_memory_utilization (it is 0.3)",
            "num_gpu_blocks_override",
        ),
        (KV_NONE, {}, "smaller or quantized model", "num_gpu_blocks_override"),
        (
            NO_BACKEND,
            {"attention_backend": "FLASHMLA"},
            "Leave attention_backend (it is FLASHMLA) out",
            "another model",
        ),
        (
            NO_BACKEND,
            {"kv_cache_dtype": "fp8"},
            "Set kv_cache_dtype to auto instead of kv_cache_dtype (it is fp8)",
            "another model",
        ),
        (NO_BACKEND, {}, "set kv_cache_dtype to another one", "attention_backend"),
        (
            NO_BACKEND.replace("]}", ", head_size not supported], TRITON_ATTN: [head_size not supported]}"),
            {},
            "another model, another GPU",
            "kv_cache_dtype",
        ),
        (
            "ValueError: Unknown quantization method: x. Must be one of ['awq'].",
            {"quantization": "x"},
            "Leave quantization (it is x) out",
            "newer image",
        ),
        (
            "ValueError: Cannot use draft_tensor_parallel_size with enable_lora, or so.",
            {"enable_lora": True},
            "vLLM refuses how enable_lora (it is True) is set",
            "Look for the line",
        ),
        ("ValueError: --headless needs --node-rank.", {}, "vLLM refuses how headless, node_rank is set", "leave"),
    ],
)
def test_advice_names_what_is_set_and_nothing_else(
    text: str, arguments: dict[str, object], advised: str, never: str
) -> None:
    found = diagnose(said(CORE, text), 1, release={"arguments": arguments, "env": {}})
    assert advised in found.advice
    assert never not in found.advice


NINJA = "subprocess.CalledProcessError: Command '['ninja', '-v', '-C', '/x']' returned non-zero exit status 1."
PARAMS = "  Value error, Found unknown quantization='{'mode': 'x'}' in config [type=value_error]"
PATH_AS_NAME = "OSError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '{}'."
NO_VALUE = "vllm: error: argument --enable-x/--no-enable-x: ignored explicit argument 'true'"
BACKEND = "ValueError: Unknown attention backend: 'TRITON'. Valid options are: FLASH_ATTN, TRITON_ATTN"
RUNNER = "RuntimeError: [FP4 gemm Runner] Failed to initialize cutlass FP4 gemm on sm120/sm121. Error: Error Internal"
FLASHINFER = "RuntimeError: No supported CUDA architectures found for major versions [9, 10]."


@pytest.mark.parametrize(
    ("line", "failure_class", "advised"),
    [
        ("nvcc fatal   : Unsupported gpu architecture 'compute_120a'", "arch.cuda", "newer CUDA"),
        ("/bin/sh: 1: /usr/local/cuda/bin/nvcc: not found", "jit.build", "no nvcc where it is looked for"),
        ("/x/a.cu:3:10: fatal error: cuda.h: No such file or directory", "jit.build", "compiler"),
        ("/bin/sh: 1: c++: not found", "jit.build", "compiler"),
    ],
)
def test_a_compiler_says_itself_why_a_build_failed(line: str, failure_class: str, advised: str) -> None:
    found = diagnose(f"FAILED: a.cuda.o\n{line}\n" + said(CORE, NINJA), 1)
    assert (found.failure_class, found.cause) == (failure_class, " ".join(line.split()))
    assert advised in found.advice


def test_the_compiler_of_another_failure_is_not_its_cause() -> None:
    log = "nvcc fatal   : Unsupported gpu architecture 'compute_120a'\n" + said(CORE, KV_NONE)
    assert diagnose(log, 1).failure_class == "kv.none"
    assert diagnose("/bin/sh: 1: nvcc: not found\n" + said(CORE, KV_NONE), 1).failure_class == "kv.none"


@pytest.mark.parametrize(
    ("line", "release", "advised", "never"),
    [
        ("/bin/sh: 1: /x/bin/nvcc: not found", {"env": {"CUDA_HOME": ":/x"}}, "CUDA_HOME (it is :/x) says", "toolkit"),
        ("/bin/sh: 1: /x/bin/nvcc: not found", {"env": {}}, "an image with the CUDA toolkit", "correct it"),
        (PARAMS, {"arguments": {"config_format": "mistral"}}, "config_format (it is mistral) out", "was quantized"),
        (PARAMS, {"arguments": {}}, "does not know how the model was quantized", "config_format"),
        (PATH_AS_NAME.format("/models/x"), {}, "no folder with a model in the container", "gated"),
        (PATH_AS_NAME.format("a/b/c"), {}, "correct its name", "no folder"),
        (FLASHINFER, {}, "of compute capability only: 9, 10.", "of SM 12"),
        (NO_VALUE, {}, "enable_x takes no value behind it", "expects"),
        (
            BACKEND,
            {"arguments": {"attention_backend": "TRITON"}},
            "correct attention_backend (it is TRITON)",
            "choices",
        ),
        (RUNNER, {}, "linear_backend: marlin", "backend of attention"),
    ],
)
def test_advice_is_what_the_line_and_the_settings_say(
    line: str, release: dict[str, dict[str, str]], advised: str, never: str
) -> None:
    found = diagnose(said(CORE, line), 1, release={"arguments": {}, "env": {}} | release)
    assert advised in found.advice
    assert never not in found.advice


@pytest.mark.parametrize(
    ("frame", "line", "failure_class", "advised"),
    [
        # config/vllm.py of 0.11 reads the files' quantization with the image's compressed-tensors.
        (
            "pydantic/_internal/_dataclasses.py",
            (
                "pydantic_core._pydantic_core.ValidationError: 2 validation errors for VllmConfig\nscale_dtype\n"
                "  Extra inputs are not permitted [type=extra_forbidden, input_value=None, input_type=NoneType]"
            ),
            "model.newer",
            "use a newer image",
        ),
        (
            "pydantic/_internal/_dataclasses.py",
            (
                "pydantic_core._pydantic_core.ValidationError: 1 validation error for CompilationConfig\nnope\n"
                "  Extra inputs are not permitted [type=extra_forbidden, input_value=1, input_type=int]"
            ),
            "flag.json_key",
            "Remove the key",
        ),
        (
            "vllm/distributed/kv_transfer/kv_connector/v1/multi_connector.py",
            "ValueError: Duplicated timeseries in CollectorRegistry: {'vllm:x'}",
            "kv.connector",
            "keep one of them",
        ),
        ("vllm/v1/metrics/loggers.py", "ValueError: Duplicated timeseries in CollectorRegistry: {'x'}", "unknown", ""),
        ("/x/vllm/v1/attention/a.py", "AttributeError: 'X' object has no attribute 'y'", "unknown", "another release"),
        ("/x/plugin/a.py", "AttributeError: 'X' object has no attribute 'y'", "unknown", "report it"),
    ],
)
def test_what_a_line_means_by_where_it_was(frame: str, line: str, failure_class: str, advised: str) -> None:
    frames = ('  File "a.py", line 1, in g', f'  File "{frame}", line 7, in f', "    x()")
    found = diagnose(said(CORE, TRACEBACK, *frames, *line.split("\n")), 1)
    assert found.failure_class == failure_class
    assert advised in found.advice
    assert ("another release" in found.advice) == (advised == "another release")


def test_pages_that_an_assertion_without_a_word_stops() -> None:
    # vllm#43626.
    frames = (
        '  File "vllm/v1/core/kv_cache_utils.py", line 1042, in unify_kv_cache_spec_page_size',
        "    assert x == y",
    )
    log = said(CORE, TRACEBACK, *frames, "AssertionError")
    assert diagnose(log, 1).failure_class == "kv.page_size"
    set_by = diagnose(
        said(CORE, "NotImplementedError: The page size of the layer is not divisible by the maximum page size."),
        1,
        release={"arguments": {"kv_cache_dtype": "fp8"}},
    )
    assert "with kv_cache_dtype (it is fp8)" in set_by.advice


@pytest.mark.parametrize(
    ("file", "name", "drafter"),
    [
        ("vllm/v1/spec_decode/eagle.py", "XForCausalLM", True),
        ("vllm/config/speculative.py", "XForCausalLM", True),
        ("vllm/v1/worker/gpu_model_runner.py", "EagleXForCausalLM", True),
        ("vllm/v1/worker/gpu_model_runner.py", "XMTP", True),
        ("vllm/v1/worker/gpu_model_runner.py", "XForCausalLM", False),
    ],
)
def test_an_architecture_that_is_the_drafters_is_not_the_models(file: str, name: str, drafter: bool) -> None:
    frames = ('  File "a.py", line 1, in g', f'  File "{file}", line 7, in f', "    x()")
    text = f"ValueError: Model architectures ['{name}'] are not supported for now. Supported architectures: []"
    found = diagnose(said(CORE, TRACEBACK, *frames, text), 1)
    assert found.failure_class == "model.newer"
    assert ("speculative_config" in found.advice) == drafter


def test_without_a_release_the_engine_says_what_is_set() -> None:
    line = (
        "INFO 11-20 10:00:00 [utils.py:1] non-default args: {'model': 'x', 'num_gpu_blocks_override': "
        "1, 'a': {'b': 1}}\n"
    )
    assert "num_gpu_blocks_override (it is 1)" in diagnose(line + said(CORE, KV_NONE), 1).advice
    applied = "INFO 11-20 10:00:00 [kv.py:1] Overriding num_gpu_blocks=812 with num_gpu_blocks_override=2\n"
    assert "num_gpu_blocks_override (it is 2)" in diagnose(applied + said(CORE, KV_NONE), 1).advice
    assert "num_gpu_blocks_override" not in diagnose(said(CORE, KV_NONE), 1).advice


def test_weights_that_do_not_fit_are_not_helped_by_fewer_requests() -> None:
    advice = diagnose(said(WORKER, "Failed to load model - not enough GPU memory. Try lowering ..."), 1).advice
    assert "no fallback step helps" in advice
    assert "max_num_seqs" not in advice and "sequences" not in advice


@pytest.mark.parametrize(
    ("free", "total", "failure_class", "share"),
    [
        ("30.12", "31.84", "mem.share", "0.94"),
        ("3.1", "11.76", "mem.busy", "0.26"),
        ("22.0", "24.0", "mem.share", "0.91"),
    ],
)
def test_memory_that_a_driver_takes_is_nobodys(free: str, total: str, failure_class: str, share: str) -> None:
    log = (
        f"ValueError: Free memory on device cuda:0 ({free}/{total} GiB) on startup is less than desired "
        "GPU memory utilization"
    )
    found = diagnose(log, 1)
    assert found.failure_class == failure_class
    assert f"gpu_memory_utilization to at most {share}" in found.advice
    assert "nother process" not in found.advice


def test_numbers_of_the_line_are_in_the_advice() -> None:
    log = "ValueError: max_num_seqs (1024) exceeds available Mamba cache blocks (600). Each decode sequence"
    assert "max_num_seqs to at most 600" in diagnose(log, 1).advice
    assert (
        "max_lora_rank to at least 64"
        in diagnose("ValueError: LoRA rank 64 is greater than max_lora_rank 16.", 1).advice
    )
    error = (
        "vllm: error: argument --compilation-config/-cc: 1 validation error for CompilationConfig\n  "
        "Input should be an object"
    )
    found = diagnose(error, 2)
    assert (found.failure_class, found.cause[-26:]) == ("flag.type", "  Input should be an object"[1:])
    assert "the type of compilation_config" in found.advice


@pytest.mark.parametrize(
    ("log", "exit_code", "oom_killed", "failure_class", "words"),
    [
        ("INFO all is well", 137, True, "host.oom", "ran out of memory (exit code 137)"),
        (OOM, 0, True, "host.oom", "ran out of memory (exit code 0)"),
        ("INFO all is well", 137, False, "host.killed", "a SIGKILL (exit code 137)"),
        ("vllm: error: unrecognized arguments: --nope", 137, False, "flag.unknown", "unrecognized arguments"),
        ("ValueError: the moon", 137, False, "unknown", "the moon"),
        (WRAPPERS, 137, False, "host.killed", "a SIGKILL (exit code 137)"),
        ("vllm: error: unrecognized arguments: --nope", 0, False, "flag.unknown", "unrecognized arguments"),
        ("vllm: error: unrecognized arguments: --nope", None, False, "flag.unknown", "unrecognized arguments"),
    ],
)
def test_a_kill_is_told_where_the_log_knows_no_cause(
    log: str, exit_code: int | None, oom_killed: bool, failure_class: str, words: str
) -> None:
    found = diagnose(log, exit_code, oom_killed)
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
