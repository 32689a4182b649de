# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fingerprints of keys, as gpg tells them, and files that are no key."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare import openpgp
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._prepare.keys import (
    FINGERPRINT,
    KEY,
    OTHER_FINGERPRINT,
    OTHER_KEY,
)

BINARY = openpgp.expected_only(KEY.encode(), [FINGERPRINT])
BODY = BINARY[2 : 2 + 0x33]  # of the public key packet, without its two octets of header


@pytest.mark.parametrize(
    "data",
    [
        KEY.encode(),
        BINARY,
        KEY.replace("\n", "\r\n").encode(),
        f"Fetched from a mirror\n\n{KEY}".encode(),
        KEY.replace("BLOCK-----\n\nm", "BLOCK-----\nVersion: 2\nComment: a test\n\nm").encode(),
        KEY.replace("=h1h+\n", "").encode(),
        b"\xc6\x33" + BODY,  # a header of the newer form
        b"\xc6\xff\x00\x00\x00\x33" + BODY,
        b"\x99\x00\x33" + BODY,
    ],
    ids=["text", "binary", "crlf", "preface", "headers", "no checksum", "new", "new, long", "old, two octets"],
)
def test_the_fingerprint_is_that_of_gpg(data: bytes) -> None:
    assert list(openpgp.certificates(data)) == [FINGERPRINT]


def test_a_fingerprint_of_version_6_is_a_sha256() -> None:
    body = b"\x06" + BODY[1:]
    fingerprint = next(iter(openpgp.certificates(b"\xc6\x33" + body)))
    assert len(fingerprint) == 64


def test_text_and_binary_are_the_same_key() -> None:
    assert openpgp.armored(BINARY) == KEY


@pytest.mark.parametrize("both", [(KEY + OTHER_KEY).encode(), (OTHER_KEY + KEY).encode()])
def test_other_keys_in_the_file_are_left_out(both: bytes) -> None:
    assert list(openpgp.certificates(both)) != [FINGERPRINT]
    assert openpgp.expected_only(both, [FINGERPRINT]) == BINARY


def test_several_fingerprints_may_be_expected() -> None:
    kept = openpgp.expected_only((OTHER_KEY + KEY).encode(), [FINGERPRINT, OTHER_FINGERPRINT])
    assert list(openpgp.certificates(kept)) == [OTHER_FINGERPRINT, FINGERPRINT]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (OTHER_KEY.encode(), f"its fingerprint is {OTHER_FINGERPRINT}, expected {FINGERPRINT}"),
        (b"<html>Not found</html>", "it is no OpenPGP key: it begins with '<html>Not found</html>'"),
        (b"", "it is no OpenPGP key: it begins with ''"),
        (KEY.replace("h1h+", "AAAA").encode(), "it is damaged (its checksum is wrong)"),
        (KEY.replace("mDME", "mD!E").encode(), "it is damaged ("),
        (BINARY[:-1], "it is cut off"),
        (BINARY + b"\x00", "it is damaged (no packet where one should begin)"),
        (b"\x94" + BINARY[1:], "it holds a secret key, expected a public one"),
        (b"\x9b" + BINARY[1:], "it has a packet of no stated size"),
        (b"\xc6\xe0" + BODY, "it has a packet of no stated size"),
        (b"\xcb\x01a", "it holds something else than public keys (a packet of type 11)"),
        (b"\xc6\x33\x03" + BODY[1:], "its key is of version 3, expected 4 or 6"),
    ],
)
def test_what_is_no_such_key_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(openpgp.BadKey) as refused:
        openpgp.expected_only(data, [FINGERPRINT])
    assert str(refused.value).startswith(says)


@pytest.mark.parametrize(
    "written", ["D9B7 6421 FB1E 9CEB 9DEF  558A F122 C8F8 8BE5 C2C2", FINGERPRINT.lower(), f"0x{FINGERPRINT}"]
)
def test_a_fingerprint_may_be_written_as_people_do(written: str) -> None:
    assert openpgp.normalised(written) == FINGERPRINT


@pytest.mark.parametrize("short", ["8BE5C2C2", "F122C8F88BE5C2C2", "", "G" * 40])
def test_a_short_id_identifies_no_key(short: str) -> None:
    with pytest.raises(openpgp.BadKey, match="is no fingerprint, expected 40 hexadecimal digits"):
        openpgp.normalised(short)
