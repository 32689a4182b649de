# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every class of failures, with the texts of the releases and libraries that have them, below an engine's wrappers."""

from __future__ import annotations

import re

import pytest
import yaml

from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis.diagnosis import diagnose
from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis.failures import BESIDES, NAMED
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.fallback import CLASSES
from ansible_collections.gpufleet.vllm.tests.conftest import CHECKOUT
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._engine.engine_logs import CORE, WRAPPERS

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
            "ValueError: The model's max seq len (4096) is larger than the maximum number of tokens that "
            "can be stored "
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
    ("shm.small", "RuntimeError: Insufficient space in /dev/shm. Needed 100, available 64"),
    ("shm.small", "OSError: [Errno 28] No space left on device: '/dev/shm/x'"),
    ("cpu.attention", "NotImplementedError: Unsupported CPU attention configuration: head_dim 16"),
    # vllm/config/compilation.py 0.33.0, seen on hybrid models since 0.17 (a field report of 0.18).
    (
        "kv.state_blocks",
        "ValueError: max_num_seqs (1024) exceeds available Mamba cache blocks (600). Each decode sequence requires one",
    ),
    # vllm/v1/worker/gpu_model_runner.py 0.19.1.
    (
        "mem.weights",
        "Failed to load model - not enough GPU memory. Try lowering --gpu-memory-utilization to free memory",
    ),
    # vllm/v1/worker/utils.py 0.33.0, cpu_worker.py 0.33.0.
    ("mem.busy", "ValueError: Externally held weights on device cuda:0 (20.1/24 GiB) exceed the desired GPU memory"),
    (
        "mem.cpu",
        "ValueError: The worker already uses 9 GiB, more than the 4 GiB of CPU memory reserved for it on node 0",
    ),
    # CUDA, torch, Python, Linux.
    ("mem.host", "torch.AcceleratorError: CUDA error: OS call failed or operation not supported on this OS"),
    ("mem.host", "RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried to allocate 1073741824 bytes."),
    ("host.limits", "RuntimeError: can't start new thread"),
    ("host.limits", "OSError: [Errno 24] Too many open files"),
    ("oom", "torch.AcceleratorError: CUDA error: out of memory"),
    # argparse with pydantic 2: vllm/engine/arg_utils.py.
    ("flag.type", "vllm: error: argument --compilation-config/-cc: 1 validation error for CompilationConfig"),
    (
        "flag.choice",
        "  Input should be 'auto', 'half' or 'float' [type=literal_error, input_value='x', input_type=str]",
    ),
    ("flag.choice", "ValueError: Invalid value 'x' for VLLM_ATTENTION_BACKEND. Valid options: ['FLASH_ATTN']."),
    ("env.port", "ValueError: VLLM_PORT 'tcp://10.0.0.1:8000' appears to be a URI. This may be caused by a Kubernetes"),
    ("parser.name", "KeyError: \"Tool parser 'x' not found. Available: hermes\""),
    # vllm/config/scheduler.py 0.33.0.
    (
        "batch.small",
        "  Value error, max_num_batched_tokens (2048) is smaller than max_model_len (8192). This effectively limits",
    ),
    (
        "batch.small",
        "ValueError: Chunked MM input disabled but max_tokens_per_mm_item (4096) is larger than max_num_batched_tokens",
    ),
    (
        "tp.divide",
        "ValueError: Weight input_size_per_partition=4736 is not divisible by group_size=128. This happens when",
    ),
    (
        "tp.divide",
        "ValueError: Weight output_partition_size = 1152 is not divisible by weight quantization block_n = 128.",
    ),
    ("tp.gpus", "RuntimeError: CUDA error: invalid device ordinal"),
    ("dtype.model", "ValueError: The model type 'gemma2' does not support float16. Reason: Numerical instability."),
    ("quant.config", "ValueError: Unknown quantization method: x. Must be one of ['awq']."),
    (
        "moe.backend",
        "ValueError: moe_backend='marlin' is not supported for unquantized MoE. Expected one of ['triton'].",
    ),
    # FlashInfer's comm/allreduce.py.
    ("fusion.multicast", "RuntimeError: [SymmDeviceMemory] Device does not support multicasting."),
    # vllm/lora 0.33.0.
    ("lora.rank", "ValueError: LoRA rank 64 is greater than max_lora_rank 16."),
    ("lora.adapter", "ValueError: While loading /a, expected target modules in {'q_proj'} but received ['w1']."),
    ("lora.adapter", "ValueError: Phi4 does not support LoRA yet."),
    ("attention.none", "ValueError: No valid MLA prefill backend found with MLADims. Reasons: {...}"),
    # Docker, NVIDIA's container toolkit.
    (
        "cdi.stale",
        "OCI runtime create failed: failed to fulfil mount request: open /usr/lib/libnvidia-gtk3.so.1: no such file",
    ),
    ("cdi.stale", "failed to create task: failed to inject CDI devices: unresolvable CDI devices nvidia.com/gpu=GPU-1"),
    ("driver.mismatch", "Failed to initialize NVML: Driver/library version mismatch"),
    ("driver.compat", "RuntimeError: Error 803: system has unsupported display driver / cuda driver combination"),
    ("gpu.fabric", "RuntimeError: Unexpected error from cudaGetDeviceCount(). Error 802: system not yet initialized"),
    ("driver.old", "torch.AcceleratorError: CUDA error: the provided PTX was compiled with an unsupported toolchain."),
    ("driver.old", "RuntimeError: CUDA error: CUDA driver version is insufficient for CUDA runtime version"),
    ("gpu.lost", "pynvml.NVMLError_Unknown: Unknown Error"),
    # vllm/config/device.py since 0.10: torch is asked for a device whose name nobody found.
    ("gpu.none", "RuntimeError: Device string must not be empty"),
    ("gpu.none", "ImportError: libcuda.so.1: cannot open shared object file: No such file or directory"),
    # FlashInfer's compilation_context.py, nvcc, ptxas.
    ("arch.cuda", "RuntimeError: SM 12.x requires CUDA >= 12.9"),
    ("arch.cuda", "RuntimeError: No supported CUDA architectures found for major versions [12]."),
    ("arch.cuda", "nvcc fatal   : Unsupported gpu architecture 'compute_120a'"),
    ("arch.cuda", "ptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'"),
    ("jit.build", "RuntimeError: Could not find nvcc and default cuda_home='/usr/local/cuda' doesn't exist"),
    ("jit.build", "nvcc fatal : Unknown option '-static-global-template-stub=false'"),
    (
        "jit.build",
        "RuntimeError: Failed to find C compiler. Please specify via CC environment variable or set triton.knobs",
    ),
    ("jit.build", "/tmp/main.c:5:10: fatal error: Python.h: No such file or directory"),
    (
        "jit.build",
        "torch._inductor.exc.InductorError: CalledProcessError: Command '['/usr/bin/gcc', '/tmp/main.c']' returned",
    ),
    ("image.cuda", "ImportError: libcudart.so.13: cannot open shared object file: No such file or directory"),
    ("image.cuda", "ImportError: /opt/vllm/_C.abi3.so: undefined symbol: _ZN3c104cuda9SetDeviceEi"),
    ("gpu.fault", "torch.AcceleratorError: CUDA error: an illegal memory access was encountered"),
    ("gpu.fault", "RuntimeError: CUDA error: uncorrectable NVLink error detected during the execution"),
    ("nccl.error", "RuntimeError: NCCL error: unhandled system error (run with NCCL_DEBUG=INFO for details)"),
    ("p2p.failed", "RuntimeError: Error happened when batch testing peer-to-peer access from (0, 1) to (1, 0): x"),
    ("shm.hang", "TimeoutError: RPC call to sample_tokens timed out."),
    ("shm.hang", "Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1, OpType=ALLREDUCE)"),
    ("shm.small", "NCCL WARN Error while creating shared memory segment /dev/shm/nccl-x (size 7340384)"),
    # huggingface_hub 2.4, transformers 4.57, tokenizers 0.23.
    ("model.gated", "OSError: You are trying to access a gated repo."),
    (
        "model.gated",
        "requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: https://hub.test/x/config.json",
    ),
    (
        "model.missing",
        "huggingface_hub.errors.OfflineModeIsEnabled: Cannot reach https://hub.test/x: offline mode is enabled.",
    ),
    ("model.missing", "OSError: acme/x does not appear to have a file named config.json."),
    ("model.missing", "RuntimeError: Cannot find any model weights with `acme/x`"),
    (
        "model.newer",
        "  Value error, The checkpoint has model type `new` but Transformers does not recognize this architecture.",
    ),
    (
        "model.newer",
        "ValueError: Model architectures ['NewForCausalLM'] are not supported for now. Supported architectures: x",
    ),
    ("model.newer", "Exception: data did not match any variant of untagged enum ModelWrapper at line 1 column 3"),
    ("model.newer", "AttributeError: Qwen2Tokenizer has no attribute all_special_tokens_extended. Did you mean: 'x'?"),
    ("model.tensors", "KeyError: 'layers.0.mlp.experts.w13_bias'"),
    ("model.tensors", "ValueError: There is no module or parameter named 'lm_head.qweight' in LlamaForCausalLM."),
    ("model.tensors", "ValueError: Following weights were not initialized from checkpoint: {'lm_head.weight'}"),
    (
        "model.code",
        "ValueError: The repository acme/x contains custom code which must be executed to correctly load the model.",
    ),
    ("image.package", "ModuleNotFoundError: No module named 'mamba_ssm'"),
    ("image.command", 'exec: "vllm": executable file not found in $PATH: unknown'),
    (
        "start.guard",
        "RuntimeError: An attempt has been made to start a new process before the current process has finished",
    ),
    (
        "start.fork",
        "RuntimeError: Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, you must",
    ),
    (
        "start.slow",
        "TimeoutError: Timed out waiting for engine core processes to start. This is often caused by slow weight",
    ),
    ("cache.readonly", "PermissionError: [Errno 13] Permission denied: '/cache/vllm'"),
    ("cache.readonly", "OSError: [Errno 30] Read-only file system: '/cache'"),
    ("cache.readonly", "KeyError: 'getpwuid(): uid not found: 2000'"),
    (
        "backend.absent",
        "RuntimeError: FlashInfer backend is not available. Please install the package to enable FlashInfer",
    ),
    (
        "backend.absent",
        "RuntimeError: DeepGEMM backend is unavailable in the current vLLM environment, or the available DeepGEMM",
    ),
    ("kernel.resources", "triton.runtime.errors.OutOfResources: out of resource: shared memory, Required: 114688"),
    ("compile.failed", "torch._dynamo.exc.Unsupported: Unexpected type in sourceless builder"),
    ("compile.failed", "RuntimeError: CUDA error: operation not permitted when stream is capturing"),
    ("compile.cache", "OSError: torch_compile_cache/0a/rank_0_0/computation_graph.py: No such file or directory"),
    ("compile.cache", "AttributeError: '_OpNamespace' 'vllm' object has no attribute 'flashinfer_mm_fp4'"),
    ("p2p.failed", "RuntimeError: pidfd_getfd: Operation not permitted"),
    ("net.ranks", "RuntimeError: Gloo connectFullMesh failed with [pair.cc:144] no error"),
    (
        "model.inspect",
        "ValueError: Model architectures ['LlamaForCausalLM'] failed to be inspected. Please check the logs",
    ),
    ("model.config", "ValueError: Unrecognized model in /models/x. Should have a `model_type` key in its config.json."),
    ("image.package", "ImportError: libGL.so.1: cannot open shared object file: No such file or directory"),
    ("image.cuda", "RuntimeError: operator torchvision::nms does not exist"),
    ("port.internal", "OSError: [Errno 98] Address already in use"),  # as the engine core says it
    ("port.busy", "driver failed programming external connectivity: Bind for 0.0.0.0:8000: port is already allocated"),
    ("model.newer", "Value error, ModelOpt currently only supports: ['FP8', 'NVFP4'] quantizations in vLLM. Please"),
    ("arch.cuda", "RuntimeError: FlashInfer requires GPUs with sm75 or higher"),
    ("gpu.none", 'OCI runtime create failed: exec: "nvidia-container-runtime": executable file not found in $PATH'),
    ("kernel.absent", "RuntimeError: Currently, block scaled fp8 gemm is not implemented for Blackwell"),
    ("kernel.absent", "NotImplementedError: No NvFp4 MoE backend supports the deployment configuration."),
    ("image.mixed", "ValueError: 'aimv2' is already used by a Transformers config, pick another name."),
    ("gpu.hook", "invoking the NVIDIA Container Runtime Hook directly (e.g. by --gpus) is not supported."),
    (
        "flag.type",
        "vllm serve: error: argument --limit-mm-per-prompt: Value image=4 cannot be converted to <function loads>.",
    ),
    (
        "compile.cache",
        "RuntimeError: The most likely reason is a corrupted compilation artifact. We recommend removing",
    ),
    ("kernel.absent", "RuntimeError: bmm_fp8_internal_cublaslt failed: CUBLAS_STATUS_NOT_SUPPORTED"),
    ("kv.fp8", "NotImplementedError: FlashAttention V1 with FP8 KV cache not yet supported"),
    ("tp.divide", "RuntimeError: size_k must divisible by BLOCK_SIZE_K"),
    (
        "tp.divide",
        "AssertionError: n_physical_experts=256 must be divisible by ep_size=3. Adjust num_redundant_experts.",
    ),
    ("tp.divide", "ValueError: The input size is not aligned. This can be caused by too large tensor parallel size."),
    ("jit.build", "/usr/bin/ld: cannot find -lcuda: No such file or directory"),
    ("model.missing", "requests.exceptions.HTTPError: 429 Client Error: Too Many Requests for url: https://hub.test/x"),
    (
        "model.broken",
        "OSError: Consistency check failed: file should be of size 4976 but has size 12 (model.safetensors)",
    ),
    ("model.config", "_pickle.UnpicklingError: Weights only load failed. This file can still be loaded"),
    ("model.newer", "huggingface_hub.errors.StrictDataclassFieldValidationError: Validation error for field 'rope'"),
    ("image.mixed", "ImportError: cannot import name 'x' from 'triton.compiler'"),
    ("quant.config", "ValueError: Unknown ModelOpt quant algo: MIXED_PRECISION"),
    # Threads of 2025 and 2026, in other words: vLLM's adapter of Mistral's params.json, its ModelConfig, and loaders.
    ("quant.config", "  Value error, Found unknown quantization='{'mode': 'x'}' in config [type=value_error]"),
    (
        "model.config",
        "  Value error, No model architectures are specified [type=value_error, input_value=ArgsKwargs()]",
    ),
    ("model.missing", "OSError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/models/acme/x'."),
    # DeepGEMM: csrc/apis/layout.hpp on a GPU it has no kernels for, csrc/jit/kernel_runtime.hpp without cuobjdump.
    ("kernel.absent", "RuntimeError: Assertion error (/x/csrc/apis/../layout.hpp:60): Unsupported architecture"),
    ("kernel.absent", "RuntimeError: Assertion error (/x/csrc/apis/layout.hpp:59): Unknown SF transformation"),
    ("kernel.absent", "RuntimeError: Assertion error (/x/csrc/apis/../utils/layout.hpp:76): Unknown recipe"),
    ("jit.build", "RuntimeError: Assertion error (/x/csrc/apis/../jit/kernel_runtime.hpp:45): exit_code == 0"),
    # dash under ninja.
    ("jit.build", "/bin/sh: 1: /usr/local/cuda/bin/nvcc: not found"),
    # torch's TCPStore, zmq.
    (
        "port.internal",
        "torch.distributed.DistNetworkError: The server socket has failed to listen on any address. EADDRINUSE",
    ),
    ("port.internal", "zmq.error.ZMQError: Address already in use (addr='tcp://127.0.0.1:5557')"),
    # vllm#38979 (0.19.0), and the words of 0.32.0: v1/core/kv_cache_utils.py, unify_kv_cache_spec_page_size.
    (
        "kv.page_size",
        (
            "NotImplementedError: The page size of the layer is not divisible by the maximum page size. "
            "Cannot unify by adjusting block_size."
        ),
    ),
    (
        "kv.page_size",
        (
            "NotImplementedError: Layer model.layers.3.self_attn.indexer.k_cache: page size is not divisible by the "
            "maximum page size and cannot be padded."
        ),
    ),
    ("kv.page_size", "ValueError: Failed to promote local KV cache specs to one unified type."),
    # config/speculative.py and v1/spec_decode of 0.32.0.
    ("spec.refused", "ValueError: num_speculative_tokens:3 must be divisible by n_predict=2"),
    ("spec.refused", "ValueError: Target and draft model should have the same vocabulary size. Target model vocab"),
    ("spec.refused", "  Value error, Eagle3 is only supported for Llama models. Got x"),
    (
        "spec.refused",
        "RuntimeError: Model does not support EAGLE3 interface but aux_hidden_state_outputs was requested",
    ),
    ("spec.refused", "NotImplementedError: Speculative Decoding with draft models does not support M-RoPE yet"),
    ("spec.refused", "AssertionError: All drafting layers should belong to the same kv cache group"),
    ("spec.refused", "NotImplementedError: Unsupported speculative method: 'x'"),
    ("spec.refused", "ValueError: The Inkling checkpoint does not contain MTP weights"),
    (
        "pp.refused",
        (
            "NotImplementedError: Pipeline parallelism is not supported for this model. Supported models implement "
            "the `SupportsPP` interface."
        ),
    ),
    ("spec.refused", "ValueError: Custom logits processors are not supported when speculative decoding is enabled."),
    ("kv.connector", "ValueError: Unsupported kv_role: x. Supported roles are y"),
    ("flag.choice", "ValueError: Unknown Mamba SSU backend: 'CUDA'. Valid options are: TRITON, FLASHINFER"),
    ("flag.choice", "ValueError: Invalid compilation mode: x. Valid modes are: NONE, STOCK_TORCH_COMPILE"),
    (
        "model.missing",
        "OSError: Can't load image processor for 'acme/x'. If you were trying to load it from 'https://huggingface.co'",
    ),
    ("pp.refused", "ValueError: Async scheduling is not compatible with pipeline_parallel_size > 1."),
    ("pp.refused", "ValueError: sum(partitions)=60 does not match num_hidden_layers=62."),
    (
        "dcp.refused",
        "AssertionError: tensor parallel size 8 must be greater than total num kv heads 8 when enable decode context",
    ),
    (
        "dcp.refused",
        "AssertionError: DCP requires attention impls to return the softmax lse for decode, but x does not",
    ),
    # config/vllm.py of 0.32.0; torch.
    ("mem.pool", "AssertionError: Expandable segments are not compatible with memory pool."),
    ("mem.pool", "RuntimeError: torch.cuda.MemPool doesn't currently support expandable_segments."),
    (
        "chat.template",
        "ValueError: The supplied chat template string (/x.jinja) appears path-like, but doesn't exist!",
    ),
    # openai_harmony; vllm#22525.
    ("model.missing", "openai_harmony.HarmonyError: error downloading or loading vocab file: failed to download"),
    ("model.missing", "FileNotFoundError: [Errno 2] No such file or directory: '/m/model-00001-of-00004.safetensors'"),
    ("model.newer", "RuntimeError: Unknown gguf model_type: qwen3next"),
    # llm-compressor#973, vllm#23320, vllm#17526.
    (
        "kernel.absent",
        (
            "ValueError: Failed to find a kernel that can implement the WNA16 linear layer. Reasons: "
            "MacheteLinearKernel requires capability 90, current compute capability is 80"
        ),
    ),
    ("image.cuda", "AttributeError: '_OpNamespace' '_C' object has no attribute 'rms_norm'"),
    ("quant.capability", "NotImplementedError: No compiled nvfp4 quantization kernel"),
    ("quant.config", "ValueError: Marlin does not support weight_bits = uint8b128. Only types = [] are supported"),
    (
        "quant.config",
        "AttributeError: Model X does not support BitsAndBytes quantization yet. No 'packed_modules_mapping' found.",
    ),
    ("image.package", "ImportError: libGL.so.1: cannot open shared object file: No such file or directory"),
    ("gpu.none", "RuntimeError: CUDA driver initialization failed, you might not have a CUDA gpu."),
    ("oom", "RuntimeError: CUDA Error: out of memory at /x/csrc/cumem_allocator.cpp:62"),
    ("mem.host", "AssertionError: V1 CPU offloading requires uva (pin memory) support"),
    (
        "batch.small",
        "AssertionError: In Mamba cache align mode, block_size (2096) must be <= max_num_batched_tokens (2048).",
    ),
    ("flag.choice", "ValueError: Unknown attention backend: 'XFORMERS'. Valid options are: FLASH_ATTN"),
    ("net.address", "OSError: [Errno 99] Cannot assign requested address"),
    ("disk.error", "OSError: [Errno 116] Stale file handle: '/models/x/model-00001-of-00004.safetensors'"),
    ("ray.cluster", "ConnectionError: Could not find any running Ray instance. Please specify the one to connect to"),
    (
        "ray.cluster",
        "ValueError: Current node has no GPU available. current_node_resource={}. vLLM engine cannot start",
    ),
    # vllm 0.33.0: v1/engine/utils.py, model_loader/weight_cache and sharded_state_loader.py, config/parallel.py,
    # v1/attention/backends/utils.py, transformers_utils/config.py, config/speculative.py.
    (
        "ray.cluster",
        "ValueError: Not enough resources to allocate 2 placement groups, only created 1 placement groups.",
    ),
    ("ray.cluster", "AssertionError: The DP master node (ip: 10.0.0.1) is missing or dead"),
    ("tp.gpus", 'Exception: Error computing device indices for x: local range: [0, 2) base value: "0"'),
    ("weights.cache", "vllm.x.WeightCacheUnavailableError: Cannot connect to weight cache daemon at /run/x: refused"),
    ("weights.cache", "vllm.x.CacheConfigMismatchError: WeightCacheKey mismatch on fields: dtype"),
    ("flag.json_key", "ValueError: Unexpected extra config keys for load format sharded_state: {'x'}"),
    ("flag.choice", "ValueError: Unrecognized distributed executor backend x. Supported values are 'ray', 'mp'"),
    ("flag.choice", "ValueError: Unknown config format `x`."),
    ("attention.none", "ValueError: The attention backends share no supported KV cache block size (x)."),
    ("model.config", "ValueError: The text_config extracted from the model config does not have `num_attention_heads`"),
    ("image.package", "ImportError: Arctic Inference is required for suffix decoding. Install via `pip install x`."),
    # CUDA, torch, NVML, Triton, FlashInfer.
    ("gpu.busy", "torch.AcceleratorError: CUDA error: CUDA-capable device(s) is/are busy or unavailable"),
    ("gpu.busy", "RuntimeError: CUDA error: MPS client failed to connect to the MPS control daemon or the MPS server"),
    ("gpu.none", "RuntimeError: CUDA unknown error - this may be due to an incorrectly set up environment"),
    ("gpu.none", "pynvml.NVMLError_DriverNotLoaded: Driver Not Loaded"),
    ("gpu.none", "RuntimeError: 0 active drivers ([]). There should only be one."),
    ("tp.gpus", "RuntimeError: Unexpected error from cudaGetDeviceCount(). Error 101: invalid device ordinal"),
    ("mem.busy", "RuntimeError: Unexpected error from cudaGetDeviceCount(). Error 2: out of memory"),
    ("driver.old", "RuntimeError: CUDA error: API call is not supported in the installed CUDA driver"),
    ("kernel.absent", "RuntimeError: FlashInfer Internal Error: Invalid configuration : NUM_MMA_Q=1"),
    (
        "image.cuda",
        "RuntimeError: flashinfer-jit-cache version (0.5.2+cu129) does not match flashinfer version (0.5.3)",
    ),
    ("flag.type", "ValueError: invalid literal for int() with base 10: 'GPU-1a2b'"),
    ("nccl.error", "torch.distributed.DistBackendError: NCCL error, Duplicate GPU detected : rank 1 and rank 0"),
    (
        "shm.hang",
        "torch.distributed.DistStoreError: Timed out after 601 seconds waiting for clients. 1/2 clients joined.",
    ),
    # NVIDIA's container toolkit, Docker, shells, Python.
    ("gpu.none", "nvidia-container-cli: device error: GPU-1a2b: unknown device: unknown"),
    (
        "gpu.hook",
        "nvidia-container-cli: mount error: failed to add device rules: unable to find any existing device filters",
    ),
    ("gpu.hook", "nvidia-container-cli: ldcache error: process /sbin/ldconfig failed with error code: 1: unknown"),
    ("mount.missing", 'invalid mount config for type "bind": bind source path does not exist: /srv/models'),
    ("mount.missing", "IsADirectoryError: [Errno 21] Is a directory: '/etc/vllm/template.jinja'"),
    ("image.command", "bash: line 1: vllm: command not found"),
    ("image.command", "/usr/bin/python3: No module named vllm.entrypoints.openai.api_server"),
    ("disk.full", "failed to register layer: write /x: no space left on device"),
    ("disk.error", "OSError: No such device (os error 19)"),
    ("mem.host", "OSError: Unable to mmap 9976 bytes from file </models/x.safetensors>: Cannot allocate memory (12)"),
    ("mem.host", "ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory."),
    ("cache.readonly", "RuntimeError: could not open /dev/shm/x: Permission denied"),
    (
        "net.address",
        'zmq.error.ZMQError: ipc path "/x/y" is longer than 107 characters (sizeof(sockaddr_un.sun_path)).',
    ),
    # huggingface_hub 1.x with httpx, transformers, sentencepiece, tokenizers.
    (
        "model.gated",
        "huggingface_hub.errors.HfHubHTTPError: 403 Forbidden: None. Cannot access content at: https://hub.test",
    ),
    ("model.missing", "httpx.ReadTimeout: The read operation timed out"),
    ("model.config", "ValueError: Due to a serious vulnerability issue in `torch.load`, even with `weights_only=True`"),
    ("model.broken", "RuntimeError: Internal: could not parse ModelProto from /models/x/tokenizer.model"),
    ("model.broken", "Exception: expected value at line 1 column 1"),
    ("model.config", "json.decoder.JSONDecodeError: Expecting ',' delimiter: line 5 column 3 (char 50)"),
    # Public reports of 2026, in other words: Ray over nodes, NVML, FlashAttention 3, FlashInfer's experts, argparse.
    ("ray.cluster", "ConnectionError: Failed to connect to Ray cluster at 10.2.0.31:31642"),
    ("ray.cluster", "RuntimeError: Every node should have a unique IP address. Got 2 nodes with node ids x"),
    ("tp.gpus", "vllm.third_party.pynvml.NVMLError_InvalidArgument: Invalid Argument"),
    ("dtype.model", "RuntimeError: For FP16/BF16 input, output must have the same dtype as inputs. For FP8 input"),
    ("moe.backend", "ValueError: NvFp4 MoE backend 'FLASHINFER_CUTLASS' does not support the deployment configuration"),
    ("flag.type", "vllm serve: error: argument --compilation-config/-cc: Invalid JSON: expected value at line 2"),
    ("flag.type", "ValueError: enable_multithread_load must be a bool, got str"),
    ("flag.choice", "ValueError: block_size_m must be one of (8, 16, 32, 48, 64), got 4"),
    # argparse, of an argument that is a flag and has a --no- form.
    ("flag.type", "api_server.py: error: argument --enable-x/--no-enable-x: ignored explicit argument 'true'"),
    # FlashInfer's csrc/fp4_gemm_cutlass_sm120.cu and trtllm's TMA descriptors.
    ("kernel.absent", "RuntimeError: [FP4 gemm Runner] Failed to initialize cutlass FP4 gemm on sm120/sm121. Error: x"),
    ("kernel.absent", "RuntimeError: Failed to initialize the TMA descriptor 1"),
    # compressed-tensors, by way of VllmConfig; HAMi's libvgpu, as its own report has it.
    ("quant.config", "  Value error, Must use group quantization strategy in order to apply activation ordering"),
    ("nccl.cumem", "[HAMI-core ERROR (pid:1 thread=2 multiprocess_memory_limit.c:1255)]: Illegal device id: 31069"),
]


@pytest.mark.parametrize(("failure_class", "text"), REAL, ids=[f"{name}: {text[:40]}" for name, text in REAL])
def test_the_cause_is_found_under_its_wrappers(failure_class: str, text: str) -> None:
    found = diagnose(f"INFO starting\n{WRAPPERS}\n{CORE}{text}\n{WRAPPERS}\n", 1)
    assert (found.failure_class, found.cause) == (failure_class, " ".join(text.split())[:300])
    assert "{" not in found.advice
    assert "Read the kept log" not in found.advice


def test_every_class_has_a_real_text() -> None:
    assert set(NAMED) == {failure_class for failure_class, _text in REAL}


def test_a_class_has_one_name() -> None:
    assert not set(NAMED) & set(BESIDES)
    assert set(NAMED) | set(BESIDES) <= set(CLASSES), "a fallback can name every class"


def test_every_class_says_what_to_do_without_a_log() -> None:
    told = {name: (kind.means, kind.advice) for name, kind in NAMED.items()} | dict(BESIDES)
    assert [name for name, texts in told.items() if not all(texts) or re.search(r"[{}|]", "".join(texts))] == []


def test_the_steps_that_help_are_those_of_the_role() -> None:
    path = CHECKOUT / "roles" / "vllm_server" / "vars" / "main" / "fallback.yml"
    (rows,) = yaml.safe_load(path.read_text(encoding="utf-8")).values()
    assert {name for row in rows for name in row["helps"]} == {name for name, kind in NAMED.items() if kind.step}
