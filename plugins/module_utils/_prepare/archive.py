# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""More components of a distribution's own archive: from the mirror and with the key that the host has main from.

apt refuses all sources where two of them name different keys for one archive. So the key is the one that is there, and
the host's own files stay as they are: the components come in a file of ours.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import time
import typing as t
from dataclasses import dataclass

from . import apt
from .files import Files, NotProved, NotWritten
from .placing import Refused

PATH = "/etc/apt/sources.list.d/gpufleet-components.sources"
SOURCES = "/etc/apt/sources.list"
FOLDER = "/etc/apt/sources.list.d"

# A flat repository has no components.
_LINE = re.compile(
    r"^deb[ \t]+(?:\[(?P<options>[^\]\n]*)\][ \t]+)?(?P<uri>\S+)[ \t]+(?P<suite>\S+)(?P<components>[^#\n]*)",
    re.MULTILINE,
)
_FIELD = re.compile(r"^(?P<name>[A-Za-z-]+):[ \t]*(?P<value>.*(?:\n[ \t].*)*)$", re.MULTILINE)


@dataclass(frozen=True)
class Source:
    """One source of apt: where, which releases and components, and its other fields in deb822's spelling."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    fields: tuple[tuple[str, str], ...] = ()

    def text(self) -> str:
        found = {"Types": "deb", "URIs": self.uris, "Suites": self.suites, "Components": self.components}
        return apt.stanza({**found, **dict(self.fields)})


class Ports(t.NamedTuple):
    """The host: its files, names of the files in a folder, status and output of a command, a pause in seconds."""

    files: Files
    listed: t.Callable[[str], list[str]]
    run: apt.Run
    sleep: apt.Sleep = time.sleep


def sources(texts: t.Mapping[str, str]) -> list[Source]:
    """The sources of packages in these files, in either style."""
    found: list[Source] = []
    for path, text in texts.items():
        found += _deb822(text) if path.endswith(".sources") else _lines(text)
    return found


def missing(found: t.Iterable[Source], codename: str, components: t.Sequence[str]) -> list[Source] | None:
    """What has to be added so that each source of main has the components too; None where there is no source of "
    "main."""
    releases = {codename, f"{codename}-updates", f"{codename}-security", f"{codename}/updates"}
    ours = [source for source in found if set(source.suites) & releases]
    mains = [source for source in ours if "main" in source.components]
    if not mains:
        return None
    added = []
    for source in mains:
        suites = tuple(suite for suite in source.suites if suite in releases)
        have = {
            one
            for other in ours
            if set(other.uris) & set(source.uris) and set(suites) <= set(other.suites)
            for one in other.components
        }
        lacking = tuple(component for component in components if component not in have)
        if lacking:
            added.append(Source(source.uris, suites, lacking, source.fields))
    return added


def carry_out(
    codename: str, components: t.Sequence[str], lock_timeout: int, ports: Ports, check_mode: bool
) -> dict[str, t.Any]:
    """Put the components in place and prove that apt can use them. Raises Refused, with nothing changed."""
    texts = {}
    for path in [
        SOURCES,
        *(f"{FOLDER}/{name}" for name in ports.listed(FOLDER) if name.endswith((".list", ".sources"))),
    ]:
        if path != PATH:
            texts[path] = (ports.files.read(path) or b"").decode("utf-8", "replace")
    added = missing(sources(texts), codename, components)
    if added is None:
        raise Refused(
            f"apt has no source of {codename} main, so nothing says where {' '.join(components)} shall come from: "
            "state the "
            f"distribution's mirror in {SOURCES}."
        )
    content = apt.document(*(source.text() for source in added)).encode() if added else None
    due = ports.files.differing({PATH: content})
    if not due or check_mode:
        return {"changed": bool(due)}
    try:
        ports.files.put_proved(due, lambda: _proved(ports, lock_timeout) if content else "")
    except (NotWritten, NotProved) as error:
        raise Refused(
            f"The components {' '.join(components)} of {codename} cannot be used, and everything is as it was: {error} "
            "See that "
            "this host reaches the mirror that it has main from, and that the mirror has them."
        ) from error
    return {"changed": True}


def _proved(ports: Ports, lock_timeout: int) -> str:
    update = ["apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update"]
    status, said = apt.patient(ports.run, lock_timeout, ports.sleep)(update)
    return apt.telling(said, warnings=True) if status else ""


def _lines(text: str) -> list[Source]:
    found = []
    for match in _LINE.finditer(text):
        options = dict(word.partition("=")[::2] for word in (match["options"] or "").split())
        spelled = {"signed-by": "Signed-By", "arch": "Architectures", "trusted": "Trusted"}
        fields = tuple((spelled[name], value.replace(",", " ")) for name, value in options.items() if name in spelled)
        found.append(Source((match["uri"].rstrip("/"),), (match["suite"],), tuple(match["components"].split()), fields))
    return found


def _deb822(text: str) -> list[Source]:
    found = []
    for stanza in re.split(r"\n\s*\n", re.sub(r"^#.*\n?", "", text, flags=re.MULTILINE)):
        fields = {match["name"].lower(): match["value"].strip() for match in _FIELD.finditer(stanza)}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "").lower() in apt.OFF:
            continue
        spelled = {"signed-by": "Signed-By", "architectures": "Architectures", "trusted": "Trusted"}
        kept = tuple((name, fields[key]) for key, name in spelled.items() if key in fields)
        uris = tuple(uri.rstrip("/") for uri in fields.get("uris", "").split())
        found.append(
            Source(uris, tuple(fields.get("suites", "").split()), tuple(fields.get("components", "").split()), kept)
        )
    return found
