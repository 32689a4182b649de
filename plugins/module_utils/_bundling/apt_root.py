# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""apt in a folder of its own, with nothing installed: it says which packages a host without a network needs.

With nothing installed, what apt would install is all that the packages depend on, whatever a host has of it. Indexes
are fetched and verified by apt itself, each by the key of its repository alone. It is the apt of the machine that makes
the bundle, which knows every release and architecture: no container of the release, and no root, is needed.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import re
import shutil
import typing as t
from urllib.parse import unquote, urlsplit

from .._prepare import apt
from .._state.durable import make_folder, write_atomically
from .._store.transfer import Failed
from .wanted import Wanted

CONFIGURATION = "etc/apt/apt.conf"
FOLDERS = (
    *(f"etc/apt/{name}" for name in ("sources.list.d", "preferences.d", "apt.conf.d", "trusted.gpg.d", "keys")),
    *("var/lib/dpkg", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "first"),
)
MOST = 3000  # packages of one set; a driver that is compiled on the host takes a hundred and fifty
_NAME = r"(?P<name>[^_\s]+)_(?P<version>[^_\s]+)_[^_\s]+\.deb"
# An index that has no MD5 gives none here.
_HASH = r"(?:(?P<kind>\w+):(?P<hash>[0-9a-f]+))?"
_URI = re.compile(rf"^'(?P<url>\S+)' (?P<file>{_NAME}) (?P<size>\d+) ?{_HASH}[ \t]*$", re.MULTILINE)
_FIELD = re.compile(r"^(?P<name>[A-Za-z0-9-]+):[ \t]*(?P<value>.*)$", re.MULTILINE)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(r"[a-z0-9][A-Za-z0-9.+~_-]{1,200}\.deb")
# What apt calls a hash where it lists addresses, and where it shows a package.
_HASHES = {"MD5Sum": "MD5sum", "SHA1": "SHA1", "SHA256": "SHA256", "SHA512": "SHA512"}

# Status, standard output and standard error of a command, with these variables of its environment, in this folder.
Run = t.Callable[[t.List[str], t.Dict[str, str], t.Optional[str]], t.Tuple[int, str, str]]  # noqa: UP006 - evaluated by 3.9


class Deb(t.NamedTuple):
    """A package: its path beside the index's folder, where its file is, and its stanza of the index with that path.

    Two repositories may have files of one name with other contents, so that a path has the content's hash in it.
    """

    path: str
    url: str
    size: int
    sha256: str
    stanza: str


class AptRoot:
    """Below PLACE, which is made. KEYS are files by the name of their source. Raises OSError."""

    def __init__(self, place: str, wanted: Wanted, keys: t.Mapping[str, bytes], run: Run) -> None:
        self._place, self._wanted, self._run = place, wanted, run
        for name in FOLDERS:
            make_folder(os.path.join(place, name))
        for name in ("etc/apt/sources.list.d", "etc/apt/preferences.d", "first"):
            for left in os.listdir(os.path.join(place, name)):
                _remove(os.path.join(place, name, left))
        self._write("var/lib/dpkg/status", b"")
        self._write(CONFIGURATION, self._configuration().encode())
        for name, key in keys.items():
            self._write(f"etc/apt/keys/{name}.gpg", key)
        for name, text in wanted["preferences"].items():
            self._write(f"etc/apt/preferences.d/{name}", text.encode())
        for source in wanted["sources"]:
            fields = {
                "Types": "deb",
                "URIs": source["uris"],
                "Suites": source["suites"],
                "Components": source["components"],
                "Architectures": wanted["architecture"],
                "Signed-By": os.path.join(place, f"etc/apt/keys/{source['name']}.gpg"),
            }
            self._write(f"etc/apt/sources.list.d/{source['name']}.sources", apt.document(apt.stanza(fields)).encode())

    def _configuration(self) -> str:
        told = {
            "Dir": f"{self._place}/",
            "Dir::State": "var/lib/apt",
            "Dir::State::status": os.path.join(self._place, "var/lib/dpkg/status"),
            "Dir::Cache": "var/cache/apt",
            "Dir::Etc": "etc/apt",
            "APT::Architecture": self._wanted["architecture"],
            "APT::Architectures": self._wanted["architecture"],
            "APT::Install-Recommends": "false",
            "Acquire::Languages": "none",
            "Acquire::Retries": "2",
            # What else a bundle is made of asks no proxy of the environment either.
            "Acquire::http::Proxy": "DIRECT",
            "Acquire::https::Proxy": "DIRECT",
            "Acquire::AllowInsecureRepositories": "false",
            "Acquire::AllowDowngradeToInsecureRepositories": "false",
            # The user of apt's downloads may not read the folder of whoever makes a bundle.
            "APT::Sandbox::User": "root",
        }
        return "".join(f'{name} "{value}";\n' for name, value in told.items())

    def update(self) -> None:
        """Fetch the indexes, each verified by the key of its repository. Raises Failed."""
        status, out, err = self._apt(["apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update"])
        if status:
            raise Failed(
                f"apt cannot use the repositories for {self._wanted['system']}: {apt.telling(f'{out}{err}', True)} "
                "See that this machine reaches them, that a key of theirs is stated (vllm_bundle_archive for the "
                "distribution's own), or name mirrors"
            )

    def resolve(self) -> list[Deb]:
        """The packages and all that they depend on. Raises Failed."""
        found = {}
        if self._wanted["first"]:
            first = self._debs(self._wanted["first"])
            found.update({one.path: one for one in first})
            self._take_preferences()
        found.update({one.path: one for one in self._debs(self._wanted["packages"])})
        return sorted(found.values())

    def _take_preferences(self) -> None:
        """What the packages that come first pin, as they would on a host. Raises Failed."""
        place = os.path.join(self._place, "first")
        self._must(["apt-get", "-q", "download", *self._wanted["first"]], cwd=place)
        for name in sorted(os.listdir(place)):
            self._must(["dpkg-deb", "-x", os.path.join(place, name), os.path.join(place, "content")])
        pins = os.path.join(place, "content/etc/apt/preferences.d")
        for name in sorted(os.listdir(pins)) if os.path.isdir(pins) else []:
            shutil.copy(os.path.join(pins, name), os.path.join(self._place, "etc/apt/preferences.d", name))

    def _debs(self, names: t.Sequence[str]) -> list[Deb]:
        said = self._must(["apt-get", "-q", "-y", "--print-uris", "install", *names])
        listed = {one["file"]: one for one in _URI.finditer(said)}
        if not 0 < len(listed) <= MOST:
            raise Failed(f"apt lists {len(listed)} packages for {', '.join(names)}, expected 1 to {MOST}")
        exact = [f"{one['name']}={one['version'].replace('%3a', ':')}" for one in listed.values()]
        shown = self._must(["apt-cache", "show", "--no-all-versions", *exact])
        found = {}
        for stanza in re.split(r"\n\n+", shown.strip()):
            fields = {one["name"]: one["value"].strip() for one in _FIELD.finditer(stanza)}
            file = _file_of(fields)
            if file in listed and file not in found and _is_that(fields, listed[file]):
                found[file] = _deb(fields, stanza, listed[file]["url"])
        lacking = [file for file in listed if file not in found]
        if lacking:
            raise Failed(f"apt does not say what {lacking[0]} is, which it would install")
        return list(found.values())

    def _must(self, command: list[str], cwd: str | None = None) -> str:
        status, out, err = self._apt(command, cwd)
        if status:
            lines = [" ".join(line.split()) for line in f"{out}\n{err}".splitlines()]
            why = [line for line in lines if "Depends:" in line or line.startswith(("E:", "dpkg-deb: error"))][:4]
            raise Failed(
                f"the packages {', '.join(self._wanted['packages'])} cannot be had for {self._wanted['system']}: "
                f"{' '.join(why) or apt.telling(f'{out}{err}')} Correct what is asked for, as the kernel that "
                "vllm_bundle_system states, or bring the host to what its repositories offer"
            )
        return out

    def _apt(self, command: list[str], cwd: str | None = None) -> tuple[int, str, str]:
        told = {"APT_CONFIG": os.path.join(self._place, CONFIGURATION), "LC_ALL": "C"}
        return self._run(command, told, cwd)

    def _write(self, name: str, content: bytes) -> None:
        write_atomically(os.path.join(self._place, name), content, mode=0o644)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.remove(path)


def _file_of(fields: t.Mapping[str, str]) -> str:
    """What apt calls the file of a package."""
    version = fields.get("Version", "").replace(":", "%3a")
    return f"{fields.get('Package')}_{version}_{fields.get('Architecture')}.deb"


def _is_that(fields: t.Mapping[str, str], listed: re.Match[str]) -> bool:
    """The same version may be in two repositories, with other contents."""
    same = fields.get(_HASHES.get(listed["kind"] or "", ""))
    at = fields.get("Filename", "").lstrip("./")
    return (
        fields.get("Size") == listed["size"]
        and same in (None, listed["hash"])
        and unquote(urlsplit(listed["url"]).path).endswith(f"/{at}")
    )


def _deb(fields: t.Mapping[str, str], stanza: str, url: str) -> Deb:
    file, sha256 = fields.get("Filename", "").rpartition("/")[2], fields.get("SHA256", "")
    if not _FILE.fullmatch(file) or not _SHA256.fullmatch(sha256):
        raise Failed(f"{fields.get('Package')} has no file and no SHA-256 in the index of its repository")
    if urlsplit(url).scheme not in ("http", "https"):
        raise Failed(f"{file} comes from {url}, expected http:// or https://: name a repository that is served")
    path = f"pool/{sha256[:16]}/{file}"
    placed = re.sub(r"^Filename:.*$", f"Filename: {path}", stanza, flags=re.MULTILINE)
    return Deb(path, url, int(fields["Size"]), sha256, placed)
