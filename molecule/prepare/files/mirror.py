#!/usr/bin/env python3
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes repositories laid out and named as Docker's and NVIDIA's, signed with keys of their own.

What they offer are stand-ins: docker-ce is the distribution's engine under Docker's name, and the toolkit is empty. The
way that a package takes to a host is real; so are names, versions, pins and signatures.

Usage: mirror.py FOLDER, on Debian 13. Needs gpg and gpg-agent.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

TOOLKIT = (
    *("nvidia-container-toolkit", "nvidia-container-toolkit-base"),
    *("libnvidia-container-tools", "libnvidia-container1"),
)
# Docker's name of a package -> the distribution's, whose content it gets.
DOCKER = {"docker-ce": "docker.io", "docker-ce-cli": "docker-cli", "containerd.io": ""}
DOCKER_DEPENDS = "docker-ce-cli, containerd.io, containerd, runc, iptables, tini"
DOCKER_VERSION, LATER = "5:29.8.1-1~test", "5:30.0.0-1~test"


def run(*command: str, home: pathlib.Path, stdin: bytes = b"") -> bytes:
    environment = {**os.environ, "GNUPGHOME": str(home)}
    return subprocess.run(command, check=True, capture_output=True, env=environment, input=stdin).stdout


def key(name: str, home: pathlib.Path) -> str:
    """Make a key, and return its fingerprint."""
    address = f"{name}@example.com"
    run("gpg", "--batch", "--passphrase", "", "--quick-generate-key", address, "rsa2048", "sign", "never", home=home)
    listed = run("gpg", "--with-colons", "--list-keys", address, home=home).decode().splitlines()
    return next(line.split(":")[9] for line in listed if line.startswith("fpr:"))


def package(name: str, version: str, to: pathlib.Path, home: pathlib.Path, depends: str = "", content: str = "") -> str:
    """Build a package, with the content of one of the distribution's if one is named; its entry of the index."""
    control = [f"Package: {name}", f"Version: {version}", "Architecture: amd64"]
    control += ["Maintainer: A test <packages@example.com>", "Description: stand-in of a test"]
    control += [f"Depends: {depends}"] if depends else []
    file = to / "pool" / f"{name}_{version.rpartition(':')[2]}_amd64.deb"
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / "root"
        if content:
            run("sh", "-c", f"cd {folder} && apt-get download {content} && dpkg-deb -R {content}_*.deb root", home=home)
        (root / "DEBIAN").mkdir(0o755, parents=True, exist_ok=True)
        root.chmod(0o755)
        (root / "DEBIAN" / "control").write_text("\n".join([*control, ""]))
        run("dpkg-deb", "--root-owner-group", "-Znone", "--build", str(root), str(file), home=home)
    built = file.read_bytes()
    index = [f"Filename: pool/{file.name}", f"Size: {len(built)}"]
    return "\n".join([*control, *index, f"SHA256: {hashlib.sha256(built).hexdigest()}", ""])


def signed(release: list[str], files: dict[str, bytes], to: pathlib.Path, signer: str, home: pathlib.Path) -> None:
    """Write an index with its signed release file beside it."""
    sums = []
    for name, content in files.items():
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        (to / name).write_bytes(content)
        sums.append(f" {hashlib.sha256(content).hexdigest()} {len(content)} {name}")
    date = run("date", "-Ru", home=home).decode().strip()
    text = "\n".join([*release, f"Date: {date}", "SHA256:", *sums, ""]).encode()
    sign = ("gpg", "--batch", "--local-user", signer, "--digest-algo", "SHA512", "--clearsign")
    (to / "InRelease").write_bytes(run(*sign, home=home, stdin=text))


def main() -> None:
    to = pathlib.Path(sys.argv[1])
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        fingerprints = {name: key(name, home) for name in ("docker", "nvidia", "somebody")}
        for name in fingerprints:
            (to / f"{name}.asc").write_bytes(run("gpg", "--armor", "--export", f"{name}@example.com", home=home))
        debian = to / "linux" / "debian"
        entries = [package(name, LATER, debian, home) for name in DOCKER]
        for name, content in DOCKER.items():
            depends = DOCKER_DEPENDS if name == "docker-ce" else ""
            entries.append(package(name, DOCKER_VERSION, debian, home, depends, content))
        index = "\n".join(entries).encode()
        stable = {"stable/binary-amd64/Packages": index, "stable/binary-amd64/Packages.gz": gzip.compress(index)}
        docker = ["Origin: Docker", "Suite: trixie", "Codename: trixie", "Architectures: amd64", "Components: stable"]
        signed(docker, stable, debian / "dists" / "trixie", fingerprints["docker"], home)
        flat = to / "libnvidia-container" / "stable" / "deb" / "amd64"
        entries = [package(name, v, flat, home) for v in ("1.20.1-1", "1.21.0-1") for name in TOOLKIT]
        signed(["Origin: NVIDIA"], {"Packages": "\n".join(entries).encode()}, flat, fingerprints["nvidia"], home)
    (to / "fingerprints.json").write_text(json.dumps(fingerprints))


if __name__ == "__main__":
    main()
