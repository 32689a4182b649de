# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where installed packages come from: the repository's own name for itself, from apt's indexes or from rpm.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import re
import typing as t

from .installed import DPKG, RPM

APT_CACHE = "/usr/bin/apt-cache"
UNKNOWN = ""

Exists = t.Callable[[str], bool]
Run = t.Callable[[t.Sequence[str]], tuple[int, str]]

_SOURCE = re.compile(r"^ +-?\d+ (?P<where>\S.*)$")
_RELEASE = re.compile(r"^ +release (?:.*,)?o=(?P<origin>[^,\n]+)")
_VERSION = re.compile(r"^ (?P<installed>\*\*\*|   ) \S+ -?\d+$")
_PACKAGE = re.compile(r"^(?P<name>[a-z0-9][a-z0-9.+-]+)(?::[a-z0-9]+)?:$")
_INSTALLED = "/var/lib/dpkg/status"
_WORDS = re.compile(r"[^\w .,:+()/-]")
_LONGEST = 60


def owns(path: str, exists: Exists, run: Run) -> bool | None:
    """Whether a package owns a file; None where nothing knows packages. dpkg may know it under another folder."""
    if exists(DPKG):
        return run([DPKG, "--search", f"*/{os.path.basename(path)}"])[0] == 0
    return run([RPM, "--query", "--file", path])[0] == 0 if exists(RPM) else None


def of(names: t.Collection[str], exists: Exists, run: Run) -> dict[str, list[str]]:
    """These packages by the name of their origin; under an empty one where nothing tells."""
    if not names:
        return {}
    if exists(APT_CACHE):
        files = parse_files(run([APT_CACHE, "policy"])[1])
        found = parse_versions(run([APT_CACHE, "policy", *sorted(names)])[1], files)
    elif exists(RPM):
        found = parse_vendors(run([RPM, "--query", "--queryformat", "%{NAME}\t%{VENDOR}\n", *sorted(names)])[1])
    else:
        found = {}
    grouped: dict[str, list[str]] = {}
    for name in sorted(names):
        grouped.setdefault(found.get(name, UNKNOWN), []).append(name)
    return grouped


def parse_files(said: str) -> dict[str, str]:
    """Origins by index, as `apt-cache policy` lists both."""
    origins, where = {}, ""
    for line in said.splitlines():
        source, release = _SOURCE.match(line), _RELEASE.match(line)
        if source:
            where = " ".join(source["where"].split())
        elif release and where:
            origins[where] = _clean(release["origin"])
    return origins


def parse_versions(said: str, files: t.Mapping[str, str]) -> dict[str, str]:
    """The origin of each package: of the version that is installed, else the only one that offers the package.

    An index holds the newest version only, so that an older one that is installed is in none.
    """
    found: dict[str, str] = {}
    name, installed = "", False
    exact: dict[str, set[str]] = {}
    offered: dict[str, set[str]] = {}
    for line in said.splitlines():
        package, version, source = _PACKAGE.match(line), _VERSION.match(line), _SOURCE.match(line)
        if package:
            name, installed = package["name"], False
        elif version:
            installed = version["installed"] == "***"
        elif source and name and not source["where"].startswith(_INSTALLED):
            origin = files.get(" ".join(source["where"].split()))
            if origin:
                offered.setdefault(name, set()).add(origin)
                if installed:
                    exact.setdefault(name, set()).add(origin)
    for name, origins in offered.items():
        known = exact.get(name) or origins
        if len(known) == 1:
            found[name] = next(iter(known))
    return found


def parse_vendors(said: str) -> dict[str, str]:
    """Vendors by package, as rpm says."""
    pairs = (line.partition("\t") for line in said.splitlines() if "\t" in line)
    return {name: _clean(vendor) for name, _tab, vendor in pairs if vendor.strip() not in ("", "(none)")}


def _clean(text: str) -> str:
    """Somebody else's text, as it may stand in a sentence."""
    return _WORDS.sub("", text).strip()[:_LONGEST]
