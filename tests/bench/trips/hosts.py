# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of the lab that are reached over ssh: the first ones serve with vLLM, the others with a stand-in.

A stand-in is an image with the lab's Python, what says that it is vLLM, and tests/bench/stand_in.py.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
import typing as t

import requests

from lab import oci, registry, vllm_image

Json = dict[str, t.Any]
CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
SHARED = CHECKOUT / "molecule" / "shared" / "inventory"
STAND_IN = "stand-in"
# Each session says so in its host's journal: a shell, a command, or sftp.
VERBOSE = "LogLevel VERBOSE\n"
SESSION = "Starting session:"
REQUESTS = ("requests", "urllib3", "idna", "certifi", "charset_normalizer")
HOST_PACKAGES = "/usr/local/lib/python3.13/dist-packages"
METADATA = f"Metadata-Version: 2.1\nName: vllm\nVersion: {vllm_image.VERSION}\n"


@dataclasses.dataclass(frozen=True)
class Host:
    """A host by its name in the inventory."""

    name: str
    image: str

    @property
    def container(self) -> str:
        return f"gpufleet-lab-{self.name}"

    def read(self, *command: str, given: bytes = b"") -> bytes:
        """What a command on the host prints. Raises CalledProcessError."""
        words = ["docker", "exec", "--interactive", self.container, *command]
        return subprocess.run(words, input=given, stdout=subprocess.PIPE, check=True).stdout

    def run(self, *command: str, given: bytes = b"") -> str:
        return self.read(*command, given=given).decode()

    def write(self, path: str, content: bytes) -> None:
        self.run("install", "-D", "--mode", "0600", "/dev/stdin", path, given=content)

    def address(self) -> str:
        """Where it is reached from this machine."""
        words = ["docker", "inspect", "--format", "{{.NetworkSettings.IPAddress}}", self.container]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    def sessions(self) -> int:
        """How many sessions its sshd has begun since it booted."""
        return self.run("journalctl", "--unit", "ssh", "--output", "cat").count(SESSION)


def named(real: int, stand_ins: int, at: str) -> list[Host]:
    """Hosts with vLLM, then those with a stand-in; `at` is the registry."""
    images = [vllm_image.VERSION] * real + [STAND_IN] * stand_ins
    return [Host(f"trips-{number:02}", f"{at}/{vllm_image.NAME}:{tag}") for number, tag in enumerate(images, 1)]


def push_stand_in() -> None:
    """Push the image, from the base of the lab's vLLM and one layer."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        root = folder / "root"
        for path, text in {
            "usr/local/bin/vllm": "#!/bin/sh\nexec python3 /opt/stand_in.py 0.0.0.0 8000\n",
            "opt/stand_in.py": (CHECKOUT / "tests" / "bench" / "stand_in.py").read_text(),
            f"usr/lib/python3/dist-packages/vllm-{vllm_image.VERSION}.dist-info/METADATA": METADATA,
        }.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
            (root / path).chmod(0o755)
        layers = [_base(folder / "base.tar.zst"), oci.pack(root, folder / "layer.tar.zst")]
        image = oci.Image(("vllm", "serve"), {"PATH": "/usr/local/bin:/usr/bin:/bin"}, {})
        oci.Repository(registry.known(), vllm_image.NAME).push(STAND_IN, image, layers)


def _base(to: pathlib.Path) -> oci.Layer:
    made = subprocess.run(
        ["docker", "create", vllm_image.BASE_IMAGE, "true"], capture_output=True, text=True, check=True
    ).stdout.strip()
    try:
        with subprocess.Popen(["docker", "export", made], stdout=subprocess.PIPE) as export:
            return oci.compress(t.cast("t.IO[bytes]", export.stdout), to)
    finally:
        subprocess.run(["docker", "rm", made], stdout=subprocess.DEVNULL, check=True)


def inventory(hosts: t.Sequence[Host], variables: t.Mapping[str, Json]) -> Json:
    """Hosts of the class `cpu`, as the scenarios have them, with variables of each by its name."""
    stated = {host.name: {"vllm_server_image": host.image, **variables.get(host.name, {})} for host in hosts}
    return {"cpu": {"hosts": stated}}


def play(playbook: str, hosts: t.Sequence[Host]) -> None:
    """Run a playbook of the lab on hosts. Raises CalledProcessError."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        # On disk: in memory each store of a host with vLLM takes 1.4 GiB.
        json.dump(inventory(hosts, {host.name: {"lab_host": {"store": "disk"}} for host in hosts}), file)
        file.flush()
        words = [f"molecule/shared/{playbook}.yml", "--inventory", str(SHARED), "--inventory", file.name]
        subprocess.run(["ansible-playbook", *words], cwd=CHECKOUT, stdout=sys.stderr, check=True)


def lend_requests(host: Host) -> None:
    """What community.docker needs on a host: the control node's `requests`, which is Python alone."""
    site = pathlib.Path(requests.__file__).parents[1]
    packed = subprocess.run(["tar", "-C", str(site), "-cf", "-", *REQUESTS], stdout=subprocess.PIPE, check=True).stdout
    host.run("mkdir", "-p", HOST_PACKAGES)
    host.run("tar", "-C", HOST_PACKAGES, "--no-same-owner", "-xf", "-", given=packed)


def open_ssh(host: Host, public_key: bytes) -> None:
    """Let root in with a key, and have sshd say what it begins."""
    host.write("/root/.ssh/authorized_keys", public_key)
    host.write("/etc/ssh/sshd_config.d/trips.conf", VERBOSE.encode())
    host.run("systemctl", "restart", "ssh")
