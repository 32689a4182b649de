# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mover: brings one model to the store of a host, whole, and goes on where one before it stopped.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import fcntl
import os
import threading
import time
import typing as t

from .._hub.manifest import COMMIT, HUB, Manifest
from .._state.store import STATE_DIR
from . import partial as partials
from .desk import FULL, Request
from .disk import disk_problem, writing_at
from .folder import Folder
from .known import Known
from .layout import BLOBS, LOCK, PARTS, key
from .partial import Partial, boot_id
from .progress import FAILED, WHOLE, Progress, size
from .records import Records, folder_of
from .repository import Need, Repository
from .survey import NoRoom, Survey, must_have_room, survey
from .transfer import Failed, Nearer, Nobody, Open, Stopped, Transfer
from .waits import Pace

LOCK_WAIT = 3600.0
TICK = 1.0
# What never ended, and nobody has gone on with since.
OLD_PART = 14 * 86400
# Records of large files are worth a write of their own.
LARGE = 64 * 1024 * 1024


class Away(Exception):
    """The hub cannot be asked; a sentence without its full stop."""


# What a revision is. Raises Away, Failed.
Resolve = t.Callable[[], Manifest]


class Ended(t.NamedTuple):
    """`detail` is a sentence with its full stop."""

    outcome: str
    detail: str
    changed: bool


def known_of(request: Request, folder: str) -> Known:
    asked = [request["endpoint"], request["code"], request["pickles"], request["gguf"]]
    return Known(folder, [*asked, request["source"]] if "source" in request else asked)


def listed(request: Request, known: Known, resolve: Resolve, repository: Repository) -> tuple[Manifest, str]:
    """The files of what is asked for, and a warning. A commit that was seen before is asked for no more; where the hub
    is away, what a branch stood for is what counts. Raises Away, Failed."""
    revision = request["revision"]
    if COMMIT.fullmatch(revision):
        found = known.of(revision, revision)
        if found is not None:
            return found, ""
    try:
        return _as_asked(resolve(), revision), ""
    except Away as error:
        name = revision or "main"
        found = known.of(repository.referred(name), name)
        if found is None:
            raise
        return found, f"{error}; what {name} stood for when it was last asked is taken"


def _as_asked(found: Manifest, revision: str) -> Manifest:
    """What no hub has is one revision: whoever states one has that, or nothing. Raises Failed."""
    if found["source"]["kind"] == HUB:
        return found
    if revision in ("", found["revision"], found["commit"]):
        return Manifest(**{**found, "revision": revision or found["revision"]})
    raise Failed(
        f"{found['source']['endpoint']} has {found['model']} with the content {found['commit']}, and the revision "
        f"{revision} is asked for: bring that one there, or state this one"
    )


def unhashed(found: Manifest) -> str:
    """What could not be compared, as a sentence without its full stop."""
    without = [one["path"] for one in found["files"] if not one["sha256"] and not one["git_sha1"]]
    if not without:
        return ""
    return (
        f"No hash is known of {len(without)} of its files, such as {without[0]}, and only their lengths were compared: "
        "run `sha256sum * > SHA256SUMS` in the folder that is served"
    )


class Mover:
    """One download of one model."""

    def __init__(
        self,
        request: Request,
        resolve: Resolve,
        opening: Open,
        progress: Progress,
        tell: t.Callable[[], None],
        state_dir: str = STATE_DIR,
        boot: str | None = None,
        transfer: t.Callable[..., Transfer] = Transfer,
        nearer: Nearer | None = None,
    ) -> None:
        self.request, self._resolve, self._opening = request, resolve, opening
        self.progress, self._tell = progress, tell
        self._folder = folder_of(key(request["model"], request["hub_dir"]), state_dir)
        self._boot = boot_id() if boot is None else boot
        self._transfer, self._nearer = transfer, nearer or Nobody()
        self.stop = threading.Event()

    def run(self) -> Ended:
        """Whatever fails, what was there still serves, and what came is kept."""
        try:
            ended = self._run_or_look()
        except (Away, Failed, NoRoom) as error:
            ended = Ended(FAILED, f"{_capital(str(error))}.", False)
        except Stopped:
            ended = Ended(FAILED, "It was told to stop; the next run goes on where it stands.", False)
        except OSError as error:
            told = self.progress.told()
            problem = disk_problem(error, self.request["hub_dir"], told["bytes"] - told["done"])
            ended = Ended(FAILED, f"{_capital(problem)}.", False)
        self.progress.ends(*ended)
        self._tell()
        return ended

    def _run_or_look(self) -> Ended:
        """A store that is read-only has no room for a lock, and needs none where everything is there."""
        try:
            return self._run()
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            with contextlib.closing(
                Repository(self.request["hub_dir"], self.request["model"], make=False)
            ) as repository:
                known = known_of(self.request, self._folder)
                manifest, warning = listed(self.request, known, self._resolve, repository)
                every = self.request["verify"] == FULL
                found = survey(repository, manifest, Records(self._folder), self._boot, every)
            if not found.whole:
                raise
            return Ended(WHOLE, _said(found, self.progress, "", warning), False)

    def _run(self) -> Ended:
        repository = Repository(self.request["hub_dir"], self.request["model"], make=True)
        with contextlib.closing(repository), repository.open(PARTS) as parts, self._locked(parts):
            known = known_of(self.request, self._folder)
            manifest, warning = listed(self.request, known, self._resolve, repository)
            with writing_at(self._folder):
                known.keep(manifest)
            records = Records(self._folder)
            self.progress.at("checking", manifest["commit"])
            self._tell()
            try:
                found = survey(repository, manifest, records, self._boot, self.request["verify"] == FULL)
                must_have_room(repository, found)
                self._fetch(repository, parts, found, records)
                self.progress.at("joining")
                changed = repository.join(manifest) or bool(found.needs)
            finally:
                with writing_at(self._folder):
                    records.save()
            _tidy(parts, time.time() - OLD_PART)
            said = _said(found, self.progress, self._nearer.said(), warning)
            return Ended(WHOLE, said, changed)

    @contextlib.contextmanager
    def _locked(self, parts: Folder) -> t.Iterator[None]:
        """One mover of a model, also where several hosts have the folder. The lock goes with its process."""
        descriptor = parts.open(LOCK, os.O_RDWR | os.O_CREAT)
        try:
            deadline = time.monotonic() + LOCK_WAIT
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise Failed(f"another process has held the lock {parts.path}/{LOCK} for an hour") from None
                    self.progress.waits("another download of the model is under way")
                    self._tell()
                    if self.stop.wait(TICK):
                        raise Stopped from None
            self.progress.waits("")
            yield
        finally:
            os.close(descriptor)

    def _fetch(self, repository: Repository, parts: Folder, found: Survey, records: Records) -> None:
        if not found.needs:
            return
        self.progress.wants(
            len(found.needs),
            sum(need.file["size"] for need in found.needs),
            sum(need.there for need in found.needs),
        )
        self.progress.at("fetching")
        pace = Pace(self.request["bandwidth"])
        transfer = self._transfer(self._opening, self.progress, pace, self.stop, nearer=self._nearer)
        recording = threading.Lock()
        # A power cut takes what is not synced of every file that is on its way.
        step = partials.SYNC_STEP // min(self.request["files_at_once"], len(found.needs))

        def one(need: Need) -> None:
            if self.stop.is_set():
                raise Stopped
            partial = Partial(parts, need.blob, self._boot, step)
            try:
                transfer.fetch(need.file, partial)
                placed = partial.place(blobs)
            finally:
                partial.close()
            self.progress.file_is_whole()
            with recording:
                records.keep(need.blob, placed)
                if need.file["size"] >= LARGE:
                    with writing_at(self._folder):
                        records.save()

        # The largest first, so that no large one is left for the end.
        due = sorted(found.needs, key=lambda need: -need.missing)
        with repository.open(BLOBS) as blobs:
            self._all(one, due)

    def _all(self, one: t.Callable[[Need], None], due: t.Sequence[Need]) -> None:
        """Several at a time; the first that fails ends the others. Raises what it failed of."""
        first: BaseException | None = None
        with concurrent.futures.ThreadPoolExecutor(self.request["files_at_once"]) as pool:
            running = {pool.submit(one, need) for need in due}
            while running:
                done, running = concurrent.futures.wait(running, TICK, concurrent.futures.FIRST_EXCEPTION)
                for error in filter(None, (future.exception() for future in done)):
                    if first is None or isinstance(first, Stopped):
                        first = error
                    self.stop.set()
                self._tell()
        if first is not None:
            raise first


def _said(found: Survey, progress: Progress, *more: str) -> str:
    manifest = found.manifest
    total = sum(file["size"] for file in manifest["files"])
    told = f"{manifest['model']} at {manifest['commit'][:12]} is whole: {len(manifest['files'])} files, {size(total)}."
    if found.needs:
        received = progress.told()["received"]
        count = len(found.needs)
        told += f" Fetched {count} files, {size(received)}." if received else f" Placed {count} files, which had come."
    return " ".join([told, *(f"{one}." for one in (unhashed(manifest), *more) if one)])


def _tidy(parts: Folder, before: float) -> None:
    for name in parts.names():
        found = parts.look(name)
        if name != LOCK and found is not None and found.st_mtime < before:
            parts.remove(name)


def _capital(text: str) -> str:
    return text if text.startswith(("/", "http")) else text[:1].upper() + text[1:]
