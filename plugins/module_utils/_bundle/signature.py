# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who made a bundle: its manifest signed with an SSH key, by `ssh-keygen -Y`. The manifest has the hash of every file.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import typing as t

from .._outside.printable import printable
from .._state.durable import write_atomically
from . import manifest
from .manifest import BadBundle

FILE = f"{manifest.FILE}.sig"
# A signature that the same key has made for something else is none of a bundle.
NAMESPACE = "gpufleet.vllm.bundle"
SIGNER = "bundle"
PROGRAM = "ssh-keygen"
LIMIT = 64 * 1024
SAID = 300
_KEY = re.compile(r"((?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]{1,60}) ([A-Za-z0-9+/]{16,8192}={0,2})(?: .{0,200})?")

# Runs a program with what it is given, and says how it ended, what it wrote, and what it complained of.
Run = t.Callable[[t.Sequence[str], bytes], t.Tuple[int, str, str]]  # noqa: UP006 - evaluated by Python 3.9


def keys(stated: t.Iterable[str]) -> list[str]:
    """Public keys as `ssh-keygen` writes them, without their comments. Raises BadBundle."""
    found = []
    for one in stated:
        fit = _KEY.fullmatch(one.strip())
        if fit is None:
            raise BadBundle(
                f"vllm_bundle_signers has {printable(one)[:80]!r}, which is no public key of SSH: write the line of a "
                ".pub file, as ssh-ed25519 AAAA..."
            )
        found.append(f"{fit[1]} {fit[2]}")
    return found


def sign(run: Run, root: str, key: str) -> bool:
    """Whether the signature is another one than before. KEY is the path of a private key. Raises BadBundle, OSError."""
    text = _read(os.path.join(root, manifest.FILE), manifest.TEXT_LIMIT)
    code, public, why = run([PROGRAM, "-y", "-f", key], b"")
    if code == 0 and not _wrong(run, root, text, keys([public])):
        return False
    code, signature, why = run([PROGRAM, "-Y", "sign", "-q", "-n", NAMESPACE, "-f", key], text)
    if code != 0:
        raise BadBundle(
            f"the manifest cannot be signed with {key} (vllm_bundle_signing_key): {printable(why).strip()[:SAID]}; "
            "name a private key of SSH without a passphrase, or with one in an agent"
        )
    write_atomically(os.path.join(root, FILE), signature, mode=0o644)
    return True


def drop(root: str) -> None:
    """What signed another manifest says nothing of this one. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(root, FILE))


def must_be_signed(run: Run, root: str, digest: str, stated: t.Sequence[str]) -> None:
    """The manifest with this digest, by one of the keys that are stated. Raises BadBundle, OSError."""
    text = _read(os.path.join(root, manifest.FILE), manifest.TEXT_LIMIT)
    if manifest.parse(text.decode("utf-8", "replace"))["digest"] != digest:
        raise BadBundle(f"{root} was changed while it was read: run this again when nobody writes there")
    if not os.path.lexists(os.path.join(root, FILE)):
        raise BadBundle(
            f"{root} has no {FILE}, and vllm_bundle_signers says who has to have signed it: make it with "
            "vllm_bundle_signing_key, and copy all of it"
        )
    wrong = _wrong(run, root, text, keys(stated))
    if wrong:
        raise BadBundle(
            f"{os.path.join(root, FILE)} is not the signature of this manifest by a key of vllm_bundle_signers "
            f"({wrong}): do not use it; bring the bundle that was signed"
        )


def _wrong(run: Run, root: str, text: bytes, allowed: t.Sequence[str]) -> str:
    """What is wrong with the signature that is there; '' where it is right. Raises OSError."""
    try:
        signature = _read(os.path.join(root, FILE), LIMIT)
    except (FileNotFoundError, BadBundle) as error:
        return str(error)
    with tempfile.TemporaryDirectory() as place:
        signers, copied = os.path.join(place, "signers"), os.path.join(place, FILE)
        with open(signers, "w", encoding="ascii") as file:
            file.writelines(f'{SIGNER} namespaces="{NAMESPACE}" {key}\n' for key in allowed)
        with open(copied, "wb") as stream:
            stream.write(signature)
        words = [PROGRAM, "-Y", "verify", "-f", signers, "-I", SIGNER, "-n", NAMESPACE, "-s", copied]
        code, _out, why = run(words, text)
    return "" if code == 0 else printable(why or "it does not verify").strip()[:SAID]


def _read(path: str, limit: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        raw = file.read(limit + 1)
    if len(raw) > limit:
        raise BadBundle(f"{path} has more than {limit} bytes")
    return raw
