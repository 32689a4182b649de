# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures for want of room: in the GPU's memory, in its KV cache, in the host's memory and on its disks.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .kind import Case, Kind

_LOADING = r"\bin (?:load_model|initialize_model|create_weights|load_weights|process_weights_after_loading)\b"
_CAPTURING = r"\bin (?:capture_model|_capture_cudagraphs|capture_graphs?)\b"
_OUT = r"CUDA out of memory|OutOfMemoryError: |CUDA [Ee]rror: out of memory|CUBLAS_STATUS_ALLOC_FAILED|"
_OUT += r"(?:CUDA\]|cudaMalloc failed|CUDA driver error): ?out of memory|Cuda failure (?:\d+ )?'out of memory'"
_BLOCKS = (
    "{set} leaves the KV cache this few blocks, whatever is free: leave it out, or set it to at least the "
    "number of blocks that "
    "one request of max_model_len needs."
)
_BYTES = (
    "{set} is all that the KV cache gets, whatever is free, and gpu_memory_utilization changes nothing: leave it "
    "out, or "
    "set it to at least what one request of max_model_len needs, or lower max_model_len."
)
# The share is filled with weights first; what a run takes counts as the engine's own, and so does what another program
# takes meanwhile (vllm/v1/worker/gpu_worker.py, determine_available_memory).
_BESIDE_WEIGHTS = (
    "Where the weights are less than the share, it is what a run takes (fewer videos or images: limit_mm_per_prompt), "
    "or memory that another program took while this engine measured: start one engine after the other."
)
ESTIMATED_LENGTH = r"estimated maximum model length is (?P<length>\d+)"
_TOO_SMALL = (
    r"larger than (?:the available KV cache memory|the maximum number of tokens that can be stored in KV cache)"
)

KINDS: tuple[Kind, ...] = (
    Kind(
        "mem.weights",
        "the weights alone are more than the GPU has",
        "The weights do not fit: no other number of requests and no fallback step helps. Use a "
        "quantized build, a smaller "
        "model, or more GPUs (tensor_parallel_size).",
        (
            Case(r"Failed to load model - not enough GPU memory", since="0.15.1"),
            Case(_OUT, frames=_LOADING),
        ),
        lead=True,
    ),
    Kind(
        "kv.none",
        "weights and batch leave nothing for the KV cache",
        "The weights and a run of the largest batch leave no room: use a higher gpu_memory_utilization, a smaller or "
        f"quantized model, or more GPUs. {_BESIDE_WEIGHTS}",
        (
            Case(r"No available memory for the cache blocks", _BLOCKS, set_by=("num_gpu_blocks_override",)),
            Case(r"No available memory for the cache blocks", _BYTES, set_by=("kv_cache_memory_bytes",)),
            Case(
                r"No available memory for the cache blocks",
                "The weights and the batch leave no room in the share of the GPU that is asked for: raise "
                "{set}, lower "
                f"max_num_batched_tokens, or use a quantized or smaller model, or more GPUs. {_BESIDE_WEIGHTS}",
                set_by=("gpu_memory_utilization",),
            ),
            Case(r"No available memory for the cache blocks"),
        ),
        step="fewer sequences and batched tokens",
    ),
    Kind(
        "kv.too_small",
        "the KV cache does not hold one request of the length that is asked for",
        "Lower max_model_len to the estimate in the log, or raise gpu_memory_utilization.",
        (
            Case(_TOO_SMALL, _BLOCKS, set_by=("num_gpu_blocks_override",)),
            Case(_TOO_SMALL, _BYTES, set_by=("kv_cache_memory_bytes",)),
            Case(
                _TOO_SMALL + ".{0,200}" + ESTIMATED_LENGTH,
                "Lower max_model_len to at most {length}, or raise gpu_memory_utilization.",
            ),
            Case(_TOO_SMALL),
        ),
        step="fewer sequences and batched tokens, or a shorter max_model_len where that is allowed",
    ),
    Kind(
        "kv.autofit",
        "no length at all fits the KV cache",
        "Use a smaller model or more memory.",
        (
            Case(r"Cannot auto-fit max_model_len: not enough GPU memory", _BLOCKS, set_by=("num_gpu_blocks_override",)),
            Case(r"Cannot auto-fit max_model_len: not enough GPU memory", _BYTES, set_by=("kv_cache_memory_bytes",)),
            Case(r"Cannot auto-fit max_model_len: not enough GPU memory"),
        ),
        step="fewer sequences and batched tokens",
    ),
    Kind(
        "kv.state_blocks",
        "a hybrid model (Mamba, linear attention) has fewer blocks of state than sequences",
        "Lower max_num_seqs, or raise gpu_memory_utilization: each sequence takes a block of state, "
        "whatever its length.",
        (
            Case(
                r"max_num_seqs \(\d+\) exceeds (?:the )?available Mamba cache blocks \((?P<blocks>\d+)\)",
                "Set max_num_seqs to at most {blocks}, or raise gpu_memory_utilization: each sequence "
                "takes a block of state, "
                "whatever its length.",
                since="0.17.0",
            ),
            Case(r"[Mm]amba (?:cache|state).{0,80}(?:exceeds|not enough|insufficient|smaller than)"),
            Case(r"max_num_seqs.{0,80}(?:Mamba|mamba).{0,20}blocks"),
        ),
        step="fewer sequences",
    ),
    Kind(
        "mem.busy",
        "another process holds memory of the GPU",
        "Much of the GPU's memory is taken (`nvidia-smi` shows by what): free it, or lower gpu_memory_utilization.",
        (
            Case(r"Free memory on device.{0,80} on startup is less than"),
            Case(r"cudaGetDeviceCount\(\).{0,200}[Ee]rror 2: out of memory"),
            Case(r"Externally held weights on device", since="0.33.0"),
        ),
        of_the_moment=True,
    ),
    Kind(
        "mem.raced",
        "the GPU's free memory changed while it was measured",
        "Another process changed its GPU memory during the start: try again.",
        (Case(r"Error in memory profiling"),),
        of_the_moment=True,
    ),
    Kind(
        "mem.cpu",
        "the CPU build asks for more of the host's memory than is free",
        "Lower VLLM_CPU_KVCACHE_SPACE or gpu_memory_utilization, or free memory on the host.",
        (
            Case(r"Available memory on node .{0,80}is less than (?:desired CPU memory|requested memory for kv)"),
            Case(r"less than requested memory for kv|of CPU memory reserved for it on node"),
        ),
        step="a smaller share",
    ),
    Kind(
        "mem.host",
        "the host gives no more memory, or none that is pinned",
        "Look at the host's free memory, at its limits for locked (pinned) memory (`ulimit -l`, memlock), "
        "and at what the kernel "
        "says (`dmesg`); less CPU offload and a smaller kv_offloading_size need less.",
        (
            Case(
                r"OS call failed or operation not supported on this OS",
                "The host did not give pinned memory: raise its limit for locked memory (`ulimit -l`, "
                "memlock), see whether memory "
                "is left, and look for messages of the driver in `dmesg`. A container that lost its GPUs "
                "says so too.",
            ),
            Case(
                r"DefaultCPUAllocator: (?:can't|not enough|not able)|\[Errno 12\] Cannot allocate memory|"
                r"\bMemoryError\b"
            ),
            Case(r"cudaHost(?:Alloc|Register).{0,80}(?:fail|error)|pin_memory.{0,60}fail|UVA is not available"),
            Case(r"requires uva \(pin memory\)"),
            Case(r"std::bad_alloc|Cannot allocate memory \((?:os error )?12\)|node running low on memory"),
        ),
    ),
    Kind(
        "host.limits",
        "the host or the container allows no more threads, processes or open files",
        "Raise the limit on the host: of processes and threads (pids, `ulimit -u`) or of open files (`ulimit -n`).",
        (
            Case(r"can't start new thread|pthread_create failed|Resource temporarily unavailable"),
            Case(r"Too many open files"),
        ),
    ),
    Kind(
        "oom",
        "out of the GPU's memory beside the share that vLLM counts",
        "Lower gpu_memory_utilization, which leaves more memory beside vLLM's own, or max_num_seqs and "
        "max_num_batched_tokens.",
        (
            Case(
                _OUT,
                "Lower gpu_memory_utilization, which leaves more memory for graphs beside vLLM's own, or "
                "capture fewer: lower "
                "max_num_seqs, or set enforce_eager.",
                frames=_CAPTURING,
            ),
            Case(_OUT),
        ),
        step="a smaller share, then fewer sequences and batched tokens",
        general=True,
    ),
    Kind(
        "shm.small",
        "`/dev/shm` of the container is full",
        "Raise vllm_server_shm_size_mib.",
        (
            Case(r"Insufficient space in /dev/shm|No space left on device: '/dev/shm"),
            Case(r"(?:creating|attaching to|extend) shared memory segment /dev/shm|/dev/shm/nccl-\S+.{0,60}\(size"),
            Case(r"unable to (?:allocate|open|write to file|mmap).{0,60}(?:shared memory|</?torch_)"),
            Case(r"insufficient shared memory"),
        ),
        lead=True,
    ),
    Kind(
        "disk.full",
        "a disk is full",
        "Make room on the disk that the line names.",
        (Case(r"[Nn]o space left on device|\[Errno 28\]|Disk quota exceeded"),),
        of_the_moment=True,
    ),
)
