# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures of the GPU, of its driver, of how it gets into a container, and of what GPUs say to each other.

The texts are those of CUDA, NCCL, torch, Triton, FlashInfer, NVIDIA's container toolkit and Docker.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .kind import Case, Kind

_P2P = (
    "Between GPUs on PCIe try NCCL_P2P_DISABLE: '1' in the instance's `env`: with an IOMMU or ACS on, "
    "copies from peer to peer "
    "can hang. `nvidia-smi` and `journalctl -k` show a GPU that failed (Xid)."
)

KINDS: tuple[Kind, ...] = (
    Kind(
        "cdi.stale",
        "the host's CDI description names files of another driver, or no GPUs",
        "Nothing is wrong with the release: write the host's CDI description again with `systemctl restart "
        "nvidia-cdi-refresh.service` (or `nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml`), and "
        "try again.",
        (
            Case(r"failed to fulfil mount request: (?:open|stat|lstat) \S*(?:nvidia|cuda|/dev/dri)\S*: no such file"),
            Case(
                r"(?:error mounting|bind mount|stat|open) \"?\S*(?:libnvidia|libcuda|"
                r"nvidia-\w+)\S* ?.{0,120}no such file"
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
        "The host's driver is new enough, but the image's own compat libcuda is found before it: set "
        "LD_LIBRARY_PATH in the "
        "instance's `env` to where the driver's libraries are in the container (/usr/lib/x86_64-linux-gnu; "
        "/usr/local/nvidia/lib64 under the legacy hook). Under CDI the image's ld.so.conf puts "
        "/usr/local/cuda/compat first.",
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
        "Start Fabric Manager on the host, of the driver's very release (`systemctl status "
        "nvidia-fabricmanager`): GPUs with "
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
                r"CUDA driver version is insufficient for CUDA runtime version|cudaErrorInsufficientDriver|"
                r"[Ee]rror 35\b|not supported in the installed CUDA driver"
            ),
        ),
        lead=True,
    ),
    Kind(
        "gpu.hook",
        "GPUs asked for through a hook that the host's toolkit does not serve",
        "NVIDIA's container toolkit on the host serves GPUs by CDI, and they were asked for through its "
        "older hook: have them given by "
        "CDI (`nvidia.com/gpu=...`), or set its mode to auto in /etc/nvidia-container-runtime/config.toml.",
        (
            Case(r"Runtime Hook directly .{0,80}is not supported|Using requested mode 'cdi'"),
            Case(
                r"nvidia-container-cli: mount error: .{0,200}(?:device rules|cgroup|bpf)",
                "NVIDIA's toolkit may not set the cgroup's device rules here (Docker without root, a container in a "
                "container): have GPUs given by CDI (`nvidia.com/gpu=...`), or set no-cgroups = true in "
                "/etc/nvidia-container-runtime/config.toml.",
            ),
            Case(
                r"nvidia-container-cli: (?!initialization|detection|requirement|device)\w+ error",
                "NVIDIA's older hook does not get this image and this host together; the line says at what: have "
                "GPUs given "
                "by CDI (`nvidia.com/gpu=...`), or update the toolkit.",
            ),
        ),
        lead=True,
    ),
    Kind(
        "gpu.lost",
        "the container lost its GPUs while it ran",
        "The container has no access to its GPUs any more, as after a daemon-reload under the legacy hook: "
        "start it again, and "
        "have GPUs given through CDI.",
        (Case(r"Failed to initialize NVML: Unknown Error|NVMLError_Unknown: Unknown Error"),),
        of_the_moment=True,
        lead=True,
    ),
    Kind(
        "gpu.none",
        "no usable GPU in the container",
        "No usable GPU is in the container: give it a GPU, and see that the driver's library libcuda.so.1 "
        "gets into it too "
        "(NVIDIA's container toolkit, CDI or its runtime).",
        (
            Case(r"Failed to infer device type"),
            Case(r"Device string must not be empty"),
            Case(r"Found no NVIDIA driver|No (?:CUDA|HIP) GPUs are available|no CUDA-capable device is detected"),
            Case(r"CUDA driver initialization failed, you might not have a CUDA gpu"),
            Case(r"libcuda\.so(?:\.1)?:? cannot (?:open shared object file|found)|libcuda\.so cannot found"),
            Case(r"NVMLError_LibraryNotFound|NVML Shared Library Not Found|libnvidia-ml\.so\.1: cannot open"),
            Case(r"could not select device driver .{0,40}capabilities: \[\[gpu\]\]"),
            Case(r"unknown or invalid runtime name: nvidia|runtime .?nvidia.? not found"),
            Case(
                r"exec: \W{0,3}nvidia-container-runtime\W.{0,60}not found",
                "Docker is told to start containers with nvidia-container-runtime, and the host has no such program: "
                "install NVIDIA's container toolkit, or take that runtime out of /etc/docker/daemon.json.",
            ),
            Case(
                r"nvidia-container-cli: device error: (?P<gpu>[^:\s]{1,80}): unknown device",
                "The host has no GPU {gpu} (`nvidia-smi -L` lists them): correct the GPUs of the instance.",
            ),
            Case(
                r"CUDA unknown error - this may be due|CUDA error: initialization error|0 active drivers \(\[\]\)",
                "CUDA does not start in the container: load the driver's second module on the host (`modprobe "
                "nvidia-uvm`) "
                "and see that /dev/nvidia-uvm gets into the container (CDI); after a suspend or an update of the "
                "driver "
                "reboot the host.",
            ),
            Case(
                r"NVMLError_DriverNotLoaded|nvml error: driver not loaded",
                "The driver is not loaded on the host: see why with `nvidia-smi` and `journalctl -k` there, install "
                "it or "
                "reboot.",
            ),
            Case(r"Torch not compiled with CUDA enabled|PyTorch was compiled without CUDA"),
        ),
        lead=True,
    ),
    Kind(
        "gpu.busy",
        "a GPU that takes no further process",
        "The GPU takes no process now: it is in exclusive mode and somebody has it (`nvidia-smi` shows who; "
        "`nvidia-smi -c "
        "DEFAULT` on the host ends that mode), or it is not ready (confidential computing, a reset, an Xid in "
        "`journalctl -k`).",
        (
            Case(r"CUDA-capable device(?:\(s\)|s)? (?:is/are|are) busy or unavailable|cudaErrorDevicesUnavailable"),
            Case(
                r"MPS client failed to connect|cudaErrorMps\w+",
                "The container sees the socket of CUDA's MPS (CUDA_MPS_PIPE_DIRECTORY) and its daemon does not "
                "answer: start "
                "`nvidia-cuda-mps-control -d` on the host, or keep that folder out of the container.",
            ),
        ),
        of_the_moment=True,
        lead=True,
    ),
    Kind(
        "gpu.fault",
        "a kernel did what the GPU does not allow, or the GPU failed",
        "Look on the host for messages of the driver (Xid) in `journalctl -k`: one that names ECC or the "
        "bus is a failing GPU. "
        "Otherwise a kernel of the image is at fault: use another attention_backend, enforce_eager, or "
        "another release.",
        (
            Case(
                r"illegal memory access|unspecified launch failure|misaligned address|"
                r"illegal instruction was encountered"
            ),
            Case(
                # What Inductor writes of an index: of a token in the vocabulary, or of a position in a table of them.
                r"Assertion `index out of bounds: 0 <= .{1,120} < (?P<size>\d{1,12})` failed",
                "A kernel was given an index past {size}. Where that is the length that the model was made for, "
                "max_model_len is above it: lower it, or have its positions scaled (rope_parameters in hf_overrides). "
                "Where it is the vocabulary, the tokenizer is another model's.",
            ),
            Case(r"device-side assert triggered|cudaErrorIllegalAddress|the launch timed out"),
            Case(r"uncorrectable (?:NVLink|ECC)|ECC error|fallen off the bus|GPU is lost|NVMLError_GpuIsLost"),
            Case(r"CUDA error: (?:unknown error|invalid (?:argument|resource handle|configuration argument))"),
            Case(
                r"CUDA error: operation not supported|[Ii]nvalid access of peer GPU memory|"
                r"CUDNN_STATUS_NOT_INITIALIZED"
            ),
            Case(r"CUBLAS_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR|INVALID_VALUE|NOT_INITIALIZED)"),
        ),
        general=True,
        lead=True,
    ),
    Kind(
        "nccl.cumem",
        "NCCL's own memory (cuMem) crashes on this host",
        "Set NCCL_CUMEM_ENABLE to '0' in the instance's `env`.",
        (
            Case(
                r"HAMI-core ERROR.{0,120}Illegal device id|/libvgpu/src/",
                "A library between the engine and CUDA crashes (HAMi's libvgpu): run the container without it, or with "
                "a newer release of it; NCCL_CUMEM_ENABLE: '0' in the instance's `env` helps with some.",
            ),
            Case(frames=r"\bin ncclCuMem\w+"),
            Case(r"\bin ncclCuMem\w+|cuMemCreate.{0,80}(?:fail|error)|ncclCuMemHostEnable"),
        ),
        lead=True,
    ),
    Kind(
        "nccl.error",
        "NCCL cannot connect the GPUs",
        "Set NCCL_DEBUG: INFO in the instance's `env` and start again: the log then says what failed. "
        "Mostly it is /dev/shm "
        "(vllm_server_shm_size_mib), peer to peer (NCCL_P2P_DISABLE: '1'), cuMem (NCCL_CUMEM_ENABLE: '0'), "
        "or the interface "
        "(NCCL_SOCKET_IFNAME).",
        (
            Case(
                r"Duplicate GPU detected",
                "Two ranks were given one GPU: correct CUDA_VISIBLE_DEVICES where it is set, or name each GPU once.",
            ),
            Case(
                r"NCCL error|ncclSystemError|ncclInternalError|ncclUnhandledCudaError|ncclInvalidUsage|"
                r"ncclRemoteError"
            ),
            Case(r"DistBackendError: "),
        ),
        general=True,
    ),
    Kind(
        "net.ranks",
        "the engine's processes do not find each other over the network",
        "The engine's processes do not reach each other: set VLLM_HOST_IP to an address of this host, and "
        "GLOO_SOCKET_IFNAME and "
        "NCCL_SOCKET_IFNAME to the interface that has it, in the instance's `env`.",
        (
            Case(
                r"[Gg]loo.{0,80}connectFullMesh failed|[Uu]nable to (?:find|resolve) (?:address|hostname|"
                r"interface)"
            ),
            Case(r"client socket has (?:timed out|failed to connect)|makeDeviceForHostname|makeDeviceForInterface"),
            Case(r"Neither 127\.0\.0\.1 nor ::1 are bound|Bootstrap : no socket interface found|No interface found"),
        ),
    ),
    Kind(
        "p2p.failed",
        "GPUs do not reach each other's memory",
        "Set disable_custom_all_reduce, and NCCL_P2P_DISABLE: '1' in the instance's `env`: these GPUs do "
        "not reach each other's "
        "memory.",
        (
            Case(r"batch testing peer-to-peer access|peer access is not supported between these two devices"),
            Case(
                r"CUDA error: (?:operation not supported|mapping of buffer object|invalid (?:argument|resource))",
                frames=r"custom_all_reduce|custom_ar|symm_mem|quick_all_reduce",
            ),
            Case(r"custom_all_reduce\.cuh.{0,80}(?:invalid argument|error)"),
            Case(
                # c10/cuda/CUDACachingAllocator.cpp, ExpandableSegment::fromShared.
                r"pidfd_(?:getfd|open): ?Operation not permitted",
                "Segments that expand are shared over files, which a container without SYS_PTRACE may not take from "
                "another process: leave expandable_segments:True out of PYTORCH_CUDA_ALLOC_CONF (PYTORCH_ALLOC_CONF) "
                "in `env`.",
            ),
        ),
    ),
    Kind(
        "shm.hang",
        "a worker does not take what it is given",
        f"A worker hangs, mostly in NCCL. {_P2P}",
        (
            Case(r"No available shared memory broadcast block found in \d+ second"),
            Case(r"TimeoutError: RPC call to \w+ timed out"),
            Case(r"DistStoreError: Timed out|is setting up NCCL communicator and retrieving"),
            Case(r"Watchdog caught collective operation timeout|collective operation timed out"),
        ),
        general=True,
    ),
)
