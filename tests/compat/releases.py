# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases of ansible-core that are supported, and what each runs on here."""

from __future__ import annotations

import functools
import platform
import subprocess
import sys
import typing as t
from dataclasses import dataclass

from ansible.release import __version__ as own_core

# Debian 13's, in a container of the lab.
CONTAINER_PYTHON = "3.13"
ASK = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"


@dataclass(frozen=True)
class Release:
    """`ansible` is the package whose collections belong to this core. `pythons` are those of its package."""

    core: str
    ansible: str
    pythons: tuple[str, ...]

    @property
    def series(self) -> str:
        return ".".join(self.core.split(".")[:2])

    @property
    def is_stable(self) -> bool:
        return self.core.replace(".", "").isdigit()


# The oldest first.
RELEASES = (
    Release("2.19.14", "12.3.0", ("3.11", "3.12", "3.13")),
    Release("2.20.10", "13.8.0", ("3.12", "3.13")),
    Release("2.21.5", "14.5.0", ("3.12", "3.13")),
    Release("2.22.0rc1", "15.0.0a3", ("3.13",)),
)


@dataclass(frozen=True)
class Cell:
    """One release on one Python: of this machine, or where `here` is empty in a container. `lab`: with hosts too."""

    release: Release
    python: str
    here: str
    lab: bool
    units: bool

    def __str__(self) -> str:
        return f"{self.release.series} on Python {self.python}"

    @property
    def folder(self) -> str:
        return f"{self.release.core}-py{self.python}"


@functools.cache
def python_here(version: str) -> str:
    """A Python of this version on this machine; '' where none is. A shim that is there and does not run is none."""
    for command in (sys.executable, f"python{version}", "python3"):
        try:
            done = subprocess.run([command, "-c", ASK], capture_output=True, text=True, check=False, timeout=60)
        except OSError:
            continue
        if done.returncode == 0 and done.stdout.strip() == version:
            return command
    return ""


def to_be_had(version: str) -> bool:
    return bool(python_here(version)) or version == CONTAINER_PYTHON


def lab_python(release: Release) -> str:
    """The machine's own where it fits, else the newest that is to be had; '' where none is."""
    own = ".".join(platform.python_version_tuple()[:2])
    fitting = [version for version in release.pythons if to_be_had(version)]
    return own if own in fitting else (fitting[-1] if fitting else "")


def everything(releases: t.Sequence[Release]) -> list[Cell]:
    """Each on every Python that is to be had: unit tests on all, hosts once."""
    return [
        Cell(release, version, python_here(version), lab=version == lab_python(release), units=True)
        for release in releases
        for version in release.pythons
        if to_be_had(version)
    ]


def of_each_build() -> list[Cell]:
    """The oldest and the newest stable release, but for the one that everything else here runs on."""
    ends = (RELEASES[0], [release for release in RELEASES if release.is_stable][-1])
    own = ".".join(own_core.split(".")[:2])
    return [
        Cell(release, lab_python(release), python_here(lab_python(release)), lab=True, units=False)
        for release in ends
        if release.series != own and lab_python(release)
    ]


def asked(words: str) -> list[Cell]:
    """The cells of `ci`, of releases such as `2.20 2.22`, or of all. Raises ValueError."""
    if words.strip() == "ci":
        return of_each_build()
    series = words.replace(",", " ").split()
    unknown = set(series) - {release.series for release in RELEASES}
    if unknown:
        known = ", ".join(release.series for release in RELEASES)
        raise ValueError(f"ansible-core {', '.join(sorted(unknown))} is not among the supported: {known}")
    return everything([release for release in RELEASES if not series or release.series in series])
