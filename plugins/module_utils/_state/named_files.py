# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files besides the model that a release is started with: there, and those that were planned with.

Docker makes a folder where the source of a volume is missing, so that nothing is started before they were looked at.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import typing as t

from .._diagnosis.diagnosis import Diagnosis
from .._docker.release import Release
from .._model.files import digest_of
from .._model.reading import Unreadable
from .._settings.rollout import Settings
from .._vllm import live_adapters
from . import kept_files

KEPT_ADVICE = "Run the playbook again: it brings the file."
ADVICE = "Put it there as it was, or run the playbook again to plan with what is there."


def changed(release: Release) -> Diagnosis | None:
    """Why a candidate's files are not those that were planned with. A folder that cannot be read is none."""
    for source, inside, digest in _mounted(release):
        problem = _missing(source)
        if problem is None and not digest:
            continue  # one whose content may change
        if problem is None and os.path.basename(source) != digest:
            problem = _differs(source, inside, digest)
        if problem is not None:
            return problem
    return None


def changed_adapters(release: Release, settings: Settings, loaded: Settings) -> Diagnosis | None:
    """Why an adapter that is to be loaded is not what was planned with. Those that are LOADED are not read again."""
    folder = live_adapters.folder_of(release["container"]["volumes"])
    has = live_adapters.wanted(loaded)
    new = [one for name, one in live_adapters.wanted(settings).items() if folder and has.get(name) != one]
    found = (_differs(live_adapters.outside(one["path"], folder), one["path"], one["sha256"]) for one in new)
    return next(filter(None, found), None)


def _differs(source: str, inside: str, digest: str) -> Diagnosis | None:
    try:
        if digest_of(source) == digest:
            return None
        cause = "was changed since it was planned with"
    except (Unreadable, OSError) as error:
        cause = str(error)
    return Diagnosis("files.changed", f"{source}, which the engine has as {inside}, {cause}", ADVICE)


def missing(release: Release) -> Diagnosis | None:
    """Why a release cannot be started at all. A folder of the operator's is taken as it is by now."""
    return next(filter(None, (_missing(source) for source, _inside, _digest in _mounted(release))), None)


def _missing(source: str) -> Diagnosis | None:
    if os.path.basename(os.path.dirname(source)) == kept_files.FOLDER:
        if kept_files.is_whole(source):
            return None
        return Diagnosis("files.missing", f"{source}, a file of the release, is missing or damaged", KEPT_ADVICE)
    if os.path.isdir(source):
        return None
    return Diagnosis("files.missing", f"{source}, a folder of the release, is not there any more", ADVICE)


def _mounted(release: Release) -> t.Iterator[tuple[str, str, str]]:
    """Source on the host, path inside, digest; '' for the folder of adapters that are loaded while it serves."""
    digests = release.get("files") or {}
    for volume in release["container"]["volumes"]:
        parts = str(volume).rsplit(":", 2)
        if len(parts) == 3 and (parts[1] in digests or parts[1] == live_adapters.FOLDER):
            yield parts[0], parts[1], digests.get(parts[1], "")
