# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages that a host lacks as a part of a bundle: an index of apt over them, and the keys of their repositories.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import tempfile
import typing as t

from .._bundle import manifest
from .._bundle.manifest import INDEX, PACKAGES, WORK, PackageSet
from .._hub.manifest import File
from .._outside import documents
from .._outside.documents import Json
from .._outside.printable import printable
from .._prepare import openpgp
from .._store.opening import Opening
from .._store.transfer import Failed, Open
from .apt_root import AptRoot, Run
from .folder import BundleFolder
from .parts import Came, Part, come
from .wanted import SHAPE, Source, Wanted

KEY_LIMIT = 1024 * 1024
# What apt reads in its configuration and in a list of keys as something else than a part of a path.
_PLAIN = re.compile(r"[^\s\"',:;{}\\]+")
PROGRAMS: t.Final = {
    "apt-get": "install apt there (Fedora and EPEL have it too), or name a host with Debian or Ubuntu as "
    "vllm_bundle_host",
    "dpkg-deb": "install dpkg there, or name a host with Debian or Ubuntu as vllm_bundle_host",
}


class Ports(t.NamedTuple):
    """The machine: a command, what a URL holds, whether it has a program, and how files are read where they are."""

    run: Run
    fetch: t.Callable[[str], bytes]
    has: t.Callable[[str], bool]
    opened: Open


def opening() -> Open:
    """Of any repository that asks for no login."""

    def refusal(status: int, _headers: http.client.HTTPMessage, path: str) -> str:
        return f"the repository answers {status} for {path}"

    return Opening("http://localhost", "", refusal)


def packages(folder: BundleFolder, asked: Json, ports: Ports, check: bool) -> Came:
    """Raises Failed, OSError."""
    wrong = documents.misfit(asked, SHAPE, "package_set")
    if wrong:
        raise Failed(f"what is wanted is not understood: {wrong}")
    wanted = t.cast("Wanted", asked)
    if not manifest.SYSTEM.fullmatch(wanted["system"]):
        raise Failed(f"{printable(wanted['system'])[:60]} is no distribution with a release and an architecture")
    for program, help_ in PROGRAMS.items():
        if not ports.has(program):
            raise Failed(f"there is no {program} where the bundle is made, which finds what packages need: {help_}")
    keys = {source["name"]: _key(source, ports.fetch) for source in wanted["sources"]}
    with _place(folder, wanted, check) as place:
        root = AptRoot(place, wanted, keys, ports.run)
        root.update()
        debs = root.resolve()
    system = f"{PACKAGES}/{wanted['system']}"
    # What a repository says in another encoding than UTF-8 stays as it is.
    index = ("\n\n".join(one.stanza for one in debs) + "\n").encode("utf-8", "surrogateescape")
    content = hashlib.sha256(index)
    for name in sorted(keys):
        content.update(keys[name])
    at = f"{system}/{content.hexdigest()[:16]}"
    files = {
        f"{system}/{one.path}": File(path=one.path, size=one.size, sha256=one.sha256, git_sha1=None, url=one.url)
        for one in debs
    }
    texts = {f"{at}/{INDEX}": index, **{f"{at}/keys/{name}.gpg": key for name, key in keys.items()}}
    listed = PackageSet(system=wanted["system"], folder=at, asked=sorted({*wanted["first"], *wanted["packages"]}))
    part = Part(image=None, model=None, packages=listed, files=[], missing=0)
    what = f"{', '.join(wanted['packages'][:3])} and what they depend on, for {wanted['system']}"
    return come(folder, part, what, files, texts, ports.opened, check)


@contextlib.contextmanager
def _place(folder: BundleFolder, wanted: Wanted, check: bool) -> t.Iterator[str]:
    """Where apt works: indexes of before are kept there, and nothing where nothing may be written."""
    if not _PLAIN.fullmatch(folder.root):
        raise Failed(
            f"vllm_bundle_dir is {folder.root!r}, where apt cannot work: take one without spaces, quotes, commas, "
            "colons, braces and backslashes"
        )
    if check:
        place = tempfile.mkdtemp(prefix="gpufleet-")
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)
        return
    name = hashlib.sha256(json.dumps(wanted["sources"], sort_keys=True).encode()).hexdigest()[:16]
    yield os.path.join(folder.root, WORK, "apt", f"{wanted['system']}-{name}")


def _key(source: Source, fetch: t.Callable[[str], bytes]) -> bytes:
    """What its index has to be signed with. Raises Failed, OSError."""
    where = f"the key of the repository {source['name']} ({' '.join(source['uris'])})"
    if source["keyrings"]:
        found = next((path for path in map(os.path.expanduser, source["keyrings"]) if os.path.isfile(path)), None)
        if found is None:
            raise Failed(
                f"{where} is looked for in {' and '.join(source['keyrings'])}, and not there: install the "
                "distribution's keyring where the bundle is made (debian-archive-keyring, ubuntu-keyring), or name "
                "its file (vllm_bundle_archive: {keyring: ...})"
            )
        with open(found, "rb") as file:
            data = file.read(KEY_LIMIT)
        fingerprints: t.Sequence[str] = []
    else:
        data, fingerprints = source["key"].encode() or fetch(source["key_url"]), source["fingerprints"]
    try:
        if fingerprints:
            return openpgp.expected_only(data, fingerprints)
        return b"".join(openpgp.certificates(data).values())
    except openpgp.BadKey as error:
        raise Failed(f"{where} cannot be trusted: {error}") from error
