# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single files of releases, kept by the digest of their content: a rollback finds those that were verified.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time

from .._docker.release import Release
from .durable import make_folder, sweep, write_atomically
from .state import StateProblem
from .store import STATE_DIR, Store
from .unsaved import RUN_DIR

# No name of an instance has an underscore.
FOLDER = "kept_files"
DIGEST = re.compile(r"[0-9a-f]{64}")
# Between the moment in which a file is brought and that in which a state names its release.
GRACE_SECONDS = 3600


def path_of(digest: str, state_dir: str = STATE_DIR) -> str:
    return os.path.join(state_dir, FOLDER, digest)


def keep(raw: bytes, state_dir: str = STATE_DIR) -> str:
    """Write a file down under its digest, readable for whatever user an engine runs as; the path. Raises OSError."""
    path = path_of(hashlib.sha256(raw).hexdigest(), state_dir)
    folder = os.path.dirname(path)
    make_folder(folder)
    os.chmod(folder, 0o700)  # on the host they are nobody else's
    if not is_whole(path):
        write_atomically(path, raw, mode=0o444)
    os.utime(path)
    return path


def is_whole(path: str) -> bool:
    """Whether a kept file is there and is what its name says."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            return hashlib.sha256(file.read()).hexdigest() == os.path.basename(path)
    except OSError:
        return False


def used_by(release: Release) -> set[str]:
    """Digests of the kept files that a release is started with."""
    sources = (str(volume).rsplit(":", 2)[0] for volume in release["container"]["volumes"])
    split = (os.path.split(source) for source in sources)
    return {name for folder, name in split if os.path.basename(folder) == FOLDER and DIGEST.fullmatch(name)}


def prune(state_dir: str = STATE_DIR, run_dir: str = RUN_DIR) -> None:
    """Remove what no release of any instance is started with. Where one instance's state is not known, nothing."""
    folder = os.path.join(state_dir, FOLDER)
    if not os.path.isdir(folder):
        return
    sweep(folder)
    known: set[str] = set()
    for name in os.listdir(state_dir):
        if name == FOLDER or not os.path.isdir(os.path.join(state_dir, name)):
            continue
        try:
            state = Store(name, state_dir, run_dir).load()
        except StateProblem:
            return
        known |= {digest for entry in state.entries() for digest in used_by(entry.release)}
    old = time.time() - GRACE_SECONDS
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError):
            if DIGEST.fullmatch(name) and name not in known and os.lstat(path).st_mtime < old:
                os.remove(path)
