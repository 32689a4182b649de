# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and folders that an instance's arguments name, as they are mounted into its container.

A single file is kept by the host under the digest of its content, a folder is mounted from where it lies. Inside, the
path hangs on the argument alone: new content is another digest of the release, and no other argument.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t

from ..._docker.release import Release
from ..._outside.documents import Json
from ..._settings.rollout import Adapter
from ..._state import kept_files
from ..._vllm import live_adapters, path_arguments
from ..._vllm.images import OF_IMAGE
from ..._vllm.path_arguments import ADAPTERS, Kind, Stated

NO_NAME = re.compile(r"[^A-Za-z0-9_.=-]+")


@dataclasses.dataclass(frozen=True)
class Mount:
    """One of them. `path` is as it is written, `source` where it is brought from on the control node, or ''. One that
    is `live` is in a folder that is mounted whole, and no part of the release."""

    place: str
    kind: Kind
    path: str
    inside: str
    digest: str
    size: int
    is_folder: bool
    source: str = ""
    live: bool = False

    @property
    def volume(self) -> str:
        """As Docker takes it: host, container, read-only."""
        source = self.path.rstrip("/") if self.is_folder else kept_files.path_of(self.digest)
        return f"{source}:{self.inside}:ro"

    def as_dict(self) -> Json:
        """For whoever reads the plan, and for who brings it to the host."""
        return {
            "argument": self.place,
            "path": self.path,
            "source": self.source,
            "inside": self.inside,
            "sha256": self.digest,
            "bytes": self.size,
            "folder": self.is_folder,
            **({"live": True} if self.live else {}),
        }


@dataclasses.dataclass(frozen=True)
class Mounts:
    """All of one instance. `wanted` are paths that have to be on the host or beside the inventory, mounted or not;
    `later` those of them that are loaded while the server runs."""

    mounts: tuple[Mount, ...] = ()
    live_folder: str = ""
    wanted: frozenset[Stated] = frozenset()
    later: frozenset[Stated] = frozenset()

    @property
    def volumes(self) -> list[str]:
        whole = [f"{self.live_folder}:{live_adapters.FOLDER}:ro"] if self.live_folder else []
        return [*(mount.volume for mount in self.mounts if not mount.live), *whole]

    @property
    def digests(self) -> dict[str, str]:
        fixed = (mount for mount in self.mounts if not mount.live)
        return {mount.inside: mount.digest for mount in sorted(fixed, key=lambda mount: mount.inside)}

    @property
    def adapters(self) -> dict[str, Adapter]:
        """Those that are loaded while the server runs, by their names."""
        live = {mount.place.partition(".")[2]: mount for mount in self.mounts if mount.live}
        return {name: {"path": mount.inside, "sha256": mount.digest} for name, mount in sorted(live.items())}

    def values(self, values: t.Mapping[str, t.Any]) -> Json:
        """The arguments with the paths that are true inside the container."""
        return path_arguments.replaced(self.at_start(values), self._inside)

    def at_start(self, values: t.Mapping[str, t.Any]) -> Json:
        """The arguments without the adapters that are loaded later."""
        return live_adapters.without(values, self.adapters)

    def variables(self, variables: t.Mapping[str, str]) -> dict[str, str]:
        return path_arguments.replaced_variables(variables, self._inside)

    def _inside(self, place: str, _kind: Kind, path: str) -> str:
        return next((one.inside for one in self.mounts if (one.place, one.path) == (place, path)), path)


def of(
    values: t.Mapping[str, t.Any],
    variables: t.Mapping[str, str],
    volumes: t.Sequence[str],
    files: t.Mapping[str, Json],
    running: Release,
    live_folder: str = "",
) -> Mounts:
    """VOLUMES: of the release without them. FILES: what was found at each path. RUNNING: the verified release, or {}.
    LIVE_FOLDER: adapters below it are loaded while the server runs.

    What stands in a verified release as it is written is a file of its image, and stays one: nobody's server is started
    again for it.
    """
    proved = set(path_arguments.stated(running.get("arguments") or {}, running.get("env") or {}))
    seen = tuple(f"{volume.rsplit(':', 2)[1].rstrip('/')}/" for volume in volumes)
    stated = path_arguments.stated(values, variables)
    loaded = {(f"{ADAPTERS}.{name}", path) for name, path in live_adapters.of(values, live_folder).items()}
    later = frozenset(one for one in stated if (one.place, one.path) in loaded)
    wanted = [
        one
        for one in stated
        if one in later or (one not in proved and not f"{one.path}/".startswith((*seen, *OF_IMAGE)))
    ]
    found: dict[str, Mount] = {}
    for one in wanted:
        fact = files.get(one.path) or {}
        if not kept_files.DIGEST.fullmatch(str(fact.get("digest"))) or fact.get("problem"):
            continue
        live = one in later
        inside = live_adapters.inside(one.path, live_folder) if live else _inside(one)
        while inside in found and not live:
            inside += "_"
        found[f"{one.place} {inside}" if live else inside] = Mount(
            place=one.place,
            kind=one.kind,
            path=one.path,
            inside=inside,
            digest=str(fact["digest"]),
            size=int(fact.get("bytes") or 0),
            is_folder=fact.get("kind") == "folder",
            source=str(fact.get("source") or ""),
            live=live,
        )
    return Mounts(tuple(found.values()), live_folder, frozenset(wanted), later)


def _inside(one: Stated) -> str:
    """`/etc/gpufleet/files/lora_modules/sql/adapter`: the argument, the key in it, the name as it is written."""
    name = os.path.basename(one.path.removeprefix(path_arguments.BROUGHT).rstrip("/"))
    words = (NO_NAME.sub("_", word) for word in [*one.place.split(".", 1), name])
    return "/".join([path_arguments.INSIDE, *(word if word.strip(".") else "_" for word in words)])
