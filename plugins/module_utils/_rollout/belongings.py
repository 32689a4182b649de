# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to the user that an engine runs as: the folder of its cache, and the file with its API key.

A release that is held and the candidate may run as different users, so both are handed over before each start.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import os

from .._diagnosis.diagnosis import Diagnosis
from .._docker import hardening
from .._docker.release import Release
from .._outside.documents import Json
from .._state import named_files as files
from .._state.api_keys import ApiKeyMissing
from .failure import MISSING_KEY_ADVICE, Failed, Refused
from .host import Host

# As SELinux's policy names what containers may use.
LABEL, OF_CONTAINERS = "security.selinux", b"system_u:object_r:container_file_t:s0"
ROOT = "root"
# What the kernel takes for a user; the number after it means nobody.
MOST, DIGITS = 2**32 - 2, 10


def user_of(release: Release, runs: Json) -> tuple[int, int] | None:
    """Numbers of user and group: the release's, else those of RUNS, an image or a container. None for a name."""
    told = hardening.user_of(release) or str((runs.get("Config") or {}).get("User") or ROOT)
    user, _colon, group = told.partition(":")
    uid = 0 if user == ROOT else _number(user)
    # Docker's own, for who is not in the image's /etc/passwd, is the group 0.
    return None if uid is None else (uid, _number(group) or 0)


def _number(text: str) -> int | None:
    found = int(text) if text.isascii() and text.isdecimal() and len(text) <= DIGITS else MOST + 1
    return found if found <= MOST else None


def key_is_readable(host: Host, release: Release, runs: Json) -> None:
    """The key file is there and belongs to the user of RUNS, an image or a container. Raises Refused."""
    if not host.keys.path(release):
        return
    owner = user_of(release, runs)
    if owner is None:
        raise Refused(
            "api_key.user",
            f"the image {release['image']} runs as {runs['Config']['User']}, and an API key file belongs to a number",
            "State the number of that user as the instance's `container_user`, or leave `api_key` out.",
        )
    try:
        host.keys.hand_over(release, owner[0])
    except ApiKeyMissing as error:
        raise Refused("api_key.missing", str(error), MISSING_KEY_ADVICE) from error


def hand_over(host: Host, release: Release, runs: Json, selinux: bool) -> None:
    """Before a start. Raises Failed."""
    problem = files.missing(release)
    if problem is not None:
        raise Failed(problem)
    owner = user_of(release, runs) or (0, 0)
    folder, key = hardening.cache_folder(release), host.keys.path(release)
    try:
        if folder:
            own_folder(folder, owner)
        if key:
            host.keys.hand_over(release, owner[0])
        if key and hardening.is_labelled(release, selinux):
            os.setxattr(key, LABEL, OF_CONTAINERS)
    except ApiKeyMissing as error:
        raise Failed(Diagnosis("api_key.missing", str(error), MISSING_KEY_ADVICE)) from error
    except OSError as error:
        advice = "Make room there, or set vllm_server_cache_dir to a folder on another disk."
        raise Failed(Diagnosis("cache.folder", f"the engine's cache cannot be made ready: {error}", advice)) from error


def own_folder(path: str, owner: tuple[int, int]) -> None:
    """The folder is there and its owner's alone. A link in its place is not followed. Raises OSError."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    place = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(place)
        if (found.st_uid, found.st_gid) != owner:
            os.fchown(place, *owner)
    finally:
        os.close(place)
