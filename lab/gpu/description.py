# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The description of a host's hardware: one file from which its PCI tree, driver, NVML and CDI are written.

The format is that of description.c, which reads the same file for NVML: `key = value` lines, first those of the host,
then sections. [gpu] opens a GPU; [mig], [process] and [nvlink] belong to the GPU above them; [pci] is any other device.
"""

from __future__ import annotations

import pathlib
import re
import typing as t
from dataclasses import dataclass, field

HOSTS = pathlib.Path(__file__).with_name("hosts")

_SECTION = re.compile(r"\s*\[([a-z]+)\]\s*$")
_SETTING = re.compile(r"\s*([a-z_]+)\s*=\s*(.*?)\s*$")
_OF_GPU = ("mig", "process", "nvlink")


@dataclass(frozen=True)
class Section:
    """One section of a description; `parts` are the sections that belong to it."""

    kind: str
    values: dict[str, str] = field(default_factory=dict)
    parts: list[Section] = field(default_factory=list)

    def get(self, key: str, default: str = "") -> str:
        return self.values.get(key, default)

    def of(self, kind: str) -> list[Section]:
        return [part for part in self.parts if part.kind == kind]


def parse(lines: t.Iterable[str]) -> Section:
    """The host as a section of kind `host`, whose parts are its GPUs and other PCI devices.

    Raises ValueError for a line that is neither a section, a setting, a comment nor empty, and for a part that stands
    above the first GPU.
    """
    host = Section("host")
    here = host
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        if section := _SECTION.match(line):
            kind = section[1]
            if kind in _OF_GPU and not host.of("gpu"):
                raise ValueError(f"line {number}: [{kind}] belongs to a [gpu], and there is none above it")
            here = Section(kind)
            (host.of("gpu")[-1] if kind in _OF_GPU else host).parts.append(here)
        elif setting := _SETTING.match(line):
            here.values[setting[1]] = setting[2]
        else:
            raise ValueError(f"line {number}: {line.strip()!r} is neither `[section]` nor `key = value`")
    return host


def read(name: str) -> Section:
    """Read a description by its name below lab/gpu/hosts. Raises ValueError, naming the ones there are."""
    path = HOSTS / f"{name}.ini"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in HOSTS.glob("*.ini")))
        raise ValueError(f"there is no description {name!r}; there are: {known}")
    return parse(path.read_text().splitlines())
