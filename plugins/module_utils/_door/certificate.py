# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door's certificate, tried as a client will find it: a handshake in memory, before anything of the door changes.

HAProxy itself takes one that has expired.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import stat

LARGEST = 1024 * 1024
# ssl.VERIFY_X509_PARTIAL_CHAIN, which Python 3.9 has no name for: whoever signed it is the client's affair.
PARTIAL_CHAIN = 0x80000
_FINGERPRINT = re.compile(r"^SHA1 FingerPrint: ([0-9A-F]{40})$", re.MULTILINE)
_SERIAL = re.compile(r"^Serial: ([0-9A-F]+)$", re.MULTILINE)
_ENDS = re.compile(r"^notAfter: (.{1,40})$", re.MULTILINE)
_STATED = re.compile(r"^    bind \S+ ssl crt (\S+)", re.MULTILINE)
# Of a certificate in DER: the version, and after it the number.
_VERSION_3 = b"\xa0\x03\x02\x01\x02\x02"
_ENCRYPTED = re.compile(r"BEGIN ENCRYPTED PRIVATE KEY|Proc-Type: 4,ENCRYPTED")
_FIRST = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


class Unusable(Exception):
    """The text says what is wrong with the certificate."""


def path_in(config: str) -> str:
    """The path that a configuration of the door states; '' without TLS."""
    found = _STATED.search(config)
    return found[1] if found else ""


def read(path: str) -> str:
    """The PEM file. Raises Unusable. What is no file, as a pipe, may never end, or never begin."""
    try:
        found = os.stat(path)
        if stat.S_ISREG(found.st_mode) and found.st_size <= LARGEST:
            with open(path, encoding="ascii", errors="replace") as file:
                return file.read(LARGEST)
    except OSError as error:
        raise Unusable(f"it cannot be read ({error.strerror or error})") from error
    raise Unusable("it has more than 1 MiB" if stat.S_ISREG(found.st_mode) else "it is no file")


def must_serve(path: str) -> None:
    """Raises Unusable where a client could not be served with it."""
    text = read(path)
    beside = f"{path}.key"
    key = beside if "PRIVATE KEY-----" not in text and os.path.exists(beside) else path
    keys = text if key == path else text + read(key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags = ssl.VerifyFlags(PARTIAL_CHAIN)
    try:
        server.load_cert_chain(path, key, password=lambda: "")
        client.load_verify_locations(cafile=path)
        _shake_hands(server, client)
    except ssl.SSLCertVerificationError as error:
        raise Unusable(error.verify_message) from error
    except (ssl.SSLError, OSError, ValueError) as error:
        raise Unusable(_why(keys, error)) from error


def _why(text: str, error: Exception) -> str:
    reason = str(getattr(error, "reason", "") or error)
    if not _FIRST.search(text):
        return "it has no certificate in PEM"
    if reason == "KEY_VALUES_MISMATCH":
        return "its private key is that of another certificate"
    if "PRIVATE KEY-----" not in text:
        return "it has no private key"
    if _ENCRYPTED.search(text):
        return "its private key has a passphrase, for which HAProxy has nobody to ask"
    return f"it cannot be used ({reason.lower().replace('_', ' ')})"


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [server.wrap_bio(there, back, server_side=True), client.wrap_bio(back, there)]
    for _flight in range(10):
        for side in reversed(sides):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            if side is sides[1]:
                return


def is_served(path: str, told: str) -> bool:
    """Whether HAProxy, which TOLD of the certificate at this path, has the one that is there now.

    Of a kind of key that it does not know, as Ed25519, it tells no fingerprint: there the serial number has to do.
    """
    served, serial = _FINGERPRINT.search(told), _SERIAL.search(told)
    first = _FIRST.search(read(path))
    if first is None:
        return False
    try:
        there = ssl.PEM_cert_to_DER_cert(first[0])
        if served is None:
            return serial is not None and _has_serial(there, bytes.fromhex(serial[1]))
    except ValueError:  # half of one
        return False
    return hashlib.sha1(there).hexdigest().upper() == served[1]


def ends(told: str) -> float | None:
    """When the certificate that HAProxy TOLD of ends, in seconds of the epoch; None where it does not say."""
    found = _ENDS.search(told)
    try:
        return float(ssl.cert_time_to_seconds(found[1].strip())) if found else None
    except ValueError:
        return None


def _has_serial(there: bytes, number: bytes) -> bool:
    padded = b"\0" + number if number[0] >= 0x80 else number
    return _VERSION_3 + bytes([len(padded)]) + padded in there[:64]
