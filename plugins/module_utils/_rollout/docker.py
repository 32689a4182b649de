# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker Engine API over its unix socket: the few calls that a rollout needs.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import base64
import json
import socket
import struct
import typing as t
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import quote, urlencode

SOCKET = "/var/run/docker.sock"
NO_JSON = 502  # as a proxy says of a server that it does not understand
Json = dict[str, t.Any]


class DockerError(Exception):
    """The daemon refused, with its own message; status 0 means that it did not answer at all."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def demultiplexed(raw: bytes) -> str:
    """The text of a container's stdout and stderr: Docker frames them with eight bytes each."""
    text, at = [], 0
    while at + 8 <= len(raw):
        (size,) = struct.unpack(">I", raw[at + 4 : at + 8])
        text.append(raw[at + 8 : at + 8 + size])
        at += 8 + size
    return b"".join(text).decode("utf-8", "replace")


def registry_of(reference: str) -> str:
    """The registry host of an image reference; Docker Hub where none is named."""
    first = reference.split("/", 1)[0]
    named = "/" in reference and ("." in first or ":" in first or first == "localhost")
    return first if named else "https://index.docker.io/v1/"


def registry_auth(reference: str, config: Json) -> str:
    """The X-Registry-Auth header for a pull, from the `auths` of a Docker client's config.json; '' without a login."""
    registry = registry_of(reference)
    login = config.get("auths", {}).get("https://index.docker.io/v1/" if registry == "docker.io" else registry, {})
    if not login.get("auth"):
        return ""
    username, _colon, password = base64.b64decode(login["auth"]).decode().partition(":")
    header = {"username": username, "password": password, "serveraddress": registry}
    return base64.urlsafe_b64encode(json.dumps(header).encode()).decode()


class Docker:
    """One daemon. Every call opens its own connection, so a restarted daemon is found again."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path

    def _open(
        self, method: str, path: str, body: t.Any, timeout: float, headers: dict[str, str] | None
    ) -> tuple[_UnixConnection, HTTPResponse]:
        connection = _UnixConnection(self._path, timeout)
        sent = None if body is None else json.dumps(body)
        try:
            connection.request(method, path, sent, {"Content-Type": "application/json", **(headers or {})})
            return connection, connection.getresponse()
        except (OSError, HTTPException) as error:
            connection.close()
            raise DockerError(0, f"the Docker daemon does not answer on {self._path}: {error}") from error

    def _call(self, method: str, path: str, body: t.Any = None, timeout: float = 60) -> bytes:
        connection, answer = self._open(method, path, body, timeout, None)
        try:
            raw = answer.read()
        except (OSError, HTTPException) as error:
            raise DockerError(0, f"the Docker daemon broke off: {error}") from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise DockerError(answer.status, _message(raw))
        return raw

    def get(self, path: str) -> t.Any:
        raw = self._call("GET", path)
        try:
            return json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise DockerError(NO_JSON, f"{self._path} answers {path} with something that is no JSON") from error

    def container(self, name: str) -> Json | None:
        """`docker inspect` of a container by id or name; None where there is none."""
        return self._found(f"/containers/{quote(name)}/json")

    def image(self, reference: str) -> Json | None:
        return self._found(f"/images/{quote(reference, safe='/:@')}/json")

    def _found(self, path: str) -> Json | None:
        try:
            found: Json = self.get(path)
        except DockerError as error:
            if error.status == 404:
                return None
            raise
        return found

    def containers_labelled(self, label: str) -> list[Json]:
        """All containers with this label (`key` or `key=value`), running or not, as the list endpoint shows them."""
        filters = json.dumps({"label": [label]})
        listed: list[Json] = self.get("/containers/json?" + urlencode({"all": "true", "filters": filters}))
        return listed

    def create(self, name: str, body: Json) -> str:
        created = json.loads(self._call("POST", f"/containers/create?name={quote(name)}", body))
        return str(created["Id"])

    def start(self, container: str) -> None:
        self._call("POST", f"/containers/{container}/start", timeout=120)

    def stop(self, container: str, grace: int) -> None:
        """SIGTERM, then SIGKILL after `grace` seconds. A stopped container is fine."""
        self._call("POST", f"/containers/{container}/stop?t={grace}", timeout=grace + 60)

    def restart(self, container: str, grace: int) -> None:
        """Stop it as `stop` does, and start it."""
        self._call("POST", f"/containers/{container}/restart?t={grace}", timeout=grace + 120)

    def wait(self, container: str, timeout: float) -> int:
        """Wait until it ends; its exit code."""
        return int(json.loads(self._call("POST", f"/containers/{container}/wait", timeout=timeout))["StatusCode"])

    def rename(self, container: str, name: str) -> None:
        self._call("POST", f"/containers/{container}/rename?name={quote(name)}")

    def set_restart_policy(self, container: str, policy: str) -> None:
        self._call("POST", f"/containers/{container}/update", {"RestartPolicy": {"Name": policy}})

    def remove(self, container: str) -> None:
        """Remove it with its anonymous volumes, running or not. One that is gone already is fine."""
        try:
            self._call("DELETE", f"/containers/{container}?force=true&v=true", timeout=120)
        except DockerError as error:
            if error.status != 404:
                raise

    def logs(self, container: str, since: str = "0") -> str:
        """stdout and stderr since a time (seconds of the epoch, with fraction), each line led by its RFC 3339 time."""
        query = urlencode({"stdout": 1, "stderr": 1, "timestamps": 1, "since": since})
        return demultiplexed(self._call("GET", f"/containers/{container}/logs?{query}"))

    def pull(self, reference: str, auth: str, on_progress: t.Callable[[Json], None], timeout: float = 600) -> None:
        """Pull an image; `timeout` is the longest silence of the daemon, in seconds."""
        tagged = reference if "@" in reference or ":" in reference.rsplit("/", 1)[-1] else f"{reference}:latest"
        headers = {"X-Registry-Auth": auth} if auth else None
        path = "/images/create?" + urlencode({"fromImage": tagged})
        connection, answer = self._open("POST", path, None, timeout, headers)
        try:
            if answer.status >= 400:
                raise DockerError(answer.status, _message(answer.read()))
            for line in answer:
                event = json.loads(line)
                if "error" in event:
                    raise DockerError(500, str(event["error"]))
                on_progress(event)
        except (OSError, HTTPException, ValueError) as error:
            raise DockerError(0, f"the pull broke off: {error}") from error
        finally:
            connection.close()


def _message(raw: bytes) -> str:
    try:
        return str(json.loads(raw)["message"])
    except (ValueError, KeyError, TypeError):
        return raw.decode("utf-8", "replace").strip()
