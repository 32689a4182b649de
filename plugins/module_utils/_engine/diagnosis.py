# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why an engine failed, from its log, its exit code and what Docker says of it.

The last lines of a vLLM log are wrappers around the cause, so much more than them is searched: the newest MiB. The
texts are those of the vLLM sources from 0.5.5 to 0.33.0 and of torch.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import asdict, dataclass

from .._outside.concealing import concealed_log
from .._outside.printable import printable
from . import log_text, signals


@dataclass(frozen=True)
class Diagnosis:
    """What failed, in the words of a class, the log's own line, and what to do about it."""

    failure_class: str
    cause: str
    advice: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


# (class, pattern of the line that is the cause, advice). The first row that matches any line wins. Lines are short when
# they come here (log_text.LINE), so that no pattern takes long.
CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        "flag.unknown",
        r"error: unrecognized arguments:",
        "Remove the argument or correct its name for this vLLM release.",
    ),
    ("flag.ambiguous", r"error: ambiguous option:", "Write the argument's full name."),
    ("flag.choice", r"error: argument .*invalid choice:", "Use one of the choices that the line lists."),
    ("flag.type", r"error: argument [^:]*: (invalid [^:]* value|expected )", "Correct the value's type."),
    ("flag.json_key", r"Unexpected keyword argument", "Remove the key that this release does not know."),
    ("env.unknown", r"ValueError: Unknown vLLM environment variable detected", "Remove the variable from `env`."),
    ("parser.name", r"Reasoning parser '.*' not found", "Use one of the parsers that the line lists."),
    ("parser.name", r"invalid tool call parser", "Use one of the parsers that the line lists."),
    ("parser.name", r"--enable-auto-tool-choice requires --tool-call-parser", "Set tool_call_parser."),
    (
        "len.config",
        r"User-specified max_model_len .* is greater than the derived max_model_len",
        "Set max_model_len to at most the length that the model was made for.",
    ),
    (
        "kv.none",
        r"No available memory for the cache blocks",
        "The weights leave no room: use a smaller or quantized model, more GPUs, or a higher gpu_memory_utilization.",
    ),
    (
        "kv.too_small",
        r"larger than (the available KV cache memory|the maximum number of tokens that can be stored in KV cache)",
        "Lower max_model_len to the estimate in the log, or raise gpu_memory_utilization.",
    ),
    ("kv.autofit", r"Cannot auto-fit max_model_len: not enough GPU memory", "Use a smaller model or more memory."),
    (
        "mem.busy",
        r"Free memory on device.*is less than desired GPU memory utilization",
        "Another process holds the GPU's memory: stop it, or lower gpu_memory_utilization.",
    ),
    ("mem.raced", r"Error in memory profiling", "Another process changed its GPU memory during the start: try again."),
    (
        "mem.cpu",
        r"Available memory on node .* is less than desired CPU memory|less than requested memory for kv",
        "Lower VLLM_CPU_KVCACHE_SPACE or gpu_memory_utilization, or free memory on the host.",
    ),
    ("oom", r"CUDA out of memory", "Lower max_num_seqs or gpu_memory_utilization."),
    ("tp.divide", r"must be divisible by tensor parallel size", "Use a tensor_parallel_size that divides the heads."),
    ("tp.gpus", r"World size .* is larger than the number of available GPUs", "Give the instance more GPUs."),
    ("dtype.bf16", r"Bfloat16 is only supported on GPUs with compute capability", "Set dtype to half."),
    ("quant.capability", r"The quantization method .* is not supported for the current GPU", "Use another build."),
    (
        "quant.config",
        r"not supported for quantization method|Cannot find the config file for|method specified in the model config",
        "Leave quantization unset, or set it to what the model was quantized with.",
    ),
    (
        "kv.fp8",
        r"FP8 KV cache is not supported by the Triton attention backend|type fp8e4nv not supported",
        "Set kv_cache_dtype to auto: this GPU has no native FP8.",
    ),
    (
        "attention.none",
        r"No valid attention backend found|Selected backend .* is not valid",
        "Unset attention_backend.",
    ),
    (
        "driver.old",
        r"The NVIDIA driver on your system is too old|unsatisfied condition: cuda|forward compatibility was attempted",
        "Update the driver, or use an image built for an older CUDA.",
    ),
    ("gpu.none", r"Failed to infer device type|Found no NVIDIA driver|No CUDA GPUs are available", "Give it a GPU."),
    ("arch.missing", r"no kernel image is available for execution", "Use an image built for this GPU's architecture."),
    (
        "model.missing",
        r"LocalEntryNotFoundError|HFValidationError: Repo id must|is not a local folder and is not a valid model",
        "Put the model on the host, or correct its name.",
    ),
    ("model.broken", r"SafetensorError|Error while deserializing header", "Fetch the model's weights again."),
    ("port.busy", r"Address already in use", "Choose another port, or stop what holds this one."),
    (
        "shm.small",
        r"Insufficient space in /dev/shm|No space left on device: '/dev/shm",
        "Raise vllm_server_shm_size_mib.",
    ),
    ("nccl.cumem", r"\bin ncclCuMem\w+", "Set NCCL_CUMEM_ENABLE to '0' in the instance's `env`."),
    ("disk.full", r"No space left on device", "Make room on the disk that the line names."),
    ("cpu.attention", r"Unsupported CPU attention configuration", "This model does not run on the CPU build."),
)

# What diagnose() finds besides the rows.
FOUND = signals.CLASSES | {"host.oom", "died.silent", "unknown"}

_WRAPPERS = re.compile(
    r"EngineCore failed to start|Engine core initialization failed|WorkerProc initialization failed|"
    r"WorkerProc failed to start|Worker proc .* died unexpectedly|EngineCore encountered an (issue|fatal error)|"
    r"EngineDeadError|Failed core proc|\d+ validation errors? for "
)
_ERROR = re.compile(r"\b(?:\w+(?:Error|Exception)\b:|Value error,) \S")
_PREFIX = re.compile(r"^(?:\(\w[^)]*\)\s+)?(?:(?:ERROR|WARNING|INFO|CRITICAL)\s+\d\S*\s+\S+\s+)?(?:\[[^\]]*\]\s+)?")
_CAUSE_LENGTH = 300
# What a program says that ends itself with SIGABRT.
_ABORT = re.compile(r"what\(\):|Assertion .*failed|Check failed:|terminate called|(?:free|malloc)\w*\(\): |double free")
# All that is left of a process that died without a word.
_SILENT = re.compile(
    r"engine core exited unexpectedly|Engine core proc(?:ess)? \S+ died unexpectedly|"
    r"WorkerProc initialization failed|RayWorkerProc .* died unexpectedly"
)
# A warning of vLLM's, no error: a worker that hangs, or one that compiles for long.
_HANGING = re.compile(r"No available shared memory broadcast block found in \d+ second")


def cleaned(line: str) -> str:
    """The line without secrets and vLLM's process and time prefixes, at most 300 printable characters."""
    return concealed_log(_PREFIX.sub("", printable(line[: log_text.LINE]).strip()).strip())[:_CAUSE_LENGTH]


def _root_error(lines: t.Sequence[str]) -> str:
    candidates = (line for line in lines if _ERROR.search(line))
    return next((line for line in candidates if not _WRAPPERS.search(line)), "")


def _last_words(lines: t.Sequence[str]) -> str:
    return next((line for line in reversed(lines) if line.strip()), "")


def hanging(log: str) -> str:
    """The line in which the engine says that a worker does not take what it is given; '' where none does."""
    return _hanging(log_text.lines(log))


def _hanging(lines: t.Sequence[str]) -> str:
    return cleaned(next((line for line in lines if _HANGING.search(line)), ""))


def _signal(lines: t.Sequence[str], dead: signals.Death, silent: str) -> Diagnosis:
    """A process that a signal ended; one that ended itself has said why."""
    own = next((line for line in lines if _ABORT.search(line)), "") or _root_error(lines)
    line = (own if dead.number == signals.ABORT else "") or dead.line or _last_words(lines)
    signal = dead.signal
    said = cleaned(line) or silent
    return Diagnosis(
        signal.failure_class, f"{dead.who} died of {signal.name} ({signal.meaning}): {said}", signal.advice
    )


def diagnose(log: str, exit_code: int | None = None, oom_killed: bool = False) -> Diagnosis:
    """Name the root cause. exit_code is None while the container runs."""
    if oom_killed or exit_code == 137:
        killer = "the kernel, because the container ran out of memory" if oom_killed else "a SIGKILL"
        return Diagnosis(
            "host.oom" if oom_killed else "host.killed",
            f"the container was ended by {killer} (exit code {exit_code})",
            "Give the host or the container more memory, or plan a smaller model or KV cache.",
        )
    everything = log_text.lines(log)
    lines = [log_text.own_words(line) for line in everything if not log_text.is_harmless(line)]
    for failure_class, pattern, advice in CAUSES:
        search = re.compile(pattern).search
        found = next((line for line in lines if search(line)), None)
        if found is not None:
            return Diagnosis(failure_class, cleaned(found), advice)
    dead = signals.death(lines, exit_code)
    if dead is not None:
        return _signal(lines, dead, _no_error(everything))
    line = _root_error(lines)
    hint = "" if line else _hanging(everything)
    if hint:
        return Diagnosis("shm.hang", hint, "A worker hangs: look at the GPUs, and at what the kernel says.")
    # A warning of vLLM's too: its client finds nobody there.
    silent = next((said for said in everything if _SILENT.search(said)), "")
    if not line and silent:
        return Diagnosis(
            "died.silent",
            f"a process of the engine died without a word: {cleaned(silent)}",
            "`journalctl -k` on the host shows a signal that ended it, or a kill for lack of memory.",
        )
    return Diagnosis("unknown", cleaned(line or _last_words(lines)) or _no_error(everything), "Read the kept log.")


def _no_error(lines: t.Sequence[str]) -> str:
    last = cleaned(log_text.own_words(_last_words(lines)))
    return f"the log names no error, and ends with: {last}" if last else "the log is empty"
