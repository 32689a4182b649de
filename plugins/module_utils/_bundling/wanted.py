# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages a host lacks, and where they come from: what the plans of its driver and its container engine say.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import typing as t

from .._bundle.package_source import system
from .._outside import documents
from .._outside.documents import Json
from .._prepare import apt
from .._prepare.repository import APT_PREFERENCES, Apt, Pin

# The module that installs packages takes it, and where it is missing it would be asked of a network.
ANSIBLE_NEEDS = "python3-apt"
# Where the archive of a distribution is, its security updates, and components that Docker comes from. Ubuntu has other
# architectures than amd64 elsewhere.
DEBIAN = ("http://deb.debian.org/debian", "http://deb.debian.org/debian-security", ("main",))
UBUNTU = ("http://archive.ubuntu.com/ubuntu", "http://security.ubuntu.com/ubuntu", ("main", "universe"))
PORTS = "http://ports.ubuntu.com/ubuntu-ports"
KEYRINGS: t.Final = {
    "debian": tuple(f"/usr/share/keyrings/debian-archive-keyring.{end}" for end in ("gpg", "pgp")),
    "ubuntu": ("/usr/share/keyrings/ubuntu-archive-keyring.gpg",),
}


class Source(t.TypedDict):
    """A repository of apt, with the parameters of package_repository. `keyrings` are files, one of which is its key;
    else it is `key`, or what `key_url` has, with one of these `fingerprints`."""

    name: str
    uris: list[str]
    suites: list[str]
    components: list[str]
    keyrings: list[str]
    key: str
    key_url: str
    fingerprints: list[str]


class Wanted(t.TypedDict):
    """`first` are installed before `packages`, and may hold preferences of apt; `preferences` are files by name."""

    system: str
    architecture: str
    sources: list[Source]
    preferences: dict[str, str]
    first: list[str]
    packages: list[str]


_SOURCE: documents.Shape = {
    "name": str,
    "uris": [str],
    "suites": [str],
    "components": [str],
    "keyrings": [str],
    "key": str,
    "key_url": str,
    "fingerprints": [str],
}
SHAPE: documents.Shape = {
    "system": str,
    "architecture": str,
    "sources": [_SOURCE],
    "preferences": {},
    "first": [str],
    "packages": [str],
}


def sets(os_fact: Json, driver: Json, runtime: Json, archive: Json, errors: list[str]) -> list[Wanted]:
    """One for the driver and one for the container engine, where something of it is due. DRIVER and RUNTIME are what
    nvidia_driver_plan and container_runtime_plan returned, {} where they were not asked."""
    steps = driver.get("apply") or {}
    asked_of_driver, asked_of_runtime = list(steps.get("packages") or []), list(runtime.get("packages") or [])
    if not (asked_of_driver or asked_of_runtime):
        return []
    if os_fact.get("id") not in KEYRINGS or os_fact.get("architecture") not in apt.ARCHITECTURES:
        errors.append(
            f"The host runs {os_fact.get('name')}, and packages come into a bundle for Debian and Ubuntu: set "
            "vllm_bundle_packages to false for it, and have a mirror of its repositories in its network."
        )
        return []
    found = []
    if asked_of_driver:
        preferences = {
            os.path.basename(path): text
            for path, text in (steps.get("files") or {}).items()
            if os.path.dirname(path) == APT_PREFERENCES
        }
        names = [*(steps.get("headers") or []), *asked_of_driver]
        components = driver.get("components") or []
        repositories = driver.get("repositories") or []
        first = list(steps.get("first") or [])
        found.append(_of(os_fact, archive, components, repositories, preferences, first, names))
    if asked_of_runtime:
        repositories = runtime.get("repositories") or []
        found.append(_of(os_fact, archive, [], repositories, {}, [], [*asked_of_runtime, ANSIBLE_NEEDS]))
    for source in (source for one in found for source in one["sources"]):
        of = Apt(source["name"], tuple(source["uris"]), tuple(source["suites"]), tuple(source["components"]))
        errors += [f"Repository {source['name']}: {wrong}" for wrong in of.mistakes()]
    return found


def _of(
    os_fact: Json,
    archive: Json,
    components: t.Sequence[str],
    repositories: t.Sequence[Json],
    preferences: dict[str, str],
    first: list[str],
    names: list[str],
) -> Wanted:
    architecture = apt.ARCHITECTURES[os_fact["architecture"]]
    pins = {
        one["name"] + ".pref": apt.document(*(_pin(pin) for pin in one["apt"].get("pins") or []))
        for one in repositories
        if one["apt"].get("pins")
    }
    return Wanted(
        system=system(os_fact["id"], os_fact["version"], os_fact["architecture"]),
        architecture=architecture,
        sources=[*_archive(os_fact, architecture, archive, components), *map(_source, repositories)],
        preferences={**pins, **preferences},
        first=first,
        packages=names,
    )


def _pin(pin: Json) -> str:
    return Pin(tuple(pin["packages"]), pin["pin"], pin["priority"]).text()


def _source(repository: Json) -> Source:
    of = repository["apt"]
    return Source(
        name=repository["name"],
        uris=list(of["uris"]),
        suites=list(of["suites"]),
        components=list(of.get("components") or []),
        keyrings=[],
        key=repository.get("key") or "",
        key_url=repository.get("key_url") or "",
        fingerprints=list(repository["fingerprints"]),
    )


def _archive(os_fact: Json, architecture: str, stated: Json, more: t.Sequence[str]) -> list[Source]:
    """The distribution's own: releases and updates, and what is fixed for security."""
    name, codename = str(os_fact["id"]), str(os_fact["codename"])
    url, security, components = DEBIAN if name == "debian" else UBUNTU
    if name == "ubuntu" and architecture != "amd64":
        url = security = PORTS
    keyrings = [stated["keyring"]] if stated.get("keyring") else list(KEYRINGS[name])
    places = (
        ("archive", stated.get("url") or url, [codename, f"{codename}-updates"]),
        ("archive-security", stated.get("security_url") or security, [f"{codename}-security"]),
    )
    return [
        Source(
            name=source,
            uris=[uri],
            suites=suites,
            components=[*components, *(one for one in more if one not in components)],
            keyrings=keyrings,
            key="",
            key_url="",
            fingerprints=[],
        )
        for source, uri, suites in places
    ]
