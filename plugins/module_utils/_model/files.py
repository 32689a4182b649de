# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and folders besides the model that an engine is started with: what they are, and a digest of their content.

A file's digest is the SHA-256 of its content. That of a folder is one over the names, sizes and contents of all files
in it; of a file above WHOLE only the first, the middle and the last MiB are read. Times say nothing.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import typing as t

from .._outside.documents import Json
from . import adapters, tokenizers
from .inspect import inspect
from .reading import MIB, LeadsOutside, Unreadable, document, opened, text

# A file that is kept by us and may travel: the longest chat templates have tens of KiB.
FILE_LIMIT = MIB
WHOLE = 16 * MIB
ENTRIES_LIMIT = 500
DEPTH_LIMIT = 8
MISSING = "is not there on the host"
ADAPTER, ADAPTER_LIMIT = "adapter_config.json", MIB
# What is told of an adapter's settings.
ADAPTER_KEYS = ("r", "base_model_name_or_path", "use_dora", "modules_to_save", "peft_type")


def look(path: str) -> Json:
    """What is at a path. `problem` continues a sentence that begins with the path; '' where it can be used.

    `text` is the content of a file, `names` are those in a folder, and `adapter`, `model` and `tokenizer` what its
    documents say.
    """
    found: Json = {
        "kind": "", "bytes": 0, "digest": "", "problem": "", "text": None, "names": [], "adapter": None, "model": None,
        "tokenizer": None,
    }  # fmt: skip
    try:
        _look(path, found)
    except LeadsOutside as error:
        found["problem"] = f"{error}: put the file itself there"
    except Unreadable as error:
        found["problem"] = str(error)
    except FileNotFoundError:
        found["problem"] = MISSING
    except (OSError, ValueError) as error:
        found["problem"] = f"cannot be read ({getattr(error, 'strerror', None) or error})"
    return found


def content(path: str, root: str = "") -> bytes:
    """A single file under ROOT (its own folder), of at most FILE_LIMIT. Raises Unreadable, OSError."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise Unreadable("is neither a file nor a folder")
    with opened(path, root or os.path.dirname(path)) as (stream, size):
        raw = stream.read(FILE_LIMIT + 1)
    if len(raw) > FILE_LIMIT:
        raise Unreadable(f"has {size} bytes: a single file may have {FILE_LIMIT}")
    if not raw:
        raise Unreadable("is empty")
    return raw


def digest_of(path: str) -> str:
    """The digest of what is at a path. Raises Unreadable, OSError."""
    if os.path.isdir(path):
        return _folder_digest(_tree(path))[0]
    return hashlib.sha256(content(path)).hexdigest()


def _look(path: str, found: Json) -> None:
    if os.path.normpath(path) != (path.rstrip("/") or "/") or path.startswith("//"):
        raise Unreadable("is no plain path: write it without . and .. and double slashes")
    root = os.path.dirname(path.rstrip("/")) or "/"
    if os.path.isdir(path):
        if os.path.realpath(path) == "/":
            raise Unreadable("is the whole host")
        if os.path.dirname(os.path.realpath(path)) != os.path.realpath(root):
            raise LeadsOutside(f"is a link to a place outside of {root}")
        found["kind"] = "folder"
        files = _tree(path)
        found["names"] = sorted({name.partition("/")[0] for name, _place in files})
        if not files:
            raise Unreadable("is an empty folder")
        found["digest"], found["bytes"] = _folder_digest(files)
        if ADAPTER in found["names"]:
            found["adapter"] = _adapter(os.path.join(path, ADAPTER), path)
            if adapters.WEIGHTS in found["names"]:
                with opened(os.path.join(path, adapters.WEIGHTS), path) as (stream, size):
                    found["adapter"].update(adapters.of_weights(stream, size))
            return
        if "config.json" in found["names"]:
            found["model"] = inspect(path, "")
        if tokenizers.FILE in found["names"]:
            found["tokenizer"] = tokenizers.of_text(text(os.path.join(path, tokenizers.FILE), path))
        return
    raw = content(path)
    found.update(kind="file", bytes=len(raw), digest=hashlib.sha256(raw).hexdigest())
    try:
        found["text"] = raw.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("is no text in UTF-8") from error


def _tree(folder: str) -> list[tuple[str, str]]:
    """Every file below a folder, by its name from there. Raises Unreadable, OSError."""
    root, found = os.path.realpath(folder), []
    waiting = [("", 0)]
    while waiting:
        below, depth = waiting.pop()
        if depth > DEPTH_LIMIT:
            raise Unreadable(f"has folders in more than {DEPTH_LIMIT} others: name the one that holds the files")
        with os.scandir(os.path.join(root, below)) as entries:
            for entry in entries:
                name = os.path.join(below, entry.name)
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    waiting.append((name, depth + 1))
                else:
                    found.append((name, entry.path))
                if len(found) + len(waiting) > ENTRIES_LIMIT:
                    raise Unreadable(f"has more than {ENTRIES_LIMIT} files: name the folder that holds only its own")
    return sorted(found)


def _folder_digest(files: t.Sequence[tuple[str, str]]) -> tuple[str, int]:
    """The digest, and the bytes of all files. Raises Unreadable, OSError, with the name of the file."""
    rows, total = [], 0
    for name, place in files:
        root = place[: -len(name)] or "/"
        try:
            with opened(place, root) as (stream, size):
                rows.append([name, size, _sampled(stream, size)])
        except LeadsOutside as error:
            raise LeadsOutside(f"has {name!r}, which {error}") from error
        except Unreadable as error:
            raise Unreadable(f"has {name!r}, which is no regular file: remove it") from error
        total += size
    return hashlib.sha256(json.dumps(rows).encode("utf-8", "surrogatepass")).hexdigest(), total


def _sampled(stream: t.BinaryIO, size: int) -> str:
    found = hashlib.sha256()
    if size <= WHOLE:
        found.update(stream.read(WHOLE))
        return found.hexdigest()
    for start in (0, size // 2, size - MIB):
        stream.seek(start)
        found.update(stream.read(MIB))
    return found.hexdigest()


def _adapter(path: str, root: str) -> Json:
    """What an adapter's own settings say. Raises Unreadable, OSError."""
    try:
        said = document(text(path, root, ADAPTER_LIMIT))
    except ValueError as error:
        raise Unreadable(f"has an {ADAPTER} that is no valid JSON ({error}): bring the adapter again") from error
    if not isinstance(said, dict):
        raise Unreadable(f"has an {ADAPTER} that holds no JSON object: bring the adapter again")
    return {key: said.get(key) for key in ADAPTER_KEYS}
