# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release of Debian as an image of Docker's, from the mirror that this machine's apt uses."""

from __future__ import annotations

import pathlib

from lab.tools import INPUTS_LABEL, LABEL, mirror, run, say, work_directory


def bootstrap(suite: str, packages: tuple[str, ...], tar: pathlib.Path, log: str, *hooks: str) -> None:
    """Write a minimal system with these packages into an archive."""
    run(
        "mmdebstrap",
        "--variant=minbase",
        f"--include={','.join(packages)}",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "info", "locale", "man")),
        *hooks,
        suite,
        tar,
        mirror(),
        log=work_directory("log") / log,
    )


def has(image: str, inputs: str) -> bool:
    """Whether there is an image of this name and these inputs."""
    return bool(run("docker", "images", "--quiet", "--filter", f"label={INPUTS_LABEL}={inputs}", image).strip())


def build(image: str, inputs: str, suite: str, packages: tuple[str, ...], *hooks: str, changes: list[str]) -> None:
    """Make an image, with what `docker import --change` takes; one of the same inputs stays as it is."""
    if has(image, inputs):
        return
    say(f"building {image}")
    name = image.replace(":", "-")
    root = work_directory("build") / f"{name}.tar"
    bootstrap(suite, packages, root, f"{name}.log", *hooks)
    labels = f"LABEL {LABEL}=image {INPUTS_LABEL}={inputs}"
    run("docker", "import", *(word for change in (*changes, labels) for word in ("--change", change)), root, image)
    root.unlink()
    say(f"{image} is built")
