# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would have to go for packages that are to come: a host has other things on it than what is brought.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from .._prepare.managers import Apt, Failed, Run

ABORTED = "Operation aborted"
# dnf's table: a package that is replaced stands below the one that replaces it; others are in a part of their own.
_REPLACED = re.compile(r"^ +replacing +(\S+?)(?:\.(?:x86_64|aarch64|noarch|i686))?(?: |$)")
_PART = re.compile(r"^(\w[\w ]*):$")
_ROW = re.compile(r"^ (\S+) +\S+ +\S+ +\S+")


class Refused(Exception):
    """The packages are not to be installed; the text says what would go, and what to do."""


def must_not_remove(manager: str, names: t.Sequence[str], run: Run, lock_timeout: int) -> None:
    """Refuse what would take other packages away. Raises Refused, and Failed where it cannot be installed at all."""
    if manager == "apt":
        gone, by = Apt(run, lock_timeout).removes(names), "apt-get remove"
    else:
        gone, by = removed_by_dnf(names, run), "dnf remove"
    if not gone:
        return
    raise Refused(
        f"{', '.join(gone)} would have to be removed for {', '.join(names)}, which nobody asked for. Nothing was "
        f"installed.{_advice(gone, manager)} Where nothing on this host needs them, remove them yourself ({by} "
        f"{' '.join(gone)}), and run this again; or set container_runtime_manage to false."
    )


def _advice(gone: t.Sequence[str], manager: str) -> str:
    """The way on that keeps what would go, where there is one."""
    if manager != "apt":
        return ""
    if "containerd.io" in gone:
        return " To keep containerd.io, set container_runtime_origin to docker, whose packages run on it."
    if "containerd" in gone:
        return " To keep containerd, set container_runtime_origin to distribution, whose Docker runs on it."
    return ""


def removed_by_dnf(names: t.Sequence[str], run: Run) -> list[str]:
    """Packages that dnf would replace or remove. Raises Failed where it finds no way to install these."""
    status, said = run(["dnf", "--assumeno", "--setopt=install_weak_deps=False", "install", *names])
    if status and ABORTED not in said:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        raise Failed(" ".join(lines[-4:]) or f"dnf ended with {status}")
    found, part = [], ""
    for line in said.splitlines():
        begins, replaced, row = _PART.match(line), _REPLACED.match(line), _ROW.match(line)
        if begins:
            part = begins[1]
        elif replaced:
            found.append(replaced[1])
        elif row and part.startswith("Removing"):
            found.append(row[1])
    return list(dict.fromkeys(found))
