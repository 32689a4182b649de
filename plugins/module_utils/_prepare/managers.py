# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What apt and dnf are told when a driver is installed or rolled back, and what their answers mean.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import time
import typing as t

from . import apt

Versions = dict[str, str]
Run = apt.Run

_LISTED = re.compile(r"^(?P<status>\S+) *\t(?P<name>\S+)\t(?P<version>\S+)$", re.MULTILINE)
_REMOVED = re.compile(r"^Remv (\S+)", re.MULTILINE)


class Failed(Exception):
    """A package manager could not do something; the text holds its own words."""


class Apt:
    """apt. `lock_timeout`: for how many seconds to wait for somebody else who uses apt or dpkg."""

    def __init__(self, run: Run, lock_timeout: int, sleep: apt.Sleep = time.sleep) -> None:
        self._run = apt.patient(run, lock_timeout, sleep)
        # Held packages of an earlier branch may change now, and only now.
        allowed = ("--allow-change-held-packages", "--allow-downgrades", "--no-install-recommends")
        self._options = ("-q", "-y", "-o", "Dpkg::Options::=--force-confold")
        self._install = ("apt-get", *self._options, *allowed, "install")

    def installed(self) -> Versions:
        """Everything that dpkg knows as installed or half-installed."""
        said = self._do(["dpkg-query", "--show", "--showformat", "${db:Status-Abbrev}\t${Package}\t${Version}\n"])
        return listed(said, absent=("n", "c"))

    def removes(self, names: t.Sequence[str]) -> list[str]:
        """Packages that would have to go for these. Raises Failed where they cannot be installed."""
        return _REMOVED.findall(self._do([*self._install, "--simulate", *names]))

    def download(self, names: t.Sequence[str]) -> None:
        self._do([*self._install, "--download-only", *names])

    def install(self, names: t.Sequence[str]) -> None:
        self._do([*self._install, *names])

    def roll_back(self, before: Versions) -> None:
        """Exactly the packages and versions of before."""
        now = self.installed()
        added = sorted(set(now) - set(before))
        if added:
            self._do(["apt-get", *self._options, "--allow-change-held-packages", "purge", *added])
        changed = [
            f"{name}={version}" for name, version in sorted(before.items()) if self.installed().get(name) != version
        ]
        if changed:
            self._do([*self._install, *changed])

    def hold(self, names: t.Collection[str]) -> bool:
        """Have upgrades leave these alone; whether anything was not held yet."""
        held = self._do(["apt-mark", "showhold"]).split()
        due = sorted(set(names) - set(held))
        if due:
            self._do(["apt-mark", "hold", *due])
        return bool(due)

    def lock(self, patterns: t.Sequence[str]) -> None:
        """apt has no locks by pattern."""

    def _do(self, command: t.Sequence[str]) -> str:
        return told(self._run, command)


class Dnf:
    """dnf, with version locks where the distribution has no streams."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def installed(self) -> Versions:
        return listed(self._do(["rpm", "-qa", "--queryformat", "ii\t%{NAME}\t%{VERSION}-%{RELEASE}\n"]))

    def removes(self, names: t.Sequence[str]) -> list[str]:
        """dnf removes nothing that it is not told to: it refuses in the download."""
        return []

    def download(self, names: t.Sequence[str]) -> None:
        self._do(["dnf", "-y", "--setopt=install_weak_deps=False", "install", "--downloadonly", *names])

    def install(self, names: t.Sequence[str]) -> None:
        self._do(["dnf", "-y", "--setopt=install_weak_deps=False", "install", *names])
        self._do(["dnf", "-y", "upgrade", *names])

    def roll_back(self, before: Versions) -> None:
        now = self.installed()
        added = sorted(set(now) - set(before))
        if added:
            self._do(["dnf", "-y", "remove", *added])
        changed = [
            f"{name}-{version}" for name, version in sorted(before.items()) if self.installed().get(name) != version
        ]
        if changed:
            self._do(["dnf", "-y", "downgrade", *changed])

    def hold(self, names: t.Collection[str]) -> bool:
        """The stream or the lock of the branch holds them."""
        return False

    def lock(self, patterns: t.Sequence[str]) -> None:
        """Lock the versions of a branch, and let go of the branch before."""
        if not patterns:
            return
        locked = self._do(["dnf", "-q", "versionlock", "list"]).split()
        old = [entry for entry in locked if entry.startswith("*nvidia*") and entry not in patterns]
        if old:
            self._do(["dnf", "versionlock", "delete", *old])
        new = [pattern for pattern in patterns if pattern not in locked]
        if new:
            self._do(["dnf", "versionlock", "add", "--raw", *new])

    def _do(self, command: t.Sequence[str]) -> str:
        return told(self._run, command)


Manager = t.Union[Apt, Dnf]


def listed(said: str, absent: t.Container[str] = ()) -> Versions:
    """Versions by name. Raises Failed where there is none: what is rolled back is measured by it."""
    lines = _LISTED.finditer(said)
    versions = {line["name"]: line["version"] for line in lines if line["status"][1:2] not in absent}
    if not versions:
        raise Failed("the package manager does not say what is installed")
    return versions


def told(run: Run, command: t.Sequence[str]) -> str:
    """What a command says. Raises Failed with the lines that tell what went wrong."""
    status, said = run([*command])
    if status:
        raise Failed(apt.telling(said) or f"{command[0]} ended with {status}")
    return said
