# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request over the network: TLS, proxies, names, and what each failure is called."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
import typing as t

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside import web
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.web import NotReached
from ansible_collections.gpufleet.vllm.tests.hub.faults import Fault
from ansible_collections.gpufleet.vllm.tests.hub.server import Hub

ROOM = 1024 * 1024


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def ask(url: str, seconds: float = 10, tls: ssl.SSLContext | None = None) -> web.Answer:
    return web.ask("GET", url, {}, seconds, ROOM, tls)


def failure(url: str, seconds: float = 10) -> NotReached:
    with pytest.raises(NotReached) as caught:
        ask(url, seconds)
    return caught.value


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Of 127.0.0.1, signed by itself."""
    folder = tmp_path_factory.mktemp("certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hub")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "crt"), str(folder / "key")


@pytest.fixture
def secure(certificate: tuple[str, str]) -> t.Iterator[Hub]:
    with Hub(certificate=certificate) as made:
        made.add("org/model", {"config.json": b"{}"})
        yield made


@pytest.fixture
def plain() -> t.Iterator[Hub]:
    with Hub() as made:
        made.add("org/model", {"config.json": b"{}"})
        yield made


class Proxy:
    """It answers CONNECT with `status` and then carries bytes; `heads` are what it was asked."""

    def __init__(self, status: int = 200, target: int = 0) -> None:
        self.status, self.target = status, target
        self.heads: list[str] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._carry, args=(self._listening.accept()[0],), daemon=True).start()

    def _carry(self, asking: socket.socket) -> None:
        with contextlib.suppress(OSError), asking:
            head = b""
            while b"\r\n\r\n" not in head:
                head += asking.recv(1)
            self.heads.append(head.decode())
            if not head.startswith(b"CONNECT"):
                asking.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nproxy")
                return
            asking.sendall(b"HTTP/1.1 %d X\r\n\r\n" % self.status)
            if self.status == 200:
                with socket.create_connection(("127.0.0.1", self.target)) as there:
                    one_way = threading.Thread(target=pump, args=(asking, there), daemon=True)
                    one_way.start()
                    pump(there, asking)
                    one_way.join()

    def close(self) -> None:
        self._listening.close()


def pump(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while raw := one.recv(65536):
            other.sendall(raw)
        other.shutdown(socket.SHUT_WR)


def test_tls_is_checked_and_limited(secure: Hub, certificate: tuple[str, str]) -> None:
    url = f"{secure.url}/api/models/org/model"
    assert failure(url).why == "certificate"
    trusted = ssl.create_default_context(cafile=certificate[0])
    assert ask(url, tls=trusted).status == 200
    secure.faults.add(Fault("endless"), Fault("slow", seconds=30))
    with pytest.raises(NotReached) as caught:
        ask(url, tls=trusted)
    assert caught.value.why == "size"
    began = time.monotonic()
    with pytest.raises(NotReached) as caught:
        ask(url, 0.5, trusted)
    assert caught.value.why == "time"
    assert time.monotonic() - began < 25


def test_a_certificate_of_another_host_is_none(secure: Hub, certificate: tuple[str, str]) -> None:
    trusted = ssl.create_default_context(cafile=certificate[0])
    with pytest.raises(NotReached) as caught:
        ask(f"https://localhost:{secure.ports[0]}/", tls=trusted)
    assert caught.value.why == "certificate"


def test_http_where_https_is_expected(plain: Hub) -> None:
    assert failure(plain.url.replace("http:", "https:")).why == "tls"


def test_what_is_away(plain: Hub) -> None:
    plain.kill()
    assert failure(plain.url).why == "connect"
    assert failure("http://no-such-name.invalid/").why == "name"
    assert failure(f"http://{'x' * 70}.invalid/").why == "name"


def test_a_resolver_that_nobody_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_named: waiting.wait(30))
    began = time.monotonic()
    assert failure("http://hub.example/", 0.3).why == "name"
    assert time.monotonic() - began < 25
    waiting.set()


def test_a_proxy_of_the_environment_is_asked(
    plain: Hub, secure: Hub, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(target=secure.ports[0])
    monkeypatch.setenv("http_proxy", f"http://me:pa%40ss@127.0.0.1:{proxy.port}")
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
    assert ask(f"{plain.url}/x?y=1").body == b"proxy"
    assert proxy.heads[0].startswith(f"GET {plain.url}/x?y=1 HTTP/1.1")
    assert "Proxy-Authorization: Basic bWU6cGFAc3M=" in proxy.heads[0]
    trusted = ssl.create_default_context(cafile=certificate[0])
    assert ask(f"{secure.url}/api/models/org/model", tls=trusted).status == 200
    assert proxy.heads[1].startswith(f"CONNECT 127.0.0.1:{secure.ports[0]} HTTP/1.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert ask(f"{plain.url}/api/models/org/model").status == 200
    assert len(proxy.heads) == 2
    proxy.close()


def test_what_is_wrong_with_a_proxy(secure: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy(status=407)
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
    error = failure(secure.url)
    assert error.why == "proxy"
    assert str(error) == f"refuses to connect to 127.0.0.1:{secure.ports[0]} (407)"
    proxy.close()
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    assert failure(secure.url).why == "proxy"
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1")
    assert failure(secure.url).why == "proxy"
