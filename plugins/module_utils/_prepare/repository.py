# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A package repository as the files that make it one: source, key and pins of apt, or source and key of yum.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .._outside.concealing import concealed_text
from . import apt, openpgp

KEYRINGS = "/etc/apt/keyrings"
APT_SOURCES = "/etc/apt/sources.list.d"
APT_PREFERENCES = "/etc/apt/preferences.d"
RPM_KEYS = "/etc/pki/rpm-gpg"
YUM_REPOSITORIES = "/etc/yum.repos.d"

SCHEMES = ("http://", "https://", "file:/")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


class Pin(t.NamedTuple):
    """A stanza of apt_preferences(5)."""

    packages: tuple[str, ...]
    pin: str
    priority: int

    def text(self) -> str:
        return apt.stanza({"Package": self.packages, "Pin": self.pin, "Pin-Priority": str(self.priority)})


@dataclass(frozen=True)
class Apt:
    """A repository in deb822 style. A flat one has a suite that ends in a slash, and no components."""

    name: str
    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    pins: tuple[Pin, ...] = ()

    @property
    def source_path(self) -> str:
        return f"{APT_SOURCES}/{self.name}.sources"

    @property
    def key_path(self) -> str:
        return f"{KEYRINGS}/{self.name}.gpg"

    @property
    def pins_path(self) -> str:
        return f"{APT_PREFERENCES}/{self.name}.pref"

    def mistakes(self) -> list[str]:
        """What is wrong with it, a sentence each."""
        wrong = [*_name_mistakes(self.name), *_url_mistakes("uris", self.uris)]
        words = (*self.uris, *self.suites, *self.components, *self.architectures)
        wrong += [
            f"{concealed_text(word)!r} has white space in it: state it as several entries."
            for word in words
            if word.split() != [word]
        ]
        flat = [suite for suite in self.suites if suite.endswith("/")]
        if not self.suites:
            wrong.append("suites is empty, expected a release such as bookworm, or / for a flat repository: state it.")
        if flat and self.components:
            wrong.append(f"suite {flat[0]} is flat and has no components: remove components, or the slash.")
        if self.suites and not flat and not self.components:
            wrong.append("components is empty, expected one such as stable or main: state it.")
        if any("\n" in f"{pin.pin}{''.join(pin.packages)}" for pin in self.pins):
            wrong.append("pins has a line break in it, expected one line: remove it.")
        return wrong

    def files(self, keys: bytes) -> dict[str, bytes | None]:
        """Content by path, in the order in which it is put in place: pinned first, then offered."""
        source = apt.stanza(
            {
                "Types": "deb",
                "URIs": self.uris,
                "Suites": self.suites,
                "Components": self.components,
                "Architectures": self.architectures,
                "Signed-By": self.key_path,
            }
        )
        pins = apt.document(*(pin.text() for pin in self.pins))
        return {
            self.key_path: keys,
            self.pins_path: pins.encode() if self.pins else None,
            self.source_path: apt.document(source).encode(),
        }


@dataclass(frozen=True)
class Yum:
    """A repository of dnf. `include_packages` are the only packages that may come from it: names, globs, versions."""

    name: str
    baseurl: str
    description: str = ""
    gpgcheck: bool = True
    repo_gpgcheck: bool = False
    include_packages: tuple[str, ...] = ()

    @property
    def source_path(self) -> str:
        return f"{YUM_REPOSITORIES}/{self.name}.repo"

    @property
    def key_path(self) -> str:
        return f"{RPM_KEYS}/RPM-GPG-KEY-{self.name}"

    def mistakes(self) -> list[str]:
        """What is wrong with it, a sentence each."""
        wrong = [*_name_mistakes(self.name), *_url_mistakes("baseurl", (self.baseurl,))]
        texts = (self.baseurl, self.description, *self.include_packages)
        wrong += [f"{concealed_text(text)!r} has a line break in it: remove it." for text in texts if "\n" in text]
        if not (self.gpgcheck or self.repo_gpgcheck):
            wrong.append("gpgcheck and repo_gpgcheck are both false, so that no signature is checked: set one of them.")
        return wrong

    def files(self, keys: bytes) -> dict[str, bytes | None]:
        """Content by path, in the order in which they are put in place."""
        lines = [
            apt.HEADER,
            f"[{self.name}]",
            f"name={self.description or self.name}",
            f"baseurl={self.baseurl}",
            "enabled=1",
            f"gpgcheck={int(self.gpgcheck)}",
            f"repo_gpgcheck={int(self.repo_gpgcheck)}",
            f"gpgkey=file://{self.key_path}",
            "sslverify=1",
            *([f"includepkgs={','.join(self.include_packages)}"] if self.include_packages else []),
            "",
        ]
        return {self.key_path: openpgp.armored(keys).encode(), self.source_path: "\n".join(lines).encode()}


Repository = t.Union[Apt, Yum]


def absent(repository: Repository) -> dict[str, bytes | None]:
    """What is to be removed so that it is no more, the source first."""
    pins = (repository.pins_path,) if isinstance(repository, Apt) else ()
    return dict.fromkeys((repository.source_path, *pins, repository.key_path))


def proof(repository: Repository) -> list[list[str]]:
    """Commands that fail where the repository cannot be used: its index is fetched, and its signature checked.

    apt refuses all sources where two of them disagree over a key, which only shows when it reads them together.
    """
    if isinstance(repository, Apt):
        only = [f"Dir::Etc::SourceList={repository.source_path}", "Dir::Etc::SourceParts=/dev/null"]
        options = [*only, "APT::Get::List-Cleanup=0", "APT::Update::Error-Mode=any", "Acquire::Retries=2"]
        update = ["apt-get", "-q", *(word for option in options for word in ("-o", option)), "update"]
        return [["apt-get", "indextargets", "--format", "$(URI)"], update]
    return [["dnf", "-q", "-y", "--disablerepo=*", f"--enablerepo={repository.name}", "--refresh", "makecache"]]


def _name_mistakes(name: str) -> list[str]:
    if _NAME.fullmatch(name):
        return []
    return [f"name is {name!r}, expected small letters, digits, dots and hyphens: it becomes the name of files."]


def _url_mistakes(option: str, urls: tuple[str, ...]) -> list[str]:
    wrong = [
        f"{option} has {concealed_text(url)!r}, expected http://, https:// or file:/ in front: correct it."
        for url in urls
        if not url.startswith(SCHEMES)
    ]
    wrong += [
        f"{option} has {concealed_text(url)!r}, and everybody on this host may read the file that it would stand in: "
        "leave its credentials out, and put them into a file in /etc/apt/auth.conf.d with mode 0600 (man "
        "apt_auth.conf), or use a mirror that asks for none."
        for url in urls
        if concealed_text(url) != url
    ]
    return wrong if urls else [f"{option} is empty: state where the repository is."]
