# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures of the GPU, of its driver, of what an image compiles for it, and of what GPUs say to each other.

The texts are those of CUDA, NCCL, torch, Triton, FlashInfer, NVIDIA's container toolkit and Docker.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .kinds import Case, Kind

_P2P = (
    "Between GPUs on PCIe try NCCL_P2P_DISABLE: '1' in the instance's `env`: with an IOMMU or ACS on, copies from peer to peer "
    "can hang. `nvidia-smi` and `journalctl -k` show a GPU that failed (Xid)."
)

KINDS: tuple[Kind, ...] = (
    Kind(
        "cdi.stale",
        "the host's CDI description names files of another driver, or no GPUs",
        "Nothing is wrong with the release: write the host's CDI description again with `systemctl restart "
        "nvidia-cdi-refresh.service` (or `nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml`), and try again.",
        (
            Case(r"failed to fulfil mount request: (?:open|stat|lstat) \S*(?:nvidia|cuda|/dev/dri)\S*: no such file"),
            Case(
                r"(?:error mounting|bind mount|stat|open) \"?\S*(?:libnvidia|libcuda|nvidia-\w+)\S* ?.{0,120}no such file"
            ),
            Case(r"unresolvable CDI devices|failed to inject (?:CDI )?devices|CDI device injection failed"),
            Case(r"failed to stat CDI host device"),
        ),
        of_the_moment=True,
        lead=True,
    ),
    Kind(
        "driver.mismatch",
        "the host's driver was changed under a module that is still loaded",
        "The host's driver libraries are newer than its loaded kernel module: reboot the host.",
        (Case(r"[Dd]river/library version mismatch"),),
        of_the_moment=True,
        lead=True,
    ),
    Kind(
        "driver.compat",
        "CUDA error 803: the image's own libcuda (compat) is found before the host's newer one",
        "The host's driver is new enough, but the image's own compat libcuda is found before it: set LD_LIBRARY_PATH in the "
        "instance's `env` to where the driver's libraries are in the container (/usr/lib/x86_64-linux-gnu; "
        "/usr/local/nvidia/lib64 under the legacy hook). Under CDI the image's ld.so.conf puts /usr/local/cuda/compat first.",
        (
            Case(
                r"[Ee]rror 803\b|unsupported display driver / cuda driver combination|cudaErrorSystemDriverMismatch",
                since="0.15.0",
            ),
        ),
        lead=True,
    ),
    Kind(
        "gpu.fabric",
        "CUDA error 802: GPUs with NVSwitch without their Fabric Manager",
        "Start Fabric Manager on the host, of the driver's very release (`systemctl status nvidia-fabricmanager`): GPUs with "
        "NVSwitch do not initialize without it.",
        (Case(r"[Ee]rror 802\b|system not yet initialized|cudaErrorSystemNotReady"),),
        lead=True,
    ),
    Kind(
        "driver.old",
        "a driver that is older than the CUDA of the image",
        "Update the driver, or use an image built for an older CUDA.",
        (
            Case(r"The NVIDIA driver on your system is too old"),
            Case(r"unsatisfied condition: (?:cuda|driver|brand)"),
            Case(r"forward compatibility was attempted|[Ee]rror 804\b"),
            Case(r"PTX was compiled with an unsupported toolchain|CUDA_ERROR_UNSUPPORTED_PTX_VERSION"),
            Case(
                r"CUDA driver version is insufficient for CUDA runtime version|cudaErrorInsufficientDriver|[Ee]rror 35\b"
            ),
        ),
        lead=True,
    ),
    Kind(
        "gpu.hook",
        "GPUs asked for through a hook that the host's toolkit does not serve",
        "NVIDIA's container toolkit on the host serves GPUs by CDI, and they were asked for through its older hook: have them given by "
        "CDI (`nvidia.com/gpu=...`), or set its mode to auto in /etc/nvidia-container-runtime/config.toml.",
        (Case(r"Runtime Hook directly .{0,80}is not supported|Using requested mode 'cdi'"),),
        lead=True,
    ),
    Kind(
        "gpu.lost",
        "the container lost its GPUs while it ran",
        "The container has no access to its GPUs any more, as after a daemon-reload under the legacy hook: start it again, and "
        "have GPUs given through CDI.",
        (Case(r"Failed to initialize NVML: Unknown Error|NVMLError_Unknown: Unknown Error"),),
        of_the_moment=True,
        lead=True,
    ),
    Kind(
        "gpu.none",
        "no usable GPU in the container",
        "No usable GPU is in the container: give it a GPU, and see that the driver's library libcuda.so.1 gets into it too "
        "(NVIDIA's container toolkit, CDI or its runtime).",
        (
            Case(r"Failed to infer device type"),
            Case(r"Device string must not be empty"),
            Case(r"Found no NVIDIA driver|No CUDA GPUs are available|no CUDA-capable device is detected"),
            Case(r"libcuda\.so(?:\.1)?:? cannot (?:open shared object file|found)|libcuda\.so cannot found"),
            Case(r"NVMLError_LibraryNotFound|NVML Shared Library Not Found|libnvidia-ml\.so\.1: cannot open"),
            Case(r"could not select device driver .{0,40}capabilities: \[\[gpu\]\]"),
            Case(r"unknown or invalid runtime name: nvidia|runtime .?nvidia.? not found"),
            Case(r"nvidia-container-cli: (?:initialization|detection) error"),
            Case(r"Torch not compiled with CUDA enabled"),
        ),
        lead=True,
    ),
    Kind(
        "arch.cuda",
        "a CUDA toolkit in the image that does not know this GPU yet",
        "The CUDA in this image does not know this GPU: use an image built with a newer CUDA (for SM 12.x at least 12.9: cu129 or "
        "cu130), or another backend that is not compiled at the start.",
        (
            Case(r"(?:SM|sm_?|compute capability) ?1\d[\w.+]* requires CUDA ?>= ?(?P<cuda>[\d.]+)"),
            Case(r"requires CUDA (?P<cuda>1\d\.?\d*) or (?:newer|later)"),
            Case(r"No supported CUDA architectures found for major versions"),
            Case(r"[Uu]nsupported gpu architecture|Value 'sm_\w+' is not defined for option 'gpu-name'"),
            Case(r"Unknown CUDA arch|unknown target CPU 'sm_"),
        ),
        lead=True,
    ),
    Kind(
        "kernel.absent",
        "a kernel that does not exist for this GPU",
        "The image has no such kernel for this GPU: use a newer image, another build of the model (another quantization), or another "
        "backend (attention_backend, moe_backend) where one can be chosen.",
        (
            Case(
                r"(?:not (?:yet )?(?:implemented|supported)|unsupported) (?:for|on) (?:Blackwell|Hopper|Ada|Ampere|Turing|Volta|SM ?\d|sm_?\d)"
            ),
            Case(r"[Nn]o (?:\w+ ){0,4}backend supports the|kernel does not support (?:the )?current device"),
            Case(
                r"only supports? (?:SM|sm_|compute capability|Hopper|Blackwell)|[Uu]nsupported (?:SM|compute capability|GPU arch)"
            ),
        ),
    ),
    Kind(
        "arch.missing",
        "an image that has no kernels for this GPU",
        "Use an image built for this GPU's architecture.",
        (
            Case(r"no kernel image is available for execution|device kernel image is invalid"),
            Case(r"is not compatible with the current PyTorch installation"),
            Case(r"CUDA error: named symbol not found"),
        ),
    ),
    Kind(
        "jit.build",
        "a kernel that is compiled at the start, and the image has no compiler that can",
        "A kernel could not be compiled in the container: use an image that brings a matching CUDA toolkit (nvcc) and a C compiler "
        "with headers, or do without the kernel: VLLM_USE_FLASHINFER_SAMPLER: '0' in `env` where it is FlashInfer's sampler.",
        (
            Case(
                r"Could not find nvcc|nvcc(?:: command)? not found|CUDA_HOME environment variable is not set|"
                r"No such file or directory: '\S*nvcc'",
                "The image has no nvcc: use an image with the CUDA toolkit, or do without what it compiles: "
                "VLLM_USE_FLASHINFER_SAMPLER: '0' in `env` where it is FlashInfer's sampler.",
            ),
            Case(
                r"Python\.h: No such file|[Ff]ailed to find C(?:\+\+)? compiler|[Nn]o working C\+\+ compiler|InvalidCxxCompiler|"
                r"Command '\['[^']{0,200}(?:gcc|g\+\+|clang|cc)'",
                "Triton and Inductor compile with the image's own C compiler: use an image that has gcc, Python's headers "
                "(python3-dev) and libcuda, or set enforce_eager, with which less is compiled.",
            ),
            Case(r"nvcc fatal|ptxas (?:fatal|error)|Ninja build failed|ninja: build stopped|Error building extension"),
            Case(r"CalledProcessError: Command '\['[^']{0,200}(?:ninja|nvcc|ptxas)'"),
            Case(r"No such file or directory: '(?:\S*/)?ninja'|Ninja is required to load"),
            Case(r"fatal error: \S+\.(?:h|hpp|cuh): No such file"),
            Case(r"JITBuildError|JIT compilation failed|NVRTC_ERROR|nvrtc: error"),
        ),
        lead=True,
    ),
    Kind(
        "kernel.resources",
        "a kernel that wants more of the GPU's shared memory or registers than it has",
        "A kernel is too large for this GPU: use another attention_backend, a smaller block_size or another kv_cache_dtype, or a newer "
        "image, whose kernels may be cut for it.",
        (Case(r"out of resource: |OutOfResources|too many resources requested for launch"),),
    ),
    Kind(
        "compile.cache",
        "a compiled graph in the cache that is broken, or of another release",
        "A compiled graph in the cache is broken: empty the folder `torch_compile_cache` in vllm_server_cache_dir on the host (it holds "
        "nothing else, and is built again), or set VLLM_DISABLE_COMPILE_CACHE: '1' in `env`.",
        (
            Case(
                r"(?:EOFError|UnpicklingError|JSONDecodeError|BadZipFile|FileNotFoundError)",
                frames=r"compilation/(?:backends|caching|compiler_interface)|codecache",
            ),
            Case(r"torch_compile_cache.{0,200}(?:No such file|corrupt|EOFError)"),
        ),
    ),
    Kind(
        "compile.failed",
        "torch could not compile the model",
        "torch could not compile the model: set enforce_eager to see whether it serves without, and use a newer image.",
        (
            Case(r"torch\._(?:dynamo|inductor)\.exc\.\w+|InductorError|BackendCompilerFailed|LoweringException"),
            Case(
                r"not permitted when stream is capturing|operation failed due to a previous error during capture|cudaErrorStreamCapture"
            ),
            Case(r"PassManager::run failed|TritonGPU.{0,40}failed|CompilationError: "),
        ),
        general=True,
    ),
    Kind(
        "image.cuda",
        "an image whose parts are built for different CUDAs",
        "The image's parts are built for another CUDA than it brings: use another image, in which vLLM, torch and CUDA match.",
        (
            Case(
                r"lib(?:cudart|cublas\w*|cudnn|nvrtc|nccl|cusparse\w*|cufile|nvJitLink|torch_cuda)\.so\.?\S*: cannot open shared"
            ),
            Case(r"undefined symbol: \S+"),
            Case(
                r"version `\S+' not found|operator \S+::\S+ does not exist|numpy\.dtype size changed|binary incompatib"
            ),
            Case(r"No module named 'vllm\._|cannot import name .{0,80} from '(?:vllm|torch)"),
            Case(r"PyTorch .{0,40}was compiled with CUDA|detected CUDA version .{0,40}mismatches"),
        ),
    ),
    Kind(
        "gpu.fault",
        "a kernel did what the GPU does not allow, or the GPU failed",
        "Look on the host for messages of the driver (Xid) in `journalctl -k`: one that names ECC or the bus is a failing GPU. "
        "Otherwise a kernel of the image is at fault: use another attention_backend, enforce_eager, or another release.",
        (
            Case(
                r"illegal memory access|unspecified launch failure|misaligned address|illegal instruction was encountered"
            ),
            Case(r"device-side assert triggered|cudaErrorIllegalAddress|the launch timed out"),
            Case(r"uncorrectable (?:NVLink|ECC)|ECC error|fallen off the bus|GPU is lost|NVMLError_GpuIsLost"),
            Case(r"CUDA error: (?:unknown error|invalid (?:argument|resource handle|configuration argument))"),
            Case(r"CUBLAS_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR|NOT_SUPPORTED|INVALID_VALUE|NOT_INITIALIZED)"),
        ),
        general=True,
        lead=True,
    ),
    Kind(
        "nccl.cumem",
        "NCCL's own memory (cuMem) crashes on this host",
        "Set NCCL_CUMEM_ENABLE to '0' in the instance's `env`.",
        (
            Case(frames=r"\bin ncclCuMem\w+"),
            Case(r"\bin ncclCuMem\w+|cuMemCreate.{0,80}(?:fail|error)|ncclCuMemHostEnable"),
        ),
        lead=True,
    ),
    Kind(
        "nccl.error",
        "NCCL cannot connect the GPUs",
        "Set NCCL_DEBUG: INFO in the instance's `env` and start again: the log then says what failed. Mostly it is /dev/shm "
        "(vllm_server_shm_size_mib), peer to peer (NCCL_P2P_DISABLE: '1'), cuMem (NCCL_CUMEM_ENABLE: '0'), or the interface "
        "(NCCL_SOCKET_IFNAME).",
        (
            Case(
                r"NCCL error|ncclSystemError|ncclInternalError|ncclUnhandledCudaError|ncclInvalidUsage|ncclRemoteError"
            ),
            Case(r"DistBackendError: "),
        ),
        general=True,
    ),
    Kind(
        "net.ranks",
        "the engine's processes do not find each other over the network",
        "The engine's processes do not reach each other: set VLLM_HOST_IP to an address of this host, and GLOO_SOCKET_IFNAME and "
        "NCCL_SOCKET_IFNAME to the interface that has it, in the instance's `env`.",
        (
            Case(r"[Gg]loo.{0,80}connectFullMesh failed|[Uu]nable to (?:find|resolve) (?:address|hostname|interface)"),
            Case(r"client socket has (?:timed out|failed to connect)|makeDeviceForHostname|makeDeviceForInterface"),
            Case(r"Neither 127\.0\.0\.1 nor ::1 are bound|Bootstrap : no socket interface found|No interface found"),
        ),
    ),
    Kind(
        "p2p.failed",
        "GPUs do not reach each other's memory",
        "Set disable_custom_all_reduce, and NCCL_P2P_DISABLE: '1' in the instance's `env`: these GPUs do not reach each other's "
        "memory.",
        (
            Case(r"batch testing peer-to-peer access|peer access is not supported between these two devices"),
            Case(r"custom_all_reduce\.cuh.{0,80}(?:invalid argument|error)"),
        ),
    ),
    Kind(
        "shm.hang",
        "a worker does not take what it is given",
        f"A worker hangs, mostly in NCCL. {_P2P}",
        (
            Case(r"No available shared memory broadcast block found in \d+ second"),
            Case(r"TimeoutError: RPC call to \w+ timed out"),
            Case(r"Watchdog caught collective operation timeout|collective operation timed out"),
        ),
        general=True,
    ),
)
