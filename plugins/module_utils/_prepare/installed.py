# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installed packages that preparing a host is about, and those that dpkg did not finish, from dpkg or rpm.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import fnmatch
import re
import typing as t

PATTERNS = (
    *("docker*", "containerd*", "moby-*", "runc", "podman-docker"),
    *("nvidia-*", "libnvidia-*", "libcuda1", "libcudadebugger*", "libnvsdm*", "firmware-nvidia*"),
    *(
        "kmod-nvidia*",
        "akmod-nvidia*",
        "dkms-nvidia*",
        "xorg-x11-drv-nvidia*",
        "linux-modules-nvidia-*",
        "linux-objects-nvidia-*",
        "cuda-drivers*",
        "cuda-compat*",
    ),
)
_OURS = re.compile("|".join(map(fnmatch.translate, PATTERNS)))
# States in which dpkg leaves a package that it did not finish; those that wait for a trigger apt finishes itself.
_UNFINISHED = {"U": "unpacked", "F": "half-configured", "H": "half-installed"}
DPKG, RPM = "/usr/bin/dpkg-query", "/usr/bin/rpm"
_DPKG_LINE = "${db:Status-Abbrev}\t${Package}\t${Version}\n"
_RPM_LINE = "ii \t%{NAME}\t%{VERSION}-%{RELEASE}\n"


class Package(t.TypedDict, total=False):
    """An installed package."""

    version: str
    held: bool


def command(exists: t.Callable[[str], bool]) -> list[str]:
    """What to ask for them; nothing where there is neither dpkg nor rpm. Its status does not matter."""
    if exists(DPKG):
        return [DPKG, "--show", "--showformat", _DPKG_LINE]
    return [RPM, "--query", "--all", "--queryformat", _RPM_LINE, *PATTERNS] if exists(RPM) else []


def parsed(output: str) -> dict[str, Package]:
    """`version`, and whether it is `held`, by name; what is half-installed is not installed."""
    return {
        name: {"version": version, "held": status[:1] == "h"}
        for status, name, version in _lines(output)
        if status[1:2] == "i" and _OURS.match(name)
    }


def unfinished(output: str) -> dict[str, str]:
    """The state, in dpkg's word, of each package of the host that an interrupted or failed installation left."""
    return {name: _UNFINISHED[status[1:2]] for status, name, _version in _lines(output) if status[1:2] in _UNFINISHED}


def _lines(output: str) -> t.Iterator[tuple[str, str, str]]:
    """Status, name and version. What is half-installed may have no version."""
    for line in output.splitlines():
        status, tab, rest = line.partition("\t")
        name, _tab, version = rest.partition("\t")
        if tab and name:
            yield status, name, version
