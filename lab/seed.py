# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a store in memory holds before a host's engine first starts: the image of vLLM, as one such host pulled it.

To pull and unpack it takes a host 20 s of a processor, to copy what another one unpacked takes 2.
"""

from __future__ import annotations

import pathlib
import shutil

from lab import host_image, oci, vllm_image
from lab.gpu import edge
from lab.tools import INPUTS_LABEL, LABEL, WORK, digest, run, say, succeeds, wait_for, work_directory

NAME = "gpufleet-lab-seed"
HOST = "seed"
INPUTS = "seed.inputs"
# As molecule/shared/create.yml starts a host.
OPTIONS = (
    *("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cgroupns", "host", "--device-cgroup-rule", "a *:* rwm"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--tmpfs", "/run", "--tmpfs", "/run/lock", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw"),
)


def _folder() -> pathlib.Path:
    return WORK / "seed"


def _inputs(registry: str) -> str:
    host = run("docker", "image", "inspect", "--format", "{{.Id}}", host_image.IMAGE).strip()
    vllm = oci.Repository(registry, vllm_image.NAME).labels(vllm_image.VERSION)[INPUTS_LABEL]
    return digest(host, registry, vllm)


def build(registry: str) -> None:
    """Have a host pull the image, and keep its /var/lib/docker, unless that of the same inputs is kept."""
    image = f"{registry}/{vllm_image.NAME}:{vllm_image.VERSION}"
    kept = WORK / INPUTS
    inputs = _inputs(registry)
    if _folder().is_dir() and kept.exists() and kept.read_text() == inputs:
        return
    kept.unlink(missing_ok=True)
    succeeds("docker", "rm", "--force", NAME)  # left by a build that was interrupted
    if _folder().exists():
        shutil.rmtree(_folder())
    try:
        at = edge.write(HOST, "cpu", registry)
        volumes = (f"{work_directory('seed')}:/var/lib/docker", f"{at}:/etc/gpufleet-lab:ro")
        run(
            *("docker", "run", "--detach", "--name", NAME, "--label", f"{LABEL}=seed", *OPTIONS),
            *(word for volume in volumes for word in ("--volume", volume)),
            host_image.IMAGE,
        )
        wait_for("the engine of the host that pulls", lambda: succeeds("docker", "exec", NAME, "docker", "info"))
        run("docker", "exec", NAME, "docker", "pull", "--quiet", image)
        run("docker", "exec", NAME, "systemctl", "stop", "docker.socket", "docker.service", "containerd.service")
    finally:
        succeeds("docker", "rm", "--force", NAME)
        edge.remove(HOST)
    (_folder() / "engine-id").unlink(missing_ok=True)  # each host makes its own
    kept.write_text(inputs)
    say(f"what a host pulls is kept in {_folder()}")


def sow(store: pathlib.Path) -> None:
    """Copy it into the store of a host; nothing where none is kept."""
    if (WORK / INPUTS).exists():
        run("cp", "--archive", f"{_folder()}/.", store)
