# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines that are not the Docker that can be prepared, named for what they are, and what is odd about one that is.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from .._docker.container_engine import EngineFact
from .._docker.docker_info import DESKTOP, DOCKER, PODMAN, ROOTLESS, SNAP
from .._gpu.fact import Facts

OWN_WAY = "or prepare the host yourself and set container_runtime_manage to false"
OTHERS: t.Final = {
    PODMAN: (
        "Podman plays Docker here, and servers need Docker itself. Podman and its containers can stay; what gives it "
        "Docker's name and socket has to go: {remove} podman-docker, and where /run/docker.sock is still a link to "
        f"Podman's socket, remove the link. Then run this again, {OWN_WAY}."
    ),
    SNAP: (
        "Docker is a snap here: it does not read /etc/docker/daemon.json, sees few of the host's folders, and a second "
        "Docker would fight with it for /run/docker.sock. Remove it with its containers, images and volumes (snap "
        f"remove docker; snap saved lists the copy that it keeps), and run this again, {OWN_WAY}."
    ),
    DESKTOP: (
        "Docker Desktop answers here: its containers run in a virtual machine of its own, and its settings are made in "
        "its window. Stop it (systemctl --user disable --now docker-desktop) or, under WSL, switch its integration "
        f"with this distribution off (Settings, Resources, WSL integration), and run this again, {OWN_WAY}."
    ),
    ROOTLESS: (
        "Docker runs rootless here, for one user: it does not read /etc/docker/daemon.json and starts no server at "
        "boot. The system's own Docker can run beside it: where /run/docker.sock is a link to the user's socket, "
        "remove the link, then systemctl enable --now docker.service docker.socket, and run this again, "
        f"{OWN_WAY}."
    ),
}
# Programs that run a container in a machine or a kernel of its own.
SANDBOXES = {"runsc": "gVisor", "kata": "Kata Containers", "containerd-shim-kata": "Kata Containers"}
NVIDIA = "nvidia-container-runtime"
# userns-remap keeps a root of its own for each range of users: /var/lib/docker/100000.100000
_MAPPED = re.compile(r"/(\d+)\.(\d+)/?$")


def objection(facts: Facts, manager: str) -> str:
    """Why this engine cannot be prepared, and what helps; '' where it can, or there is none yet."""
    engine, kind = facts["engine"], facts["engine"].get("kind") or ""
    if "podman-docker" in facts["packages"] and not (engine["running"] and kind == DOCKER):
        kind = PODMAN
    said = OTHERS.get(kind, "")
    return said.format(remove="dnf remove" if manager == "dnf" else "apt-get remove") if kind == PODMAN else said


def warnings(engine: EngineFact) -> list[str]:
    """What is to be known of a Docker that runs."""
    return [said for said in (_of_runtime(engine), _of_users(engine)) if said]


def _of_runtime(engine: EngineFact) -> str:
    name = engine.get("default_runtime") or ""
    program = ((engine.get("runtimes") or {}).get(name) or name).rpartition("/")[2]
    said = f"default-runtime in daemon.json is {name}"
    if program.startswith(NVIDIA) or name == "nvidia":
        return (
            f"{said}: every container whose image asks for GPUs, as those made from CUDA's do, gets all of them. "
            "Servers of this collection state runc and get the GPUs of their plan; one that was made by an earlier "
            "version does so from its next change on. To end it for the others, remove default-runtime from "
            "/etc/docker/daemon.json, restart Docker, and start with --gpus what needs some."
        )
    sandbox = next((SANDBOXES[one] for one in SANDBOXES if program.startswith(one) or name.startswith(one)), "")
    if sandbox:
        return (
            f"{said} ({sandbox}), a sandbox. Servers of this collection state runc and run outside of it, because an "
            "engine finds no GPU there unless the sandbox is set up for it."
        )
    return ""


def _of_users(engine: EngineFact) -> str:
    if not engine.get("maps_users"):
        return ""
    mapped = _MAPPED.search(engine.get("root") or "")
    owner = f"{mapped[1]}:{mapped[2]}" if mapped else "NUMBER"
    which = owner if mapped else "NUMBER, the first of dockremap in /etc/subuid"
    return (
        f"userns-remap in daemon.json makes root of a container another user of the host ({which}): servers cannot "
        "write folders that root owns, nor read API keys. Give them the folders of vllm_server_hub_dir and "
        f"vllm_server_cache_dir (chown -R {owner} /var/cache/gpufleet by default) and use no api_key; or remove "
        "userns-remap from /etc/docker/daemon.json and restart Docker, which then has other images and containers."
    )
