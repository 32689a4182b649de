# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle that is used: every file of it is there, is a file, and is what the manifest says.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import os
import typing as t

from .._state.store import STATE_DIR
from . import manifest
from .known import Known, NoFile
from .manifest import BadBundle, Bundle, Model

# No name of an instance has an underscore.
RECORDS = "bundle_files"
# Sentences about files that are wrong; the rest is counted.
TOLD = 5
HELP = "copy the bundle again, or make it anew"


def opened(root: str) -> Bundle:
    """Its manifest, before anything else of it is looked at. Raises BadBundle."""
    path = os.path.join(root, manifest.FILE)
    if not os.path.isdir(root):
        raise BadBundle(
            f"{root} is not there on the host (vllm_bundle): bring the bundle there, or leave vllm_bundle out where "
            "everything is installed"
        )
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, encoding="utf-8") as file:
            found = os.fstat(descriptor).st_size
            if found > manifest.TEXT_LIMIT:
                raise BadBundle(f"{path} has {found} bytes, and none has more than {manifest.TEXT_LIMIT}: {HELP}")
            text = file.read(manifest.TEXT_LIMIT)
    except FileNotFoundError:
        raise BadBundle(
            f"{root} has no {manifest.FILE}, which is written last: end playbooks/bundle.yml first, and copy all of it"
        ) from None
    except BadBundle:
        raise
    except (OSError, ValueError) as error:
        raise BadBundle(f"{path} cannot be read ({getattr(error, 'strerror', None) or error}): {HELP}") from error
    try:
        return manifest.parse(text)
    except BadBundle as error:
        raise BadBundle(f"{path} is not used: {error}") from error


def verified(root: str, state_dir: str = STATE_DIR, keep: bool = True, stated: str = "") -> Bundle:
    """What is in it, once all of it was read on this host. Unless it may `keep` anything, nothing is written.

    STATED is the digest that it has to have, '' where nobody states one. Raises BadBundle, OSError.
    """
    bundle = opened(root)
    if stated and stated != bundle["digest"]:
        raise BadBundle(
            f"{root} is the bundle {bundle['digest']}, and vllm_bundle_digest is {stated}: bring the one that is meant"
        )
    name = hashlib.sha256(root.encode()).hexdigest()[:16]
    known = Known(root, os.path.join(state_dir, RECORDS, f"{name}.json"), keep)
    wrong = list(_wrong(bundle, known))
    known.save()
    if wrong:
        more = f", and {len(wrong) - TOLD} more files are wrong" if len(wrong) > TOLD else ""
        raise BadBundle(f"nothing of {root} is used: {', '.join(wrong[:TOLD])}{more}: {HELP}")
    return bundle


def _wrong(bundle: Bundle, known: Known) -> t.Iterator[str]:
    for one in bundle["files"]:
        try:
            if known.sha256(one["path"], one["size"]) != one["sha256"]:
                yield f"{one['path']} has another content than is listed"
        except NoFile as problem:
            yield f"{one['path']} {problem}"


def models_of(bundle: Bundle, model: str, revision: str) -> list[Model]:
    """Those that were made for that revision, or whose commit it is; '' is the hub's own.

    Several where hosts allow a model different things, or have different GGUF files of it.
    """
    asked = revision or "main"
    fit = [one for one in bundle["models"] if one["manifest"]["model"] == model]
    exact = [one for one in fit if one["manifest"]["revision"] == asked]
    return exact or [one for one in fit if one["manifest"]["commit"] == asked]
