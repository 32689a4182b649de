#!/usr/bin/python
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Returns everything that planning needs to know about a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_facts
short_description: Gather everything that planning needs to know about a GPU host
version_added: 0.1.0
description:
  - Reads, in one call, a host's GPUs, driver, container engine, disks, memory, listening ports, local images and vLLM
    instances. Nothing is changed.
  - GPUs are found on the PCI bus before any driver is there, and asked through NVML once one is. C(nvidia-smi) is not
    used.
  - What is wrong with GPUs or driver is no failure of this module but a state with advice, so that a later task can
    act on it.
  - Hosts need nothing from a package index. NVIDIA's C(pynvml), one pure Python file, comes along from the control
    node, where C(nvidia-ml-py) is installed. Where the control node has none, the host's own is used.
author:
  - gpufleet.vllm contributors (@gpufleet)
extends_documentation_fragment:
  - gpufleet.vllm.read_only
requirements:
  - nvidia-ml-py on the control node, for hosts with an NVIDIA driver
options:
  disk_paths:
    description:
      - Absolute paths whose file systems are measured. One that does not exist yet is measured where it would be, at
        its nearest existing parent.
    type: list
    elements: str
    default: []
  images:
    description: References or ids of images that are looked up in the container engine. Nothing is pulled.
    type: list
    elements: str
    default: []
  state_dir:
    description: Where the host keeps the state of its instances.
    type: path
    default: /var/lib/gpufleet
  models:
    description:
      - Options of M(gpufleet.vllm.vllm_model) by their names. What it would return comes along as RV(models), which
        spares an execution on the host. Nothing is read without.
    type: dict
    suboptions:
      models:
        description: As O(gpufleet.vllm.vllm_model#module:models).
        type: list
        elements: str
        default: []
      hub_dir:
        description: As O(gpufleet.vllm.vllm_model#module:hub_dir).
        type: str
        default: ""
      references:
        description: As O(gpufleet.vllm.vllm_model#module:references).
        type: list
        elements: str
        default: []
  pynvml_source:
    description: The source of C(pynvml), packed. The action plugin of this name fills it in; leave it alone.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Observe the host
  gpufleet.vllm.gpu_facts:
    disk_paths: [/var/lib/docker]
    images: [docker.io/vllm/vllm-openai:v0.32.0]

- name: Show what to do about the GPUs
  ansible.builtin.debug:
    msg: "{{ ansible_facts['gpufleet'].state }}: {{ ansible_facts['gpufleet'].advice }}"
"""

RETURN = r"""
models:
  description: >-
    What was O(models) as C(asked), and what M(gpufleet.vllm.vllm_model) returns as C(found). It is no fact, since a
    cache of facts would keep it for another run.
  returned: always
  type: dict
image_sources:
  description: Whether the host keeps logins, mirrors or archives from M(gpufleet.vllm.vllm_image_sources).
  returned: always
  type: bool
ansible_facts:
  description: Facts of the host. Every key is always there; V(null) or an empty list where nothing is known.
  returned: always
  type: dict
  contains:
    gpufleet:
      description: The facts.
      type: dict
      contains:
        state:
          description:
            - V(healthy), V(no_gpu) (none on the PCI bus), V(unsupported_vendor) (AMD or Intel cards only),
              V(no_driver), V(driver_not_loaded), V(driver_without_gpu), V(driver_library_mismatch) (a reboot is due),
              or V(gpu_lost) (a GPU that is there does not answer).
          type: str
          sample: healthy
        advice:
          description: What to do. Empty for a healthy host. GPUs bound to C(vfio-pci) are named here and skipped.
          type: str
        os:
          description:
            - The operating system. C(id), C(version), C(codename) and C(name) as C(/etc/os-release) says,
              C(architecture) of the machine, C(kernel), the release that runs, and C(container), what the host is a
              container of (such as V(lxc), from C(/run/systemd/container)), V(wsl) for WSL2, V(null) for a machine.
          type: dict
        machine:
          description: A name of the machine, derived from its machine-id, that tells only whether two are the same.
          type: str
        boot:
          description:
            - C(kernel) that the next boot takes, C(driver_module) and C(headers), whether the NVIDIA driver's module
              and the kernel's headers are there for it, C(secure_boot) (V(null) without UEFI), and
              C(module_key_enrolled), whether the firmware trusts the key that DKMS signs with.
          type: dict
        packages:
          description:
            - Installed packages of drivers, container engines and NVIDIA's container toolkit, by name, each with
              C(version) and C(held).
          type: dict
        unfinished_packages:
          description:
            - Packages of any kind that an interrupted or failed installation left, with dpkg's word for their state
              (V(unpacked), V(half-configured), V(half-installed)).
          type: dict
        pci:
          description:
            - Graphics processors of NVIDIA, AMD and Intel on the PCI bus, from sysfs, with C(slot), C(vendor),
              C(vendor_name), C(device), C(class), C(subsystem), C(driver), C(numa_node) and C(supported) (NVIDIA's
              are).
          type: list
          elements: dict
        driver:
          description:
            - C(version) and C(cuda_version) as NVML says, C(module_version) of the loaded kernel module,
              C(library_version) of the library on disk, C(open_modules), whether the loaded module is of the open kind.
            - C(persistence_unit) and C(fabric_manager_unit), whether systemd has the driver's daemons, and C(prepared),
              what the role C(nvidia_driver) left when it had finished.
            - C(brought_by), who put it there, V(packages), V(runfile) (NVIDIA's installer, by what it leaves in
              C(/usr/bin) and C(/var/log), or a library that no package owns), V(container_host), V(windows),
              V(operator) (NVIDIA's GPU Operator), V(unknown) (files of no package), or V(null) where there is none.
              C(origins), its packages by the name that their repository has for itself, from C(apt-cache policy) or
              rpm's vendor, under an empty name where nothing tells. C(vgpu), V(null), or C(host_driver) of a GPU that
              is a slice of a hypervisor's, from its PCI configuration.
          type: dict
        nvswitches:
          description: PCI slots of NVSwitches.
          type: list
          elements: str
        gpus:
          description: GPUs as NVML lists them, by index.
          type: list
          elements: dict
          contains:
            index:
              description: NVML's index.
              type: int
            uuid:
              description: UUID, which survives a change of order; V(null) for a GPU that does not answer.
              type: str
            name:
              description: NVIDIA's name of the product.
              type: str
            pci_id:
              description: PCI slot, as in C(pci).
              type: str
            memory_mib:
              description:
                - C(total), C(free), C(used) and C(reserved) in MiB. C(source) is V(nvml), or V(meminfo) where GPU and
                  host share one memory and NVML reports none.
              type: dict
            compute_capability:
              description: CUDA compute capability.
              type: str
              sample: "8.6"
            mig:
              description:
                - C(mode) and C(pending) (V(enabled), V(disabled), V(unsupported)) and C(devices), each with C(uuid),
                  C(index) and C(memory_mib).
              type: dict
            ecc:
              description: Whether memory is error-corrected; V(null) where the GPU cannot.
              type: bool
            power_limit_w:
              description: Power limit in watts.
              type: int
            persistence:
              description: Persistence mode.
              type: bool
            processes:
              description: Processes that hold memory, each with C(pid), C(name) and C(memory_mib) (V(null) where
                unknown).
              type: list
              elements: dict
            recovery_action:
              description:
                - What the driver advises (NVML's C(NVML_FI_DEV_GET_GPU_RECOVERY_ACTION)), V(none), V(gpu_reset),
                  V(node_reboot), V(drain_p2p), V(drain_and_reset), V(recover_imex_domain), V(bus_reset),
                  V(system_reboot) or V(unknown); V(null) where the driver is too old to say.
              type: str
            xid:
              description:
                - Errors of this GPU since boot that the driver wrote to the log of the kernel (Xid), from
                  C(journalctl) or C(/dev/kmsg), the newest 2000 of the host. C(count), C(codes), and C(last) with its
                  time C(at); V(null) where the log cannot be read, as in a container.
              type: dict
            problems:
              description: What is wrong with this GPU, a sentence each.
              type: list
              elements: str
        topology:
          description:
            - For each pair of GPUs, C(a) and C(b) (indices), C(ancestor) (NVML's level, from V(INTERNAL) to
              V(SYSTEM)) and C(nvlinks), the number of active links between them. Empty with one GPU.
          type: list
          elements: dict
        engine:
          description:
            - The container engine. C(name), C(version), C(running), and C(problem), which says what to do where it does
              not answer.
            - C(kind), what answers on Docker's socket or should, V(docker), V(podman), V(snap), V(desktop) or
              V(rootless).
              Empty where there is none.
            - C(cdi) (whether it gives out CDI devices), C(cdi_devices), C(nvidia_runtime), C(runtimes) (programs by
              name) and C(default_runtime).
            - C(root) (where it keeps its things), C(maps_users) (C(userns-remap)), C(swarm) (whether the host is a node
              of one), C(live_restore), and C(running_containers) (names).
            - C(gpu_containers) (running ones that were given GPUs, and whether they still have them, as
              M(gpufleet.vllm.container_gpu_access) returns them), C(legacy_gpu_containers) (running ones that a
              daemon-reload would take the GPUs from).
            - C(settings), what C(daemon.json) says, without secrets, and what the host allows.
          type: dict
        disk:
          description: C(path), C(total_mib) and C(free_mib) for each of O(disk_paths).
          type: list
          elements: dict
        memory_mib:
          description:
            - C(total), C(available) and C(free) memory of the host in MiB, from C(/proc/meminfo). Where GPU and host
              share one memory, vLLM looks at what is free first, which the page cache is not.
          type: dict
        systemd:
          description: Whether systemd is PID 1.
          type: bool
        listening:
          description: TCP sockets that somebody listens on, C(address) and C(port), IPv4 and IPv6.
          type: list
          elements: dict
        images:
          description: For each of O(images), V(null), or C(id) and C(repo_digests) of the local image.
          type: dict
        instances:
          description: Our own vLLM instances, as M(gpufleet.vllm.vllm_status) returns them.
          type: list
          elements: dict
        measurements:
          description:
            - What verified starts on this host measured, oldest first. C(key) stands for image, model, GPUs and
              arguments, C(at) is UTC. C(weights_gib), C(activation_gib), C(non_torch_gib), C(graphs_gib) and
              C(kv_cache_gib) are of one GPU, C(max_model_len) and C(kv_tokens) are tokens, C(concurrency) is how many
              requests of that length the KV cache holds; V(null) is what the engine did not say.
          type: list
          elements: dict
"""

import os
import typing as t
from dataclasses import replace

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import Docker
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import Http
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import bindings, kernel_log, xid
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.facts import Ports, gather
from ansible_collections.gpufleet.vllm.plugins.module_utils._host import status
from ansible_collections.gpufleet.vllm.plugins.module_utils._images import brought, sources
from ansible_collections.gpufleet.vllm.plugins.module_utils._model.held import held
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare import installed, origins
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.files import Files
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout import measurements
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime import gpu_probe, observed
from ansible_collections.gpufleet.vllm.plugins.module_utils._state.store import STATE_DIR

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "disk_paths": {"type": "list", "elements": "str", "default": []},
    "images": {"type": "list", "elements": "str", "default": []},
    "state_dir": {"type": "path", "default": "/var/lib/gpufleet"},
    "models": {
        "type": "dict",
        "options": {
            "models": {"type": "list", "elements": "str", "default": []},
            "hub_dir": {"type": "str", "default": ""},
            "references": {"type": "list", "elements": "str", "default": []},
        },
    },
    "pynvml_source": {"type": "str", "default": ""},
}


def mistakes(disk_paths: t.Sequence[str], images: t.Sequence[str]) -> list[str]:
    """What is wrong with the arguments, a sentence each."""
    wrong = [
        f"gpu_detect_disk_paths has {path!r}, expected an absolute path: correct it."
        for path in disk_paths
        if not os.path.isabs(path)
    ]
    if not all(image.strip() for image in images):
        wrong.append("images has an empty text, expected a reference: remove it.")
    return wrong


def listed_packages(run: t.Callable[..., tuple[int, str, str]]) -> str:
    """What the package manager says of its packages."""
    command = installed.command(os.path.exists)
    return run(command)[1] if command else ""


def ports(state_dir: str, pynvml_source: str) -> Ports:
    """This host. Raises BindingsError."""
    docker = Docker()
    return Ports(
        root="/",
        nvml=bindings.load(pynvml_source) if bindings.library_present() else None,
        engine=docker,
        instances=lambda: status.observe(state_dir, docker, Http()),
        measurements=lambda: measurements.listed(state_dir),
        image_ids=lambda image: brought.ids(image, state_dir),
    )


def main() -> None:
    # The source is no secret, but nothing that anybody wants in a log, or back in the result.
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True, no_log=True)
    pynvml_source = module.params.pop("pynvml_source")
    disk_paths, images = module.params["disk_paths"], module.params["images"]
    wrong = mistakes(disk_paths, images)
    if wrong:
        module.fail_json(msg=" ".join(wrong))
    try:
        host = ports(module.params["state_dir"], pynvml_source)
    except bindings.BindingsError as error:
        module.fail_json(msg=str(error))
    listed = listed_packages(module.run_command)

    def run(command: t.Sequence[str]) -> tuple[int, str]:
        status, said, _errors = module.run_command(list(command), environ_update={"LC_ALL": "C"})
        return status, said

    host = replace(
        host,
        packages=lambda: installed.parsed(listed),
        unfinished_packages=lambda: installed.unfinished(listed),
        docker_settings=lambda: observed.observe(Files(host.root).read),
        gpu_probe=gpu_probe.probe,
        owns=lambda path: origins.owns(path, os.path.exists, run),
        origins=lambda names: origins.of(names, os.path.exists, run),
        kernel_log=lambda: kernel_log.read(xid.BEGINNING),
    )
    asked = module.params["models"] or {}
    module.exit_json(
        changed=False,
        ansible_facts={"gpufleet": gather(host, disk_paths, images)},
        models={"asked": asked, "found": held(**asked, revisions={}) if asked else {}},
        image_sources=os.path.lexists(sources.path_of(STATE_DIR)),
    )


if __name__ == "__main__":
    main()
