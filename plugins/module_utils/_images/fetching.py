# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image is brought to this host: from an archive, a mirror or its registry, once however many ask for it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import hashlib
import typing as t
from dataclasses import dataclass

from .._docker.client import Docker, DockerError
from .._outside.documents import Json
from .._outside.limited import MIB
from .._state.store import STATE_DIR
from . import archive_content, archive_image, archive_tar, brought, pull_errors, reference, registry_login, sources
from .archive_content import Damaged
from .archive_image import OtherImage
from .credential_helper import NoLogin
from .registry import NotTold, Registry, is_plain
from .registry_login import Login

NOBODY = "without a login"
# The first series of Docker that unpacks layers in zstd.
ZSTD_SINCE = 23


class NoImage(Exception):
    """It cannot be had; class, cause and advice as those of any other failure."""

    def __init__(self, failure_class: str, cause: str, advice: str) -> None:
        super().__init__(cause)
        self.failure_class, self.cause, self.advice = failure_class, cause, advice


class Clock(t.Protocol):
    """Seconds that only go forward."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


Ask = t.Callable[[reference.Reference, "Login | None", bool], Registry]


class Fetched(t.NamedTuple):
    """An image's inspection, and how it came: registry, mirror or archive; '' where it was there."""

    image: Json
    by: str
    origin: str


@dataclass
class Fetching:
    """Brings images. `note` is told what is worth a line, `beat` how far it is. `registry` asks one what Docker's API
    does not tell; without it nobody is asked."""

    docker: Docker
    clock: Clock
    note: t.Callable[[str], None]
    beat: t.Callable[[str], None]
    free_mib: t.Callable[[str], int]
    state_dir: str = STATE_DIR
    config: str = registry_login.CONFIG
    registry: Ask | None = None

    def present(self, image: str, limit: float, archive: sources.Archive | None = None) -> Fetched:
        """Have it on the host within so many seconds. ARCHIVE comes before what the host knows of this image.

        Raises NoImage, DockerError.
        """
        until = self.clock.monotonic() + limit
        with self._alone(image, until):
            found = brought.find(self.docker, image, self.state_dir)
            if found is not None:
                return Fetched(found, "", "")
            fetched = self._fetched(image, until, archive)
            try:
                brought.note(self.state_dir, str(fetched.image["Id"]), image, fetched.by)
            except OSError as error:  # it is there all the same
                self.note(f"what image came cannot be written down: {error}")
            return fetched

    def missing(self, at: str, stated: sources.Sources) -> int | None:
        """Bytes that a pull would bring, with nothing written; None where nobody says. Raises NoImage, DockerError."""
        name = reference.read(at)
        login, _who = self._login(name.registry, stated)
        return self._must_have_room(at, self._asked(name, login))

    def _left(self, until: float) -> float:
        return max(1.0, until - self.clock.monotonic())

    @contextlib.contextmanager
    def _alone(self, image: str, until: float) -> t.Iterator[None]:
        """While another one brings the same image, wait for it."""

        def wait() -> None:
            if self.clock.monotonic() >= until:
                raise NoImage(
                    pull_errors.ANYTHING,
                    f"the image {image} is being brought by another run, which has not ended in time",
                    "Look at it (`systemctl list-units 'gpufleet-*'`), or give it more time (`timeouts.pull`).",
                )
            self.beat("another run brings this image, waiting for it")
            self.clock.sleep(brought.PAUSE)

        with contextlib.ExitStack() as held:
            try:
                name = hashlib.sha256(image.encode()).hexdigest()[:32]
                held.enter_context(brought.locked(self.state_dir, name, wait))
            except OSError as error:  # Docker itself downloads no layer twice at the same time
                self.note(f"no lock could be had: {error}")
            yield

    def _fetched(self, image: str, until: float, archive: sources.Archive | None) -> Fetched:
        """From the first place that has it. What all of them said is told by who has it not."""
        stated = sources.known(self.state_dir)
        archive = archive or stated.archives.get(image)
        if archive is not None:
            return self._loaded(image, archive, until)
        mirror = stated.mirrored(image)
        said: list[str] = []
        if mirror:
            try:
                return self._pulled(image, mirror, stated, until)
            except NoImage as problem:
                said.append(problem.cause)
                self.note(problem.cause)
        try:
            return self._pulled(image, "", stated, until)
        except NoImage as problem:
            if not said:
                raise
            raise NoImage(problem.failure_class, "; ".join([*said, problem.cause]), problem.advice) from problem

    def _loaded(self, image: str, archive: sources.Archive, until: float) -> Fetched:
        """From an archive of this host, once everything in it is what it says. Raises NoImage."""
        try:
            self.beat(f"reading {archive.path}")
            content = archive_content.read(archive.path)
            found = archive_image.find(content, image, archive.image_id)
            size = archive_tar.size(content, found)
            self._must_unpack(image, archive.path, found)
            self._must_fit(image, size)
            self.beat(f"loading {size // MIB} MiB")
            self.docker.load(
                archive_tar.tar(archive.path, content, found), size, lambda _event: None, self._left(until)
            )
        except FileNotFoundError:
            raise _bad_archive(image, archive.path, "is not there on the host", "Bring it there, or correct") from None
        except OSError as error:
            raise _bad_archive(
                image, archive.path, f"cannot be read ({error})", "Look at its disk, or correct"
            ) from error
        except Damaged as error:
            raise _bad_archive(image, archive.path, f"is damaged: {error}", "Bring it anew, or correct") from error
        except OtherImage as error:
            raise _bad_archive(image, archive.path, f"is not used: {error}", "Correct") from error
        except DockerError as error:
            if pull_errors.is_full(str(error)):
                raise self.no_room(image, str(error)) from error
            raise _bad_archive(
                image, archive.path, f"could not be loaded: {error}", "Write it anew, or correct"
            ) from error
        there = next(filter(None, map(self.docker.image, found.ids)), None)
        layers = ((there or {}).get("RootFS") or {}).get("Layers")
        if there is None or layers != list(found.diff_ids):
            what = "is loaded, and Docker has no image with its id and layers"
            raise _bad_archive(image, archive.path, what, "Load it by hand and look, or correct")
        self._name(image, there)
        return Fetched(there, "archive", archive.path)

    def _must_unpack(self, image: str, path: str, found: archive_image.Found) -> None:
        """Before Docker is given what it cannot read. Raises NoImage, DockerError."""
        if not found.zstd:
            return
        version = str(self.docker.get("/version").get("Version") or "")
        series = version.partition(".")[0]
        if series.isdecimal() and int(series) < ZSTD_SINCE:
            raise _bad_archive(
                image,
                path,
                f"has layers that are packed with zstd, which Docker {version} of this host cannot unpack",
                f"Install Docker {ZSTD_SINCE} or newer, or correct",
            )

    def _must_fit(self, image: str, size: int) -> None:
        """Docker writes the whole of it to the disk of its root before it unpacks any."""
        try:
            free = self.free_mib(self._root())
        except OSError:
            return
        if free < size // MIB:
            raise self.no_room(image, f"its archive holds {size // MIB} MiB")

    def _pulled(self, image: str, mirror: str, stated: sources.Sources, until: float) -> Fetched:
        at = mirror or image
        name = reference.read(at)
        login, who = self._login(name.registry, stated)
        header = login.header(name.registry) if login else ""
        asked = self._asked(name, login)
        self._must_have_room(at, asked)
        layers: dict[str, tuple[int, int]] = {}

        def progress(event: Json) -> None:
            if self.clock.monotonic() >= until:
                raise DockerError(0, "it took longer than it may (`timeouts.pull`)")
            detail = event.get("progressDetail") or {}
            if detail.get("total") and event.get("status") == "Downloading":
                layers[str(event.get("id"))] = (int(detail.get("current") or 0), int(detail["total"]))
            done, total = (sum(part) for part in zip(*layers.values())) if layers else (0, 0)
            self.beat(f"pulling, {done // MIB} of {total // MIB} MiB of the layers begun")

        try:
            self.docker.pull(at, header, progress, self._left(until))
        except DockerError as error:
            raise self._refusal(at, str(error), who, asked) from error
        found = self.docker.image(at)
        if found is None:
            raise NoImage(
                pull_errors.ANYTHING, f"the image {at} is not there after its pull", "Pull it by hand and look."
            )
        if mirror:
            self._name(image, found)
        return Fetched(found, "mirror" if mirror else "registry", at)

    def _name(self, image: str, found: Json) -> None:
        """An image from elsewhere gets the tag that is planned. A digest is no name that can be given."""
        name = reference.read(image)
        if not name.digest:
            self.docker.tag(str(found["Id"]), name.repository, name.tag or "latest")

    def _login(self, registry: str, stated: sources.Sources) -> tuple[Login | None, str]:
        """The login to a registry, and whose it is in words."""
        try:
            found = registry_login.login(registry, stated.registries, self.config)
        except NoLogin as problem:
            self.note(f"pulling without a login: {problem}")
            return None, f"{NOBODY}: {problem}"
        return found, f"with that of {found.origin}" if found else NOBODY

    def _asked(self, name: reference.Reference, login: Login | None) -> Registry | None:
        return self.registry(name, login, is_plain(name.registry, self.docker.get("/info"))) if self.registry else None

    def _must_have_room(self, at: str, asked: Registry | None) -> int | None:
        """Before the first byte: the layers that are missing here fit on Docker's disk as they are, packed. How large
        they are, None where nobody says. Raises NoImage."""
        if asked is None:
            return None
        try:
            missing = asked.layers().missing(self._layers())
            free = self.free_mib(self._root())
        except NotTold as problem:
            self.note(f"how large {at} is cannot be asked before its pull: {problem}")
            return None
        except OSError:
            return None
        if free < missing // MIB:
            raise self.no_room(at, f"{missing // MIB} MiB of it are missing here, and that is how they are packed")
        return missing

    def _layers(self) -> set[str]:
        """What layers the host has, of whatever image."""
        known = (self.docker.image(str(one["Id"])) or {} for one in self.docker.get("/images/json"))
        return {str(layer) for image in known for layer in (image.get("RootFS") or {}).get("Layers") or []}

    def _root(self) -> str:
        return str(self.docker.get("/info").get("DockerRootDir") or "/var/lib/docker")

    def _refusal(self, at: str, message: str, who: str, asked: Registry | None) -> NoImage:
        if pull_errors.is_full(message):
            return self.no_room(at, message)
        kind, name = pull_errors.kind_of(message), reference.read(at)
        known = {
            "registry": name.registry,
            "repository": name.repository,
            "name": name.path + name.version,
            "login": who,
        }
        wait = asked.wait() if asked and kind.name == pull_errors.RATE_LIMIT else ""
        said = kind.nobody if kind.nobody and who == NOBODY else kind.cause
        why = "; ".join(filter(None, (said.format(**known), wait)))
        cause = f"the image {at} could not be pulled: {why}: {message}"
        return NoImage(kind.name, cause, kind.advice.format(**known))

    def no_room(self, image: str, message: str) -> NoImage:
        """It does not fit on the disk of Docker's root."""
        try:
            root = self._root()
            left = f"{self.free_mib(root)} MiB are free on the disk of {root} without it"
        except (DockerError, OSError):
            left = "what is free cannot be told"
        return NoImage(
            "disk.full",
            f"the image {image} does not fit: {message}; {left}",
            "Make room there: `docker system df` says what images and containers take.",
        )


def _bad_archive(image: str, path: str, what: str, do: str) -> NoImage:
    advice = f"{do} vllm_server_image_archives; without an entry there the image is pulled."
    return NoImage("image.archive", f"the archive {path} of the image {image} {what}", advice)
