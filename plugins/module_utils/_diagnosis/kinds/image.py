# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures of the image: what it is built for, what it compiles at the start, and what it lacks.

The texts are those of CUDA, Triton, FlashInfer, torch and Python.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .kind import Case, Kind

_NO_NVCC = (
    r"Could not find nvcc|nvcc:?(?: command)? not found|CUDA_HOME environment variable is not set|"
    r"(?:No such file or directory: '\S*nvcc'|nvcc: No such file or directory)"
)

KINDS: tuple[Kind, ...] = (
    Kind(
        "arch.cuda",
        "a CUDA toolkit in the image that does not know this GPU yet",
        "The CUDA in this image does not know this GPU: use an image built with a newer CUDA (for SM 12.x "
        "at least 12.9: cu129 or "
        "cu130), or another backend that is not compiled at the start.",
        (
            Case(r"(?:SM|sm_?|compute capability) ?1\d[\w.+]* requires CUDA ?>= ?(?P<cuda>[\d.]+)"),
            Case(r"requires CUDA (?P<cuda>1\d\.?\d*) or (?:newer|later)"),
            Case(
                r"No supported CUDA architectures found for major versions \[(?P<majors>[\d, ]{1,40})\]",
                "FlashInfer has this kernel for GPUs of these generations of compute capability only: {majors}. On "
                "another GPU choose another backend (moe_backend, attention_backend), or another build of the model. "
                "On one of them the CUDA of the image is too old to compile it (12.x needs 12.9: cu129 or cu130), or "
                "it has no nvcc.",
            ),
            Case(r"[Uu]nsupported gpu architecture|Value 'sm_\w+' is not defined for option 'gpu-name'"),
            Case(r"Unknown CUDA arch|unknown target CPU 'sm_"),
            Case(
                r"FlashInfer requires GPUs with sm75",
                "FlashInfer found no GPU that it can compile for: its compute capability is below 7.5, or newer than "
                "the CUDA toolkit of the image knows (SM 12.x needs 12.9). Use an image with a newer CUDA, or do "
                "without what it compiles: VLLM_USE_FLASHINFER_SAMPLER: '0' in `env`.",
            ),
        ),
        lead=True,
    ),
    Kind(
        "kernel.absent",
        "a kernel that does not exist for this GPU",
        "The image has no such kernel for this GPU: use a newer image, another build of the model (another "
        "quantization), or another "
        "backend (attention_backend, moe_backend) where one can be chosen.",
        (
            Case(
                r"Assertion error \(.{1,300}\): (?:Unsupported arch|Unknown SF transformation|Unknown recipe)",
                "DeepGEMM has no such kernel for this GPU: do without it (VLLM_USE_DEEP_GEMM: '0' in `env`) where the "
                "model runs so; where it needs DeepGEMM, it wants another GPU or a newer image.",
            ),
            Case(
                r"(?:not (?:yet )?(?:implemented|supported)|unsupported) (?:for|on) (?:Blackwell|Hopper|"
                r"Ada|Ampere|Turing|Volta|SM ?\d|sm_?\d)"
            ),
            Case(
                # FlashInfer's gemm runners: csrc/fp4_gemm_cutlass*.cu and fp8_gemm_cutlass*.cu.
                r"\[(?P<kind>\w{1,12}) gemm Runner\].{0,40}Failed to (?:initialize|run|get)|"
                r"Failed to initialize the TMA descriptor",
                "A kernel of FlashInfer does not run on this GPU with this image: choose another one for the layers "
                "(linear_backend: marlin; before vLLM 0.22 VLLM_NVFP4_GEMM_BACKEND: marlin in `env`), use a newer "
                "image, or another build of the model (another quantization).",
            ),
            Case(r"[Nn]o (?:\w+ ){0,4}backend supports the|kernel does not support (?:the )?current device"),
            Case(
                r"only supports? (?:SM|sm_|compute capability|Hopper|Blackwell)|[Uu]nsupported (?:SM|"
                r"compute capability|GPU arch)"
            ),
            Case(
                r"Failed to find a kernel that can implement .{0,900}is not divisible by",
                "No kernel takes this layer as it is split; the line says which sizes do not divide: use a smaller "
                "tensor_parallel_size, or another build of the model (another quantization or group size).",
            ),
            Case(
                r"Failed to find a kernel that can implement",
                "No kernel of the image takes these weights on this GPU; the line says what each lacks (a compute "
                "capability, a dtype): use another build of the model (another quantization), another dtype where it "
                "speaks of one, or a newer image.",
            ),
            Case(r"FlashInfer Internal Error|Failed to launch kernel: invalid|unable to find an engine to execute"),
            Case(r"CUBLAS_STATUS_(?:NOT_SUPPORTED|ARCH_MISMATCH)|cudnnException|CUDNN_STATUS_NOT_SUPPORTED"),
        ),
    ),
    Kind(
        "arch.missing",
        "an image that has no kernels for this GPU",
        "Use an image built for this GPU's architecture.",
        (
            Case(r"no kernel image is available for execution|device kernel image is invalid|invalid device function"),
            Case(r"is not compatible with the current PyTorch installation"),
            Case(r"CUDA error: named symbol not found"),
        ),
    ),
    Kind(
        "jit.build",
        "a kernel that is compiled at the start, and the image has no compiler that can",
        "A kernel could not be compiled in the container: use an image that brings a matching CUDA toolkit "
        "(nvcc) and a C compiler "
        "with headers, or do without the kernel: VLLM_USE_FLASHINFER_SAMPLER: '0' in `env` where it is "
        "FlashInfer's sampler.",
        (
            Case(
                _NO_NVCC,
                "nvcc is not where {set} says: leave it out, and the image's own is used, or correct it.",
                set_by=("CUDA_HOME",),
            ),
            Case(
                _NO_NVCC,
                "There is no nvcc where it is looked for: use an image with the CUDA toolkit (CUDA_HOME names its "
                "folder), or do without what it compiles: VLLM_USE_FLASHINFER_SAMPLER: '0' in `env` where it is "
                "FlashInfer's sampler.",
            ),
            Case(
                r"Assertion error \(\S{0,300}/jit/\S{1,100}:\d+\)|NVCC compilation failed",
                "DeepGEMM compiles its kernels at the start with the image's CUDA tools (nvcc, cuobjdump), and one of "
                "them failed: use an image that has them, such as vLLM's own, or do without it: VLLM_USE_DEEP_GEMM: "
                "'0' in `env`.",
            ),
            Case(
                r"Python\.h: No such file|[Ff]ailed to find C(?:\+\+)? compiler|"
                r"[Nn]o working C\+\+ compiler|InvalidCxxCompiler|"
                r"Command '\['[^']{0,200}(?:gcc|g\+\+|clang|cc)'",
                "Triton and Inductor compile with the image's own C compiler: use an image that has gcc, "
                "Python's headers "
                "(python3-dev) and libcuda, or set enforce_eager, with which less is compiled.",
            ),
            Case(
                r"cannot find -lcuda|collect2: error|ld returned \d",
                "The image's C compiler does not find the driver's libcuda: see that libcuda.so gets into "
                "the container where "
                "the linker looks (LIBRARY_PATH in the instance's `env`), or use another image.",
            ),
            Case(
                r"nvcc fatal|ptxas (?:fatal|error)|Ninja build failed|ninja: build stopped|"
                r"Error building extension"
            ),
            Case(r"CalledProcessError: Command '\['[^']{0,200}(?:ninja|nvcc|ptxas)'"),
            Case(r"No such file or directory: '(?:\S*/)?ninja'|Cannot find ptxas|Ninja is required to load"),
            Case(r"fatal error: \S+\.(?:h|hpp|cuh): No such file"),
            Case(r"JITBuildError|JIT compilation failed|NVRTC_ERROR|nvrtc: error"),
        ),
        lead=True,
    ),
    Kind(
        "kernel.resources",
        "a kernel that wants more of the GPU's shared memory or registers than it has",
        "A kernel is too large for this GPU: use another attention_backend, a smaller block_size or "
        "another kv_cache_dtype, or a newer "
        "image, whose kernels may be cut for it.",
        (Case(r"out of resource: |OutOfResources|too many resources requested for launch"),),
    ),
    Kind(
        "compile.cache",
        "a compiled graph in the cache that is broken, or of another release",
        "A compiled graph in the cache is broken: empty the folder `torch_compile_cache` in "
        "vllm_server_cache_dir on the host (it holds "
        "nothing else, and is built again), or set VLLM_DISABLE_COMPILE_CACHE: '1' in `env`.",
        (
            Case(
                r"(?:EOFError|UnpicklingError|JSONDecodeError|BadZipFile|FileNotFoundError)",
                frames=r"compilation/(?:backends|caching|compiler_interface)|codecache",
            ),
            Case(r"corrupted compilation artifact|failed to get the hash of the compiled graph"),
            Case(r"torch_compile_cache.{0,200}(?:No such file|corrupt|EOFError)"),
            Case(
                # Those of the namespace vllm are registered in Python, FlashInfer's only where it is found
                # (vllm/utils/flashinfer.py), which the key of the cache does not hold.
                r"'_OpNamespace' 'vllm' object has no attribute '(?P<op>\w{1,80})'",
                "What an earlier start compiled names an operation that this one does not have ({op}): something that "
                "vLLM found then is missing now, FlashInfer for one, or nvcc, without which it is not used. Bring it "
                "back, or empty the folder `torch_compile_cache` in vllm_server_cache_dir on the host, which is built "
                "again.",
            ),
        ),
        general=True,
    ),
    Kind(
        "compile.failed",
        "torch could not compile the model",
        "torch could not compile the model: set enforce_eager to see whether it serves without, and use a newer image.",
        (
            Case(r"torch\._(?:dynamo|inductor)\.exc\.\w+|InductorError|BackendCompilerFailed|LoweringException"),
            Case(
                r"not permitted when stream is capturing|"
                r"operation failed due to a previous error during capture|cudaErrorStreamCapture"
            ),
            Case(r"PassManager::run failed|TritonGPU.{0,40}failed|CompilationError: "),
        ),
        general=True,
    ),
    Kind(
        "image.cuda",
        "an image whose parts are built for different CUDAs",
        "The image's parts are built for another CUDA than it brings: use another image, in which vLLM, "
        "torch and CUDA match.",
        (
            Case(
                r"lib(?:cudart|cublas\w*|cudnn|nvrtc|nccl|cusparse\w*|cufile|nvJitLink|"
                r"torch_cuda)\.so\.?\S*: cannot open shared"
            ),
            Case(
                r"flashinfer-\S+ version \S+ does not match flashinfer version",
                "FlashInfer's packages in the image are of different releases: use an image in which they are of "
                "one, with "
                "nothing installed over it.",
            ),
            Case(r"undefined symbol: \S+|cannot enable executable stack"),
            Case(
                r"'_OpNamespace' '_\w+' object has no attribute|Could not run '_\w*C\w*::\w+'",
                "vLLM's own kernels of this image were not loaded, or were not built for this platform (a warning "
                "above says `Failed to import`): use vLLM's own image of this release, for this architecture, with "
                "nothing installed over it.",
            ),
            Case(
                r"version `\S+' not found|operator \S+::\S+ does not exist|numpy\.dtype size changed|"
                r"binary incompatib"
            ),
            Case(r"No module named 'vllm\._|cannot import name .{0,80} from '(?:vllm|torch)"),
            Case(r"PyTorch .{0,40}was compiled with CUDA|detected CUDA version .{0,40}mismatches"),
        ),
    ),
    Kind(
        "image.package",
        "a Python package that the image lacks",
        "The image lacks the Python package that the line names: use an image that has it, or leave out what needs it.",
        (
            Case(
                r"ModuleNotFoundError: No module named|ImportError: Please install|"
                r"ImportError: .{0,80}not installed"
            ),
            Case(
                r"ImportError: \S+\.so\S*: cannot open shared object file",
                "The image lacks the system library that the line names: use an image that has it.",
            ),
            Case(r"Install (?:it )?(?:via|with) `?pip|requires installation of \w+|version >= ?[\d.]+ to load"),
            Case(
                r"[Pp]lease (?:install|run `?pip install)|requires the following packages that were not found|"
                r"you need to have .{0,40} installed"
            ),
        ),
        general=True,
    ),
    Kind(
        "image.mixed",
        "packages of the image that do not suit each other",
        "Packages in the image do not suit each other (the line came up while one was imported): use "
        "another image, mostly a newer one, "
        "in which nothing was installed over what its vLLM asks for, such as another transformers.",
        (
            Case(
                r"^(?:\w+\.)*\w*(?:Error|Exception)\b",
                frames=r"/(?:transformers|torch\w*|kernels|flash_attn|xformers|numpy|tokenizers|triton|configs)/"
                r"(?!.{0,200}(?:api_server|__main__)\.py).{0,300}in <module>",
            ),
            Case(r"is already used by a Transformers config"),
            Case(r"ImportError: cannot import name|AttributeError: (?:partially initialized )?module '"),
        ),
        general=True,
    ),
    Kind(
        "image.command",
        "an image that has no such program",
        "The image has no such program: use an image of vLLM's server (vllm/vllm-openai), and leave its entry point.",
        (
            Case(r"executable file not found in \$PATH|exec: .{0,100}: not found|exec format error"),
            Case(r"exec .{0,100}: no such file or directory|\b(?:vllm|python[\d.]*): command not found$"),
            Case(r"can't open file '[^']{1,200}'|^\S{0,80}python\S*: No module named "),
        ),
        lead=True,
    ),
    Kind(
        "start.guard",
        "a launcher in the image that starts itself again",
        "The image's launcher starts the engine outside of `if __name__ == '__main__':`, so that each "
        "spawned process starts it "
        "again: put that guard into it, or use vLLM's own entry point.",
        (Case(r"start a new process before|finished its bootstrapping phase|freeze_support\(\)"),),
    ),
    Kind(
        "start.fork",
        "a process that was forked after CUDA had begun",
        "Set VLLM_WORKER_MULTIPROC_METHOD: spawn in the instance's `env`.",
        (Case(r"Cannot re-initialize CUDA in forked subprocess"),),
    ),
)
