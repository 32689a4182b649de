# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures of the place where an engine runs: its folders, files, ports and addresses, and the time it has.

The texts are those of Python, of the vLLM sources from 0.5.5 on, and of Ray.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .kind import Case, Kind

KINDS: tuple[Kind, ...] = (
    Kind(
        "start.slow",
        "an engine that vLLM itself gave up waiting for",
        "Raise VLLM_ENGINE_READY_TIMEOUT_S in the instance's `env`; a model on a slow disk or a first "
        "compilation takes long.",
        (Case(r"Timed out waiting for (?:new )?engine (?:core )?processes to start", since="0.15.1"),),
    ),
    Kind(
        "cache.readonly",
        "a folder that the container's user may not write",
        "The container's user may not write this folder: give it to that user (`chown`), mount another "
        "one, or set the variable "
        "that names it (VLLM_CACHE_ROOT, HF_HOME, FLASHINFER_WORKSPACE_BASE, TRITON_CACHE_DIR) to one that it may.",
        (
            Case(
                r"(?:PermissionError|Permission denied).{0,40}/dev/(?:nvidia|dri)",
                "The container's user may not open the GPU's device: give it the group that owns it on the host.",
            ),
            Case(r"PermissionError: |\[Errno 13\] Permission denied|PermissionError at "),
            Case(r": Permission denied$"),
            Case(r"Read-only file system|\[Errno 30\]"),
            Case(
                r"getpwuid\(\): uid not found",
                "The container's user has no name in the image, and so no home: set HOME and USER in the "
                "instance's `env`, or use "
                "a user that the image knows; its folders have to be writable for it.",
            ),
        ),
    ),
    Kind(
        "port.internal",
        "a port that the engine's processes use among themselves is taken",
        "A port that the engine uses inside is taken, mostly by another engine in the same network: try "
        "again, or set VLLM_PORT "
        "(the first of its inside ports) or MASTER_PORT in the instance's `env` to one that is free.",
        (
            Case(r"EADDRINUSE|server socket has failed to (?:listen|bind)"),
            Case(r"ZMQError: Address already in use|Address already in use \(addr="),
            Case(
                r"[Aa]ddress already in use",
                frames=r"in (?:get_open_\w+|init_process_group|_create_c10d_store|make_zmq_socket|bind_to_\w+)",
            ),
            Case(r"Could not find open port after"),
        ),
        of_the_moment=True,
    ),
    Kind(
        "port.busy",
        "the port is taken",
        "Choose another port, or free this one (`ss -ltnp` on the host shows what holds it).",
        (Case(r"[Aa]ddress already in use|\[Errno 98\]"), Case(r"port is already allocated")),
        of_the_moment=True,
    ),
    Kind(
        "net.address",
        "an address to listen at that the container does not have",
        "The container has no such address: set host to 0.0.0.0 or leave it out, and VLLM_HOST_IP to an address that "
        "it has.",
        (
            Case(
                r"AF_UNIX path too long|ipc path .{0,300}longer than",
                "The folder in which the engine's processes keep their sockets has too long a name: set "
                "VLLM_RPC_BASE_PATH in "
                "the instance's `env` to a short one, as /tmp, and TMPDIR where that is set.",
            ),
            Case(r"Cannot assign requested address|\[Errno 99\]|(?:gaierror|Name or service not known).{0,40}bind"),
        ),
    ),
    Kind(
        "mount.missing",
        "something that is mounted into the container is not on the host, or of another kind",
        "What the line names is mounted from the host, and is not there: put it there, or correct its path.",
        (
            Case(
                r"bind source path does not exist|error while creating mount source path",
            ),
            Case(
                r"IsADirectoryError: |NotADirectoryError: |not a directory: .{0,80}mount a directory onto a file",
                "A file is a folder here, or the reverse. Docker makes an empty folder of a mounted file that is not "
                "on the "
                "host: remove that folder there, put the file in its place, and start again.",
            ),
        ),
        lead=True,
    ),
    Kind(
        "disk.error",
        "a disk or a share that does not give its files",
        "The disk or the share that holds the files failed: `journalctl -k` on the host shows what it says; a share "
        "that was lost has to be mounted again.",
        (
            Case(
                r"No such device \(os error 19\)|unable to mmap .{0,200}No such device",
                "The file system that holds the model does not map files into memory, as some shares do not: copy "
                "the model "
                "to a disk of the host, or mount the share in another way.",
            ),
            Case(
                r"\[Errno (?:5|107|116|121)\]|Input/output error|Stale file handle|Transport endpoint is not connected"
            ),
        ),
        of_the_moment=True,
    ),
    Kind(
        "weights.cache",
        "a weight cache whose daemon is not there, or holds other weights",
        "The engine takes its weights from a daemon on the host (load_format ipc_cache): start that daemon first, of "
        "the same release, with the same model, settings and GPUs, and in a folder that only its user may open; or "
        "leave load_format out, and the engine loads them itself.",
        (Case(r"WeightCacheUnavailableError|CacheConfigMismatchError", since="0.33.0"),),
    ),
    Kind(
        "ray.cluster",
        "Ray does not find the GPUs, or no cluster",
        "Leave distributed_executor_backend out: on one host vLLM runs its ranks without Ray. Where Ray is wanted, "
        "the cluster has to be up, with as many GPUs free as the ranks need (`ray status`).",
        (
            Case(r"[Cc]ould not find any running Ray instance|Ray does not allocate any GPUs"),
            Case(r"Current node has no \w+ available\.|No available node types can fulfill"),
            Case(r"Not enough resources to allocate \d+ (?:placement groups|DP ranks)|in Ray cluster\."),
            Case(r"DP master node .{0,80}is missing or dead|Not enough total available nodes"),
            Case(
                r"Every node should have a unique IP address",
                "Ray's nodes say one address: set VLLM_HOST_IP on each to its own, or nowhere.",
            ),
            Case(r"Failed to connect to Ray cluster|No node info found matching attributes"),
            Case(r"Ray is not initialized although|ray\.exceptions\.RaySystemError|Ray workers have not started"),
        ),
    ),
)
