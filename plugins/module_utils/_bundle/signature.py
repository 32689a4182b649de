# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who made a bundle: its manifest signed with an SSH key, by `ssh-keygen -Y`. The manifest has the hash of every file.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import base64
import binascii
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
# The comment behind it is anybody's, and as long as it is.
_KEY = re.compile(r"((?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]{1,60})[ \t]+([A-Za-z0-9+/]{16,8192}={0,2})(?:[ \t].*)?")
_FINGERPRINT = re.compile(r"(?<!\S)(?:SHA256|MD5):[A-Za-z0-9+/=:]+(?!\S)")
INVALID = "invalid key"
# ssh-keygen would ask at the terminal of whoever runs this, in the middle of a run: given an empty one it does not.
UNASKED = ("-P", "")

# Runs a program with what it is given, and says how it ended, what it wrote, and what it complained of.
Run = t.Callable[[t.Sequence[str], bytes], t.Tuple[int, str, str]]  # noqa: UP006 - evaluated by Python 3.9


def keys(stated: t.Iterable[str]) -> list[str]:
    """Public keys as `ssh-keygen` writes them, without their comments. Raises BadBundle with each that is none."""
    found, wrong = [], []
    for one in stated:
        fit = _KEY.fullmatch(one.strip())
        if fit is None or not _is_of(fit[1], fit[2]):
            wrong.append(repr(printable(one)[:80]))
        else:
            found.append(f"{fit[1]} {fit[2]}")
    if wrong:
        raise BadBundle(
            f"vllm_bundle_signers has {' and '.join(wrong)}, which is no public key of SSH: write the line of a .pub "
            "file, as ssh-ed25519 AAAA..."
        )
    return found


def _is_of(kind: str, encoded: str) -> bool:
    """Whether a key begins with its own kind, as RFC 4253 6.6 has it: 4 bytes of length, then the name."""
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return False
    return blob.startswith(len(kind).to_bytes(4, "big") + kind.encode())


def sign(run: Run, root: str, key: str) -> bool:
    """Whether the signature is another one than before. KEY is the path of a private key. Raises BadBundle, OSError.

    A signature of the same key for the same manifest stays: the private key is not touched then.
    """
    text = _read(os.path.join(root, manifest.FILE), manifest.TEXT_LIMIT)
    if _is_signed_with(run, root, text, key):
        return False
    code, signature, why = run([PROGRAM, "-Y", "sign", "-q", *UNASKED, "-n", NAMESPACE, "-f", key], text)
    if code != 0:
        raise BadBundle(
            f"the manifest cannot be signed with {key} (vllm_bundle_signing_key): {printable(why).strip()[:SAID]}; "
            + (
                "it has a passphrase, which nobody is asked for here: `ssh-add` it to an agent, and run this with "
                "SSH_AUTH_SOCK of that agent, or name a key without one"
                if "passphrase" in why
                else "name a private key of SSH without a passphrase, or with one in an agent"
            )
        )
    write_atomically(os.path.join(root, FILE), signature, mode=0o644)
    return True


def _is_signed_with(run: Run, root: str, text: bytes, key: str) -> bool:
    """Whether the signature that is there is of this key and this manifest. Raises BadBundle, OSError."""
    _must_be_no_folder(root)
    try:
        signature = _read(os.path.join(root, FILE), LIMIT)
    except (FileNotFoundError, BadBundle):
        return False
    code, mine, _why = run([PROGRAM, "-l", "-f", key], b"")
    if code != 0:
        return False
    with tempfile.TemporaryDirectory() as place:
        words = [PROGRAM, "-Y", "check-novalidate", "-n", NAMESPACE, "-s", _copied(place, signature)]
        code, theirs, why = run(words, text)
    found, by = _FINGERPRINT.search(mine), _FINGERPRINT.search(f"{theirs} {why}")
    return code == 0 and found is not None and by is not None and found[0] == by[0]


def drop(root: str) -> None:
    """What signed another manifest says nothing of this one. Raises BadBundle, OSError."""
    _must_be_no_folder(root)
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(root, FILE))


def must_be_signed(run: Run, root: str, digest: str, stated: t.Sequence[str]) -> None:
    """The manifest with this digest, by one of the keys that are stated. Raises BadBundle, OSError."""
    text = _read(os.path.join(root, manifest.FILE), manifest.TEXT_LIMIT)
    if manifest.parse(text.decode("utf-8", "replace"))["digest"] != digest:
        raise BadBundle(f"{root} was changed while it was read: run this again when nobody writes there")
    _must_be_no_folder(root)
    try:
        signature = _read(os.path.join(root, FILE), LIMIT)
    except FileNotFoundError:
        raise BadBundle(
            f"{root} has no {FILE}, and vllm_bundle_signers says who has to have signed it: make it with "
            "vllm_bundle_signing_key, and copy all of it"
        ) from None
    wrong = _wrong(run, signature, text, keys(stated))
    if wrong:
        raise BadBundle(
            f"{os.path.join(root, FILE)} is not the signature of this manifest by a key of vllm_bundle_signers "
            f"({wrong}): do not use it; bring the bundle that was signed"
        )


def _wrong(run: Run, signature: bytes, text: bytes, allowed: t.Sequence[str]) -> str:
    """What is wrong with a signature; '' where one of these keys made it. Raises OSError.

    Each key is tried by itself: one that `ssh-keygen` cannot read hides none of the others, and is named.
    """
    said, unreadable = "", []
    with tempfile.TemporaryDirectory() as place:
        signers, copied = os.path.join(place, "signers"), _copied(place, signature)
        for key in allowed:
            with open(signers, "w", encoding="ascii") as file:
                file.write(f'{SIGNER} namespaces="{NAMESPACE}" {key}\n')
            words = [PROGRAM, "-Y", "verify", "-f", signers, "-I", SIGNER, "-n", NAMESPACE, "-s", copied]
            code, _out, why = run(words, text)
            if code == 0:
                return ""
            if INVALID in why:
                unreadable.append(key[:80])
            else:
                said = why
    told = [printable(said or "it does not verify").strip()[:SAID]]
    told += [f"ssh-keygen takes {one}... for no key" for one in unreadable]
    return "; ".join(told)


def _copied(place: str, signature: bytes) -> str:
    path = os.path.join(place, FILE)
    with open(path, "wb") as stream:
        stream.write(signature)
    return path


def _must_be_no_folder(root: str) -> None:
    path = os.path.join(root, FILE)
    if os.path.isdir(path) and not os.path.islink(path):
        raise BadBundle(f"{path} is a folder, and the signature has to be there: remove it, and run again")


def _read(path: str, limit: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        raw = file.read(limit + 1)
    if len(raw) > limit:
        raise BadBundle(f"{path} has more than {limit} bytes")
    return raw
