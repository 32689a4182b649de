# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hub of tests and its CDN answer."""

from __future__ import annotations

import dataclasses
import hmac
import json
import re
import time
import typing as t
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, quote, unquote, urlsplit

from ansible_collections.gpufleet.vllm.tests.hub import access, body
from ansible_collections.gpufleet.vllm.tests.hub import faults as hub_faults
from ansible_collections.gpufleet.vllm.tests.hub.access import Refusal
from ansible_collections.gpufleet.vllm.tests.hub.content import File, Model
from ansible_collections.gpufleet.vllm.tests.hub.wire import signature

if t.TYPE_CHECKING:
    from ansible_collections.gpufleet.vllm.tests.hub.server import Hub, Server

_NAME = r"(?P<model>[^/]+(?:/[^/]+)?)"
_API = re.compile(rf"/api/models/{_NAME}(?:/(?P<what>revision|tree)/(?P<revision>[^/]+))?")
_RESOLVE = re.compile(rf"/{_NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
# To where the hub redirects for small files: the same host.
_CACHE = re.compile(rf"/api/resolve-cache/models/{_NAME}/(?P<revision>[0-9a-f]{{40}})/(?P<path>.+)")
_CDN = re.compile(rf"/{_NAME}/(?P<sha256>[0-9a-f]{{64}})")
CONTROL = "/-/"
JSON = "application/json; charset=utf-8"
LARGEST_QUESTION = 1024 * 1024


class Handler(BaseHTTPRequestHandler):
    """A request, and what is written down of it."""

    protocol_version = "HTTP/1.1"
    server: Server
    name = ""

    def do_GET(self) -> None:
        self._asked("GET")

    def do_HEAD(self) -> None:
        self._asked("HEAD")

    def do_POST(self) -> None:
        self._asked("POST")

    def do_DELETE(self) -> None:
        self._asked("DELETE")

    def log_message(self, format: str, *args: t.Any) -> None:  # noqa: A002 - its name in the standard library
        """Who wants to know what was asked reads the log of the hub."""

    @property
    def hub(self) -> Hub:
        return self.server.hub

    @property
    def token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ").strip()

    def told(self) -> tuple[str, str]:
        """The server that is asked, and the path by which faults and the log know what is asked for."""
        raise NotImplementedError

    def answer(self, part: str, path: str) -> None:
        raise NotImplementedError

    def _asked(self, method: str) -> None:
        part, path = self.told()
        self.asked = self.hub.asked(
            server=part,
            method=method,
            path=path,
            address=self.path,
            range=self.headers.get("Range", ""),
            token=bool(self.token),
        )
        self.fault = self.hub.faults.take(part, method, path)
        if self.fault is not None:
            self.asked.fault = self.fault.kind
            if body.instead(self, self.fault):
                return
        self.answer(part, path)

    def say(self, status: int, headers: t.Mapping[str, str], raw: bytes = b"") -> None:
        """A short answer."""
        self.asked.status = status
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        body.send(self, len(raw), lambda start, end: raw[start:end])

    def refuse(self, refused: Refusal) -> None:
        headers = {"Content-Type": JSON, "X-Error-Message": refused.message}
        headers |= {"X-Error-Code": refused.code} if refused.code else {}
        headers |= {"WWW-Authenticate": 'Bearer realm="Authentication required"'} if refused.status == 401 else {}
        self.say(refused.status, headers, json.dumps({"error": refused.message}).encode())


class HubHandler(Handler):
    """The API, and the addresses of files."""

    def told(self) -> tuple[str, str]:
        where = urlsplit(self.path).path
        found = _CACHE.fullmatch(where) or _RESOLVE.fullmatch(where)
        if found:
            return "hub", unquote(found["path"])
        if where.startswith("/api/"):
            return "api", where.removeprefix("/api/")
        return "control" if where.startswith(CONTROL) else "hub", where

    def answer(self, part: str, path: str) -> None:
        where = urlsplit(self.path).path
        if where.startswith(CONTROL):
            self._control(where.removeprefix(CONTROL))
        elif cached := _CACHE.fullmatch(where):
            self._file(cached["model"], cached["revision"], path, in_cache=True)
        elif asked := _RESOLVE.fullmatch(where):
            self._file(asked["model"], unquote(asked["revision"]), path, in_cache=False)
        elif api := _API.fullmatch(where):
            self._api(api["model"], api["what"] or "revision", unquote(api["revision"] or "main"))
        else:
            self.refuse(Refusal(404, "", "Sorry, we can't find the page you are looking for."))

    def _found(self, name: str, revision: str, files: bool) -> tuple[Model, str] | None:
        """The model and the commit; None where it was refused, which is said then."""
        model = self.hub.models.get(name)
        refused = access.refusal(model, self.token, self.hub.tokens, files)
        if refused or model is None:
            self.refuse(refused or access.UNKNOWN)
            return None
        commit = model.resolve(revision)
        if commit is None:
            self.refuse(access.no_revision(revision))
            return None
        return model, commit

    def _api(self, name: str, what: str, revision: str) -> None:
        found = self._found(name, revision, files=False)
        if found is None:
            return
        model, commit = found
        asked = parse_qs(urlsplit(self.path).query)
        if what == "tree":
            self._tree(model, commit, asked)
            return
        blobs = asked.get("blobs", [""])[0].lower() in ("true", "1")
        document = {
            "_id": "0" * 24,
            "id": model.name,
            "modelId": model.name,
            "author": model.name.rpartition("/")[0],
            "sha": commit,
            "lastModified": "2026-01-01T00:00:00.000Z",
            "private": model.private,
            "gated": model.gated,
            "disabled": model.disabled,
            "tags": [],
            "downloads": 0,
            "siblings": [_sibling(file, blobs) for file in model.commits[commit].values()],
        }
        self.say(200, {"Content-Type": JSON, "X-Request-Id": "Root=1-0"}, json.dumps(document).encode())

    def _tree(self, model: Model, commit: str, asked: dict[str, list[str]]) -> None:
        """Every file, a page at a time: the cursor is a number here."""
        files = list(model.commits[commit].values())
        start = int(asked.get("cursor", ["0"])[0])
        page = files[start : start + self.hub.page]
        headers = {"Content-Type": JSON}
        if start + self.hub.page < len(files):
            host = self.headers.get("Host", "")
            where = f"{self.hub.scheme}://{host}{urlsplit(self.path).path}"
            headers["Link"] = f'<{where}?recursive=true&cursor={start + self.hub.page}>; rel="next"'
        self.say(200, headers, json.dumps([_entry(file) for file in page]).encode())

    def _file(self, name: str, revision: str, path: str, in_cache: bool) -> None:
        found = self._found(name, revision, files=True)
        if found is None:
            return
        model, commit = found
        file = model.commits[commit].get(path)
        if file is None:
            self.refuse(access.NO_ENTRY)
            return
        about = {
            "X-Repo-Commit": commit,
            "Accept-Ranges": "bytes",
            "X-Linked-Size": str(file.size),
            "X-Linked-Etag": f'"{file.etag}"',
            "ETag": f'"{file.etag}"',
        }
        if file.lfs:
            host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or self.hub.host
            self.say(302, about | {"Location": self.hub.signed(host, model.name, file)}, b"Found. Redirecting")
        elif not in_cache:
            where = f"/api/resolve-cache/models/{model.name}/{commit}/{quote(path)}?etag=%22{file.etag}%22"
            self.say(307, about | {"Location": where}, b"Temporary Redirect. Redirecting")
        else:
            body.send_file(self, file, about | {"Content-Type": "text/plain; charset=utf-8"})

    def _control(self, what: str) -> None:
        """Faults are set and the log is read by whoever started this as a program."""
        method = self.asked.method
        with_log = [dataclasses.asdict(asked) for asked in self.hub.log if asked.server != "control"]
        if what == "log" and method == "GET":
            self.say(200, {"Content-Type": JSON}, json.dumps(with_log).encode())
        elif what == "log" and method == "DELETE":
            self.hub.log.clear()
            self.say(204, {})
        elif what == "faults" and method == "DELETE":
            self.hub.faults.clear()
            self.say(204, {})
        elif what == "faults" and method == "POST":
            size = min(int(self.headers.get("Content-Length", "0")), LARGEST_QUESTION)
            try:
                self.hub.faults.add(*hub_faults.read(json.loads(self.rfile.read(size))))
            except (ValueError, TypeError) as error:
                self.say(400, {"Content-Type": "text/plain"}, f"{error}\n".encode())
            else:
                self.say(204, {})
        else:
            self.say(404, {}, b"/-/faults takes POST and DELETE, /-/log GET and DELETE\n")


class CdnHandler(Handler):
    """Files in LFS, for who has an address that the hub has signed."""

    def told(self) -> tuple[str, str]:
        file = self._file()
        return "cdn", file.path if file else urlsplit(self.path).path

    def answer(self, part: str, path: str) -> None:
        where = urlsplit(self.path)
        query = parse_qs(where.query)
        expires = query.get("Expires", ["0"])[0]
        file = self._file()
        if self.headers.get("Authorization"):
            self._refuse(400, "InvalidArgument", "Only one auth mechanism allowed")
        elif not hmac.compare_digest(query.get("Signature", [""])[0], signature(unquote(where.path), expires)):
            self._refuse(403, "SignatureDoesNotMatch", "The request signature does not match")
        elif float(expires) < time.time():
            self._refuse(403, "AccessDenied", "Request has expired")
        elif file is None:
            self._refuse(404, "NoSuchKey", "The specified key does not exist.")
        else:
            about = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", "ETag": f'"{file.sha256}"'}
            body.send_file(self, file, about)

    def _file(self) -> File | None:
        found = _CDN.fullmatch(unquote(urlsplit(self.path).path))
        return self.hub.of_digest(found["model"], found["sha256"]) if found else None

    def _refuse(self, status: int, code: str, message: str) -> None:
        raw = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'.encode()
        self.say(status, {"Content-Type": "application/xml"}, raw)


def _sibling(file: File, blobs: bool) -> dict[str, t.Any]:
    if not blobs:
        return {"rfilename": file.path}
    lfs = {"sha256": file.sha256, "size": file.size, "pointerSize": len(file.pointer)}
    return {"rfilename": file.path, "size": file.size, "blobId": file.blob_id} | ({"lfs": lfs} if file.lfs else {})


def _entry(file: File) -> dict[str, t.Any]:
    lfs = {"oid": file.sha256, "size": file.size, "pointerSize": len(file.pointer)}
    found = {"type": "file", "oid": file.blob_id, "size": file.size, "path": file.path}
    return found | ({"lfs": lfs} if file.lfs else {})
