# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a registry says of an image before it is pulled: the bytes of its layers, and when it gives out images again.

Docker's API tells neither. Whatever cannot be asked (a proxy that Docker alone knows, a certificate, a registry that is
away) is not known, and the pull says why.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import base64
import http.client
import platform
import re
import time
import typing as t
from urllib.parse import urlencode, urljoin, urlsplit

from .._outside import documents
from .._outside.documents import Json
from .._outside.limited import MIB, PIECE
from .archive_image import MANIFEST, MANIFESTS, PROCESSORS
from .reference import HUB, Reference
from .registry_login import Login

HUB_HOST = "registry-1.docker.io"
SECONDS = 10.0
LONGEST = 4 * MIB
KINDS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    )
)
CHALLENGE = re.compile(r'(\w+)="([^"]{0,512})"')
WINDOW = re.compile(r"(\d{1,9});w=(\d{1,9})")
REDIRECTS = (301, 302, 303, 307, 308)


class NotTold(Exception):
    """The registry does not say; `headers` are those of a refusal, by small letters."""

    def __init__(self, why: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(why)
        self.headers = headers or {}


class Layers(t.NamedTuple):
    """Packed bytes of each layer, by what it is once it is unpacked."""

    sizes: dict[str, int]

    def missing(self, there: t.Collection[str]) -> int:
        return sum(size for diff_id, size in self.sizes.items() if diff_id not in there)


class _Answer(t.NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def _ask(url: str, method: str = "GET", body: str | None = None, headers: dict[str, str] | None = None) -> _Answer:
    """One request, redirects not followed, the whole answer within the time. Raises NotTold."""
    where = urlsplit(url)
    kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
    connection = kind(where.netloc, timeout=SECONDS)
    end = time.monotonic() + SECONDS
    try:
        connection.request(method, f"{where.path}{f'?{where.query}' if where.query else ''}", body, headers or {})
        answer = connection.getresponse()
        pieces: list[bytes] = []
        while piece := answer.read1(PIECE):
            pieces.append(piece)
            if time.monotonic() > end or sum(map(len, pieces)) > LONGEST:
                raise NotTold("it answers too slowly, or too much")
        told = {name.lower(): value for name, value in answer.getheaders()}
        return _Answer(answer.status, told, b"".join(pieces))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotTold(str(error)) from error
    finally:
        connection.close()


class Registry:
    """One repository of a registry, with the login that there is. PLAIN is HTTP, where Docker may use it too."""

    def __init__(self, name: Reference, login: Login | None, plain: bool) -> None:
        host = HUB_HOST if name.registry == HUB else name.registry
        self._base = f"{'http' if plain else 'https'}://{host}/v2/{name.path}/"
        self._name, self._login, self._plain = name, login, plain
        self._authorization = ""

    @property
    def base(self) -> str:
        """What addresses of it begin with."""
        return self._base

    @property
    def authorization(self) -> str:
        """What it was told last of who asks; '' before it asked for that. It is for this registry alone."""
        return self._authorization

    def renew(self, challenge: str) -> None:
        """Have a new token: they hold for some minutes. Raises NotTold."""
        self._authorization = self._authorized(challenge)

    def document(self, version: str) -> bytes:
        """The bytes of a manifest or an index, by tag or digest. Raises NotTold."""
        return self._get(f"manifests/{version}", KINDS).body

    def blob_address(self, digest: str) -> str:
        return f"{self._base}blobs/{digest}"

    def layers(self) -> Layers:
        """Raises NotTold."""
        manifest = self._manifest(self._name.digest or self._name.tag or "latest")
        if "manifests" in manifest:
            if documents.misfit(manifest, MANIFESTS, "it"):
                raise NotTold("its index is not understood")
            here = (PROCESSORS.get(platform.machine(), platform.machine()), "linux")
            fit = [one["digest"] for one in manifest["manifests"] if _platform(one) == here]
            if not fit:
                raise NotTold(f"it has no image for linux/{here[0]}")
            manifest = self._manifest(fit[0])
        if documents.misfit(manifest, MANIFEST, "it"):
            raise NotTold("its manifest is not understood")
        config = _json(self._get(f"blobs/{manifest['config']['digest']}", "*/*"))
        rootfs = config.get("rootfs")
        diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
        if not isinstance(diff_ids, list) or len(diff_ids) != len(manifest["layers"]):
            raise NotTold("its configuration is not understood")
        return Layers({str(one): int(layer.get("size") or 0) for one, layer in zip(diff_ids, manifest["layers"])})

    def wait(self) -> str:
        """When it gives out images again, as it says so itself; '' where it says nothing."""
        try:
            headers = self._get(f"manifests/{self._name.digest or self._name.tag or 'latest'}", KINDS).headers
        except NotTold as problem:
            headers = problem.headers
        after, limit = headers.get("retry-after", "").strip(), WINDOW.match(headers.get("ratelimit-limit", ""))
        if after.isascii() and after.isdecimal() and len(after) < 9:
            return f"it asks to be left alone for {after} s"
        if after:
            return f"it asks to be left alone until {after[:40]}"
        return f"it gives out {limit[1]} in {int(limit[2]) / 3600:g} hours" if limit else ""

    def _manifest(self, version: str) -> Json:
        return _json(self._get(f"manifests/{version}", KINDS))

    def _get(self, path: str, accept: str) -> _Answer:
        """Raises NotTold."""
        answer = self._asked(self._base + path, accept)
        if answer.status == 401 and not self._authorization:
            self._authorization = self._authorized(answer.headers.get("www-authenticate", ""))
            answer = self._asked(self._base + path, accept)
        if answer.status in REDIRECTS:
            # Blobs may be elsewhere, with an address that is signed: nobody else is told who we are.
            target = urljoin(self._base + path, answer.headers.get("location", ""))
            if urlsplit(target).scheme != "https" and not self._plain:
                raise NotTold("it leads away from TLS")
            answer = _ask(target, headers={"Accept": accept})
        if answer.status != 200:
            raise NotTold(f"it answers {answer.status}", answer.headers)
        return answer

    def _asked(self, url: str, accept: str) -> _Answer:
        headers = {"Accept": accept}
        if self._authorization:
            headers["Authorization"] = self._authorization
        return _ask(url, headers=headers)

    def _authorized(self, challenge: str) -> str:
        """What it asks for, as its own answer says: the login itself, or a token that another server gives for it."""
        basic = ""
        if self._login is not None and self._login.username:
            user = f"{self._login.username}:{self._login.password}".encode()
            basic = f"Basic {base64.b64encode(user).decode()}"
        scheme, _blank, rest = challenge.partition(" ")
        told = dict(CHALLENGE.findall(rest))
        if scheme.lower() == "basic" and basic:
            return basic
        realm = told.get("realm", "")
        if scheme.lower() != "bearer" or urlsplit(realm).scheme not in (
            ("http", "https") if self._plain else ("https",)
        ):
            raise NotTold("it asks for a login of another kind")
        asked = {"service": told.get("service", ""), "scope": f"repository:{self._name.path}:pull"}
        if self._login is not None and self._login.identitytoken:
            form = {"grant_type": "refresh_token", "refresh_token": self._login.identitytoken, "client_id": "gpufleet"}
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = _ask(realm, "POST", urlencode({**asked, **form}), kind)
        else:
            answer = _ask(f"{realm}?{urlencode(asked)}", headers={"Authorization": basic} if basic else {})
        if answer.status != 200:
            raise NotTold(f"no token is given ({answer.status})", answer.headers)
        document = _json(answer)
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str) or not token.isprintable():
            raise NotTold("no token is given")
        return f"Bearer {token}"


def _platform(manifest: Json) -> tuple[str, str]:
    told = manifest.get("platform") or {}
    return str(told.get("architecture")), str(told.get("os"))


def _json(answer: _Answer) -> Json:
    try:
        document = documents.parse(answer.body.decode())
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise NotTold("it answers no JSON object")
    return document


def is_plain(registry: str, info: Json) -> bool:
    """Whether Docker speaks HTTP with it, as daemon.json or the loopback have it."""
    config = info.get("RegistryConfig")
    known = config.get("IndexConfigs") if isinstance(config, dict) else None
    one = known.get(registry) if isinstance(known, dict) else None
    host = registry.rpartition(":")[0] or registry
    return host == "localhost" or host.startswith("127.") or (isinstance(one, dict) and one.get("Secure") is False)
