# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate that would not serve is refused before anything of the door changes."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._door import certificate
from ansible_collections.gpufleet.vllm.plugins.module_utils._door.applying import NotChanged
from ansible_collections.gpufleet.vllm.plugins.module_utils._door.certificate import Unusable
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._door.pairs import made, needs_openssl
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._door.test_applying import TEXT, Host

pytestmark = needs_openssl


def test_what_a_client_could_not_be_served_with_is_refused(tmp_path: pathlib.Path) -> None:
    (good, key), (other, _key), (old, old_key) = (
        made(tmp_path, name, days) for name, days in (("good", 10), ("other", 10), ("old", -1))
    )
    file = tmp_path / "door.pem"
    for content, words in (
        (old + old_key, "certificate has expired"),
        (other + key, "its private key is that of another certificate"),
        (good, "it has no private key"),
        (key, "it has no certificate in PEM"),
        ("", "it has no certificate in PEM"),
        (good.replace("M", "N") + key, "it cannot be used"),
    ):
        file.write_text(content)
        with pytest.raises(Unusable, match=words):
            certificate.must_serve(str(file))
    with pytest.raises(Unusable, match="it cannot be read"):
        certificate.must_serve(str(tmp_path / "none.pem"))
    for content in (good + key, key + good, good + other + key):
        file.write_text(content)
        certificate.must_serve(str(file))
    file.write_text(good)
    (tmp_path / "door.pem.key").write_text(key)
    certificate.must_serve(str(file))


@pytest.mark.parametrize("beside", [False, True])
def test_what_is_no_file_is_not_waited_for(tmp_path: pathlib.Path, beside: bool) -> None:
    """A pipe that nobody writes to is never opened: neither the certificate nor the key beside it."""
    file, key = tmp_path / "door.pem", tmp_path / "door.pem.key"
    if beside:
        file.write_text(made(tmp_path, "good")[0])
    os.mkfifo(key if beside else file)
    with _within(10), pytest.raises(Unusable, match="it is no file"):
        certificate.must_serve(str(file))


def test_what_is_larger_than_any_certificate_is_not_read(tmp_path: pathlib.Path) -> None:
    good, key = made(tmp_path, "good")
    file = tmp_path / "door.pem"
    file.write_text(good + key + "#" * certificate.LARGEST)
    with pytest.raises(Unusable, match="it has more than 1 MiB"):
        certificate.must_serve(str(file))
    with pytest.raises(Unusable, match="it is no file"):
        certificate.must_serve("/dev/zero")


@contextlib.contextmanager
def _within(seconds: int) -> t.Iterator[None]:
    """What hangs fails, and not the whole run of tests with it."""

    def over(_number: int, _frame: object) -> t.NoReturn:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("form", [["ec"], ["pkcs8", "-topk8"]])
def test_a_key_with_a_passphrase_is_refused_in_words(tmp_path: pathlib.Path, form: list[str]) -> None:
    good, key = made(tmp_path, "good")
    (tmp_path / "plain").write_text(key)
    command = ["openssl", *form, "-in", str(tmp_path / "plain"), "-passout", "pass:secret"]
    command += ["-aes256"] if form == ["ec"] else []
    locked = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    file = tmp_path / "door.pem"
    for content, beside in ((good + locked, ""), (good, locked)):
        file.write_text(content)
        (tmp_path / "door.pem.key").write_text(beside)
        with pytest.raises(Unusable, match="its private key has a passphrase"):
            certificate.must_serve(str(file))


@pytest.mark.parametrize("inner", ["half of one", "", "MII", "\u00e9"])
def test_half_a_certificate_is_not_what_is_served(tmp_path: pathlib.Path, inner: str) -> None:
    file = tmp_path / "door.pem"
    file.write_text(f"-----BEGIN CERTIFICATE-----\n{inner}\n-----END CERTIFICATE-----\n", encoding="utf-8")
    assert not certificate.is_served(str(file), f"SHA1 FingerPrint: {'0' * 40}")
    with pytest.raises(Unusable, match="it has no private key"):
        certificate.must_serve(str(file))


@pytest.mark.parametrize("serial", ["01", "7F00FF", "80AA", "54C603335A1E9A29D8CC7F57A12197918A5888DF"])
def test_a_key_that_haproxy_does_not_know_is_told_by_its_serial_number(tmp_path: pathlib.Path, serial: str) -> None:
    """HAProxy 2.6 serves Ed25519, and what it tells of it ends before the fingerprint."""
    file = tmp_path / "door.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=door", "-keyout", "/dev/null"]
    subprocess.run([*command, "-set_serial", f"0x{serial}", "-out", str(file)], capture_output=True, check=True)
    told = "Filename: door.pem\nStatus: Used\nSerial: {}\nnotAfter: Dec\nAlgorithm: OCSP Response Key: "
    assert certificate.is_served(str(file), told.format(serial))
    for other in ("02", "00FF", "AA", "0", f"{serial}01", "01" * 300):
        assert not certificate.is_served(str(file), told.format(other))
    assert not certificate.is_served(
        str(file), "Can't display the certificate: Not found or the certificate is a bundle!"
    )


def test_the_door_is_left_as_it_is_where_its_certificate_has_expired_and_reloaded_where_it_is_renewed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (old, old_key), (good, key) = made(tmp_path, "old", -1), made(tmp_path, "good")
    file = tmp_path / "door.pem"
    text = TEXT.replace("bind 127.0.0.1:8080", f"bind 127.0.0.1:8080 ssl crt {file} alpn h2,http/1.1")
    host = Host(tmp_path / "root", text)
    monkeypatch.setattr(host.runtime, "ask", lambda *_words: f"SHA1 FingerPrint: {'0' * 40}")
    file.write_text(old + old_key)
    for check in (True, False):
        with pytest.raises(NotChanged, match=f"vllm_gateway_certificate is {file}, and certificate has expired: put"):
            host.apply(text, "B web\n", check=check)
    assert set(host.commands) == {"haproxy -v", "systemctl is-active --quiet gpufleet-gateway.service"}
    file.write_text(good + key)
    assert host.apply(text) == "reload"
    monkeypatch.setattr(certificate, "is_served", lambda *_asked: True)
    assert host.apply(text) == "none"
    file.write_text(old + old_key)
    assert host.apply(text, "B web\n") == "live", "keys change also where what is served has expired"
