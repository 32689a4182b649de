# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts to be prepared, and the variables of the role as they are by default."""

from __future__ import annotations

import pathlib
import typing as t

import yaml

from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime import toolkit

CHECKOUT = pathlib.Path(__file__).resolve().parents[5]
DEFAULTS = yaml.safe_load((CHECKOUT / "roles/container_runtime/defaults/main.yml").read_text())
GPU = {"supported": True, "driver": ""}

CODENAMES = {
    ("debian", "12"): "bookworm",
    ("debian", "13"): "trixie",
    ("ubuntu", "22.04"): "jammy",
    ("ubuntu", "24.04"): "noble",
    ("ubuntu", "26.04"): "resolute",
}


def asked(**changed: t.Any) -> dict[str, t.Any]:
    """What the role asks for, with these variables changed."""
    defaults = {name.replace("container_runtime_", ""): value for name, value in DEFAULTS.items()}
    return {**defaults, **changed}


def packages(*names: str) -> dict[str, t.Any]:
    """Installed packages, each written as name=version."""
    pairs = [name.partition("=") for name in names]
    return {name: {"version": version, "held": False} for name, _sign, version in pairs}


TOOLKIT = packages(*(f"{name}=1.20.1-1" for name in toolkit.PACKAGES))


def facts(
    distribution: str = "debian",
    release: str = "13",
    architecture: str = "x86_64",
    gpus: bool = False,
    installed: dict[str, t.Any] | None = None,
    **engine: t.Any,
) -> t.Any:
    """What gpu_facts tells of a host, bare unless something is installed."""
    found: dict[str, t.Any] = {
        "name": None,
        "kind": "",
        "version": None,
        "running": False,
        "root": "",
        "cdi": False,
        "cdi_devices": [],
        "nvidia_runtime": False,
        "runtimes": {},
        "default_runtime": "",
        "maps_users": False,
        "swarm": False,
        "live_restore": False,
        "running_containers": [],
        "gpu_containers": [],
        "legacy_gpu_containers": [],
        "problem": "No container engine is installed: install Docker.",
        "settings": {"values": {}, "ours": {}, "pending": False, "problem": "", "nofile_most": None},
    }
    return {
        "state": "no_driver" if gpus else "no_gpu",
        "os": {
            "id": distribution,
            "version": release,
            "codename": CODENAMES.get((distribution, release)),
            "name": f"{distribution} {release}",
            "architecture": architecture,
            "kernel": "6.12.48",
        },
        "packages": installed or {},
        "unfinished_packages": {},
        "pci": [GPU] if gpus else [],
        "engine": {**found, **engine},
        "disk": [{"path": "/var/lib/docker", "total_mib": 90000, "free_mib": 50000}],
    }


def running(version: str = "26.1.5+dfsg1", **changed: t.Any) -> dict[str, t.Any]:
    """An engine that runs, as gpu_facts tells of it."""
    return {"name": "docker", "kind": "docker", "version": version, "running": True, "problem": "", **changed}
