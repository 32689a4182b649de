# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single files that travel from the control node to a host: what they are, and their content once they are due.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import os
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._model.files import content
from ansible_collections.gpufleet.vllm.plugins.module_utils._model.reading import LeadsOutside, Unreadable
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.path_arguments import BROUGHT


class GoneError(ValueError):
    """A file is not there any more as it was planned with; the text says which one and what to do."""


def look(path: str, folder: str) -> Json:
    """What is at `inventory:NAME`, in the shape of _model.files.look, with the place on the control node."""
    name = path.removeprefix(BROUGHT)
    found: Json = {"kind": "", "bytes": 0, "digest": "", "problem": "", "text": None, "names": [], "source": ""}
    if not folder:
        found["problem"] = "is looked for in no folder: set vllm_server_files_dir"
    elif not name or os.path.isabs(name) or os.path.normpath(name) != name or name.startswith(".."):
        found["problem"] = f"is no name below {folder} (vllm_server_files_dir): write it without .. and a slash first"
    if found["problem"]:
        return found
    found["source"] = os.path.join(folder, name)
    try:
        if os.path.isdir(found["source"]):
            raise Unreadable(f"is a folder ({found['source']}): only single files are brought, put it on the host")
        raw = content(found["source"], folder)
        found.update(kind="file", bytes=len(raw), digest=hashlib.sha256(raw).hexdigest(), text=raw.decode())
    except UnicodeDecodeError:
        found["problem"] = f"is no text in UTF-8 ({found['source']})"
    except LeadsOutside:
        found["problem"] = f"is a link that leads out of {folder}: put the file itself there"
    except Unreadable as error:
        found["problem"] = str(error)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        found["problem"] = f"is not there on the control node: {found['source']} cannot be read ({why})"
    return found


def carried(files: t.Sequence[Json]) -> list[Json]:
    """What the host is given: a path of its own, or the content. Raises GoneError."""
    found = []
    for one in files:
        if not one["source"]:
            found.append({"sha256": one["sha256"], "source": one["path"]})
            continue
        try:
            raw = content(one["source"])
        except (Unreadable, OSError) as error:
            raise GoneError(f"{one['source']} cannot be read any more ({error}): run the playbook again") from error
        if hashlib.sha256(raw).hexdigest() != one["sha256"]:
            raise GoneError(f"{one['source']} was changed since it was planned with: run the playbook again")
        found.append({"sha256": one["sha256"], "source": one["path"], "text": raw.decode()})
    return found
