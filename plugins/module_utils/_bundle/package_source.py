# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages of a bundle as the only source that apt has, for as long as something is installed from it.

Nothing of the host's own apt is changed: its sources, lists and keys stay as they are, and apt is told by APT_CONFIG to
look elsewhere. What the bundle has is trusted on the strength of its manifest, by which every file of it was compared
before: its index lists a part of what the archives offer, so that no key of theirs can have signed it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import os
import re
import typing as t
from urllib.parse import quote

from .._prepare import apt
from .._state.durable import make_folder, write_atomically
from .manifest import INDEX, BadBundle, Bundle, PackageSet

# Gone at the next boot: the host keeps nothing of it.
PLACE = "/run/gpufleet/bundle_packages"
CONFIGURATION, LAST, SOURCES, LISTS = "apt.conf", "last.conf", "bundle.sources", "lists"
# Where the index is copied to, beside a link to the packages. In the bundle somebody may have put a Release and another
# index, which no manifest lists: apt would take that one.
REPOSITORY, POOL = "repository", "pool"
# What apt reads last of a host's own, where there is one.
OWN = "/etc/apt/apt.conf"
ENVIRONMENT = "APT_CONFIG"
MAKE_ANEW = "make the bundle anew where there is a network (playbooks/bundle.yml), from this inventory"
# What hosts do with a new index, as for searches in it, is for an index of their own sources.
HOOKS = tuple(f"#clear APT::Update::{when};" for when in ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success"))
# As apt tells why one package cannot be there with another one.
_RELATION = re.compile(r" : (?:Pre)?(?:Depends|Conflicts|Breaks): ")
# As the roles install: no package comes because another one recommends it.
INSTALL = ("apt-get", "-q", "-y", "--no-install-recommends", "--allow-downgrades", "--allow-change-held-packages")

Run = t.Callable[[t.List[str]], t.Tuple[int, str]]  # noqa: UP006 - evaluated by Python 3.9


def system(distribution: str, version: str, machine: str) -> str:
    """A host's distribution, release and architecture as a folder is called. Debian counts point releases, which share
    a release's packages."""
    release = version if distribution == "ubuntu" else version.partition(".")[0]
    return f"{distribution}-{release}-{apt.ARCHITECTURES.get(machine, machine)}"


def chosen(bundle: Bundle, name: str, wanted: t.Sequence[str]) -> PackageSet:
    """The packages for a system that has all that is wanted, as apt is asked for it. Raises BadBundle."""
    sets = bundle.get("packages", [])
    if not sets:
        raise BadBundle(f"the bundle has no packages, and vllm_bundle_packages asks for them: {MAKE_ANEW}")
    fit = [one for one in sets if one["system"] == name]
    if not fit:
        has = ", ".join(sorted({one["system"] for one in sets}))
        raise BadBundle(f"the bundle has packages for {has}, and this host is {name}: {MAKE_ANEW}")
    lacks = [sorted(set(wanted) - set(one["asked"])) for one in fit]
    least = min(range(len(fit)), key=lambda at: len(lacks[at]))
    if lacks[least]:
        raise BadBundle(
            f"the bundle lacks {', '.join(lacks[least])} for {name}, and has {', '.join(fit[least]['asked'])}: "
            f"correct what vllm_bundle_system states of this host, as its kernel, and {MAKE_ANEW}"
        )
    return fit[least]


def put(root: str, bundle: Bundle, one: PackageSet, place: str = PLACE, own: str = "") -> None:
    """What apt is told, and the only source that it has then. Raises BadBundle, OSError."""
    path = f"{one['folder']}/{INDEX}"
    with open(os.path.join(root, path), "rb") as file:
        index = file.read()
    listed = next(each["sha256"] for each in bundle["files"] if each["path"] == path)
    if hashlib.sha256(index).hexdigest() != listed:
        raise BadBundle(f"{path} was changed while it was read: run this again when nobody writes there")
    top, _slash, at = one["folder"].rpartition("/")
    for name in (f"{LISTS}/partial", f"{REPOSITORY}/{at}"):
        make_folder(os.path.join(place, name))
    packages = os.path.join(place, REPOSITORY, POOL)
    if os.path.lexists(packages):
        os.remove(packages)
    os.symlink(os.path.join(root, top, POOL), packages)
    write_atomically(os.path.join(place, REPOSITORY, at, INDEX), index, mode=0o644)
    for name, text in files(at, place, own).items():
        write_atomically(os.path.join(place, name), text, mode=0o644)


def files(index: str, place: str = PLACE, own: str = "") -> dict[str, str]:
    """Content by name. INDEX is the folder of the index; OWN is the host's own main configuration, '' where it has
    none."""
    source = {
        "Types": "deb",
        "URIs": f"file:{quote(os.path.join(place, REPOSITORY))}",
        # Another one for each index, so that apt takes none for one that it has read.
        "Suites": f"{index}/",
        "Trusted": "yes",
    }
    # apt reads the host's apt.conf.d after APT_CONFIG, and its main file last: what stands in for that has the last
    # word.
    first = {"Dir::Etc::Main": os.path.join(place, LAST)}
    last = {
        "Dir::Etc::SourceList": os.path.join(place, SOURCES),
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": os.path.join(place, LISTS),
        # Those of the host are made from its own sources.
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Acquire::Languages": "none",
        # Whoever else there is may not read the folder of a bundle.
        "APT::Sandbox::User": "root",
        # The bundle is of the host's release, and has no name of one: apt would install nothing.
        "APT::Default-Release": "",
    }
    return {
        SOURCES: apt.document(apt.stanza(source)),
        CONFIGURATION: _told(first),
        LAST: _told(last, *([f'#include "{own}";'] if own else []), *HOOKS),
    }


def _told(settings: t.Mapping[str, str], *before: str) -> str:
    lines = [f'{name} "{value}";' for name, value in settings.items()]
    return "\n".join([apt.HEADER.replace("#", "//", 1), *before, *lines, ""])


def must_install(name: str, wanted: t.Sequence[str], run: Run) -> list[str]:
    """Packages that would have to go. RUN has the environment already. Raises BadBundle where apt finds no way."""
    status, said = run(["apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update"])
    if status:
        raise BadBundle(f"apt cannot read the {INDEX} of the bundle ({apt.telling(said, warnings=True)}): {MAKE_ANEW}")
    status, said = run([*INSTALL, "--simulate", "install", *wanted])
    if status:
        broken, of_host = run(["apt-get", "-q", "--simulate", "check"])
        if broken:
            raise BadBundle(
                f"what is installed on this host is not whole, whatever the bundle has: {_reasons(of_host)} Mend that "
                "first (`dpkg --audit`, `apt --fix-broken install`)"
            )
        raise BadBundle(
            f"the bundle's packages for {name} do not fit this host: {_reasons(said)} "
            f"Bring the host to the release of the bundle, let go of what is held (`apt-mark showhold`), or {MAKE_ANEW}"
        )
    return [line.split()[1] for line in said.splitlines() if line.startswith("Remv ")]


def _reasons(said: str) -> str:
    """The lines that name what is missing or in the way, of which apt indents some."""
    lines = [" ".join(line.split()) for line in said.splitlines()]
    return " ".join([line for line in lines if _RELATION.search(line) or line.startswith("E:")][:4]) or apt.telling(
        said
    )
