# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenPGP keys as far as a package repository needs them: their fingerprints, and the form in which they are kept.

Neither gpg nor a network is asked: a fingerprint is a hash over the bytes of the public key (RFC 9580 5.5.4).

Private to the collection: may change without notice.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import textwrap
import typing as t

PUBLIC_KEY, USER_ID, SIGNATURE, TRUST, PUBLIC_SUBKEY, USER_ATTRIBUTE = 6, 13, 2, 12, 14, 17
OF_A_CERTIFICATE = (PUBLIC_KEY, USER_ID, SIGNATURE, TRUST, PUBLIC_SUBKEY, USER_ATTRIBUTE)
SECRET_KEYS = (5, 7)

_BEGIN, _END = "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----"
_BLOCK = re.compile(f"{_BEGIN}[ \t]*\n(.*?){_END}", re.DOTALL)
_FINGERPRINT = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")


class BadKey(Exception):
    """This is no key that can be used; the text says why."""


class Packet(t.NamedTuple):
    """One packet: its tag, its body, and both as they stood in the file."""

    tag: int
    body: bytes
    raw: bytes


def normalised(fingerprint: str) -> str:
    """A fingerprint as 40 or 64 capital digits, however it was written. Raises BadKey for a short id."""
    digits = re.sub(r"[\s:]", "", fingerprint).upper()
    digits = digits[2:] if digits.startswith("0X") else digits
    if not _FINGERPRINT.fullmatch(digits):
        raise BadKey(f"{fingerprint!r} is no fingerprint, expected 40 hexadecimal digits: state the whole fingerprint")
    return digits


def expected_only(data: bytes, expected: t.Iterable[str]) -> bytes:
    """The certificates with these fingerprints, in binary; others in the same file are left out.

    Raises BadKey where none of them is there.
    """
    wanted = [normalised(fingerprint) for fingerprint in expected]
    found = certificates(data)
    kept = [found[fingerprint] for fingerprint in found if fingerprint in wanted]
    if not kept:
        raise BadKey(f"its fingerprint is {' and '.join(found)}, expected {' or '.join(wanted)}")
    return b"".join(kept)


def certificates(data: bytes) -> dict[str, bytes]:
    """Certificates in binary by the fingerprint of their primary key, from a file in either form. Raises BadKey."""
    found: dict[str, bytes] = {}
    current = ""
    for packet in _packets(_binary(data)):
        if packet.tag == PUBLIC_KEY:
            current = _fingerprint(packet.body)
        if packet.tag in SECRET_KEYS:
            raise BadKey("it holds a secret key, expected a public one")
        if packet.tag not in OF_A_CERTIFICATE or not current:
            raise BadKey(f"it holds something else than public keys (a packet of type {packet.tag})")
        found[current] = found.get(current, b"") + packet.raw
    if not found:
        raise BadKey("it is empty")
    return found


def armored(binary: bytes) -> str:
    """Keys as text, the form that rpm imports."""
    lines = textwrap.wrap(base64.b64encode(binary).decode(), 64)
    checksum = base64.b64encode(_crc24(binary).to_bytes(3, "big")).decode()
    return "\n".join([_BEGIN, "", *lines, f"={checksum}", _END, ""])


def _binary(data: bytes) -> bytes:
    """Keys in binary; text of several blocks is put together."""
    if data[:1] and data[0] & 0x80:
        return data
    text = data.decode("ascii", "replace").replace("\r\n", "\n")
    blocks = _BLOCK.findall(text)
    if not blocks:
        raise BadKey(f"it is no OpenPGP key: it begins with {text.strip()[:40]!r}")
    return b"".join(_dearmored(block) for block in blocks)


def _dearmored(block: str) -> bytes:
    # Headers such as `Version:` end with an empty line; without headers the empty line is there all the same.
    _headers, _empty, body = f"\n{block}".partition("\n\n")
    lines = [line.strip() for line in body.splitlines() if line.strip()]
    checksum = lines.pop()[1:] if lines and lines[-1].startswith("=") else ""
    try:
        binary = base64.b64decode("".join(lines), validate=True)
        told = int.from_bytes(base64.b64decode(checksum, validate=True), "big") if checksum else None
    except binascii.Error as error:
        raise BadKey(f"it is damaged ({error})") from error
    if told is not None and told != _crc24(binary):
        raise BadKey("it is damaged (its checksum is wrong)")
    return binary


def _packets(data: bytes) -> t.Iterator[Packet]:
    at = 0
    while at < len(data):
        tag, start, size = _header(data, at)
        if start + size > len(data):
            raise BadKey("it is cut off")
        yield Packet(tag, data[start : start + size], data[at : start + size])
        at = start + size


def _header(data: bytes, at: int) -> tuple[int, int, int]:
    """Tag, start of the body and size of the packet that begins here."""
    head = data[at]
    if not head & 0x80:
        raise BadKey("it is damaged (no packet where one should begin)")
    if head & 0x40:
        return (head & 0x3F, *_new_size(data, at + 1))
    octets = {0: 1, 1: 2, 2: 4}.get(head & 0x03)
    if octets is None:
        raise BadKey("it has a packet of no stated size")
    return (head >> 2) & 0x0F, at + 1 + octets, int.from_bytes(data[at + 1 : at + 1 + octets], "big")


def _new_size(data: bytes, at: int) -> tuple[int, int]:
    first = data[at] if at < len(data) else 0
    if first < 192:
        return at + 1, first
    if first < 224:
        return at + 2, ((first - 192) << 8) + int.from_bytes(data[at + 1 : at + 2], "big") + 192
    if first == 255:
        return at + 5, int.from_bytes(data[at + 1 : at + 5], "big")
    raise BadKey("it has a packet of no stated size")


def _fingerprint(body: bytes) -> str:
    version = body[0] if body else 0
    if version == 4:
        return hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body).hexdigest().upper()
    if version == 6:
        return hashlib.sha256(b"\x9b" + len(body).to_bytes(4, "big") + body).hexdigest().upper()
    raise BadKey(f"its key is of version {version}, expected 4 or 6")


def _crc24(data: bytes) -> int:
    crc = 0xB704CE
    for byte in data:
        crc ^= byte << 16
        for _bit in range(8):
            crc = (crc << 1) ^ (0x1864CFB if crc & 0x800000 else 0)
    return crc & 0xFFFFFF
