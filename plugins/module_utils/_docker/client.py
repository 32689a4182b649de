# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker Engine API over its unix socket: the few calls that a rollout needs.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import typing as t
from http.client import HTTPException, HTTPResponse
from urllib.parse import quote, urlencode

from .._outside import documents
from .._outside.documents import Json
from .._outside.limited import MIB, PIECE, LimitedConnection, Tail, lines, whole
from .._outside.printable import printable, printable_lines
from . import client_shapes

SOCKET = "/var/run/docker.sock"
NOT_UNDERSTOOD = 502  # as a proxy says of a server that it does not understand

# What a document may come to; the longest have all containers of a host, with their labels. A stream is not kept: of a
# log the newest lines are asked for, and of those the newest bytes are.
DOCUMENT = 4 * MIB
STREAM = 256 * MIB
LOG_LINES = 10_000
LOG_KEPT = 4 * MIB
LOG_WITHIN = 30.0
MESSAGE = 2000


class DockerError(Exception):
    """The daemon refused, with its own message; status 0 means that it did not answer at all."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(printable(message[: 2 * MESSAGE])[:MESSAGE])
        self.status = status


class Stream(t.Protocol):
    """What is read piece by piece."""

    def read(self, amount: int, /) -> bytes: ...


def demultiplexed(stream: Stream, kept: int = LOG_KEPT) -> str:
    """The newest text of a container's stdout and stderr: Docker frames what each writes with eight bytes."""
    tail = Tail(kept)
    while len(head := stream.read(8)) == 8:
        (left,) = struct.unpack(">I", head[4:])
        while left and (part := stream.read(min(left, PIECE))):
            tail.add(part)
            left -= len(part)
    return printable_lines(tail.text())


class Docker:
    """One daemon. Every call opens its own connection, so a restarted daemon is found again."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path

    def _dial(self, seconds: float) -> socket.socket:
        plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            plain.settimeout(seconds)
            plain.connect(self._path)
        except OSError:
            plain.close()
            raise
        return plain

    def _open(
        self, method: str, path: str, body: t.Any, connection: LimitedConnection, headers: dict[str, str] | None = None
    ) -> HTTPResponse:
        sent = None if body is None else json.dumps(body)
        try:
            connection.request(method, path, sent, {"Content-Type": "application/json", **(headers or {})})
            return connection.getresponse()
        except (OSError, HTTPException, ValueError) as error:
            connection.close()
            raise DockerError(0, f"the Docker daemon does not answer on {self._path}: {error}") from error

    def _call(self, method: str, path: str, body: t.Any = None, timeout: float = 60) -> str:
        """What is answered, the whole of it within `timeout` seconds."""
        connection = LimitedConnection(self._dial, timeout, DOCUMENT)
        answer = self._open(method, path, body, connection)
        try:
            text = whole(answer).decode("utf-8", "replace")
        except (OSError, HTTPException, ValueError) as error:
            raise DockerError(0, f"the Docker daemon broke off: {error}") from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise DockerError(answer.status, _message(text))
        return text

    def _document(self, method: str, path: str, body: t.Any = None, timeout: float = 60) -> t.Any:
        """An answer in the shape that its path has. Raises DockerError where it has another one."""
        asked = path.partition("?")[0]
        shape = client_shapes.of(asked)
        try:
            document = documents.parse(self._call(method, path, body, timeout))
            problem = documents.misfit(document, shape, "the answer")
        except ValueError as error:
            problem = str(error)
        if problem:
            told = f"the Docker daemon answers what is not understood to {method} {asked}: {problem}"
            raise DockerError(NOT_UNDERSTOOD, told)
        return document

    def get(self, path: str) -> t.Any:
        return self._document("GET", path)

    def first_line(self, path: str, timeout: float) -> str:
        """The first line of a stream that may never end; '' where none comes in time. Raises DockerError."""
        connection = LimitedConnection(self._dial, timeout, DOCUMENT)
        answer = self._open("GET", path, None, connection)
        try:
            return next(lines(answer), b"").decode("utf-8", "replace")
        except (OSError, HTTPException):
            return ""
        finally:
            connection.close()

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
        return str(self._document("POST", f"/containers/create?name={quote(name)}", body)["Id"])

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
        return int(self._document("POST", f"/containers/{container}/wait", timeout=timeout)["StatusCode"])

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
        """The newest of stdout and stderr since a time (seconds of the epoch, with fraction), each line led by its
        RFC 3339 time: at most 10,000 lines and 4 MiB, without control characters."""
        query = urlencode({"stdout": 1, "stderr": 1, "timestamps": 1, "since": since, "tail": LOG_LINES})
        connection = LimitedConnection(self._dial, LOG_WITHIN, STREAM)
        answer = self._open("GET", f"/containers/{container}/logs?{query}", None, connection)
        try:
            if answer.status >= 400:
                raise DockerError(answer.status, _message(answer.read(PIECE).decode("utf-8", "replace")))
            return demultiplexed(answer)
        except (OSError, HTTPException, ValueError) as error:
            raise DockerError(0, f"the Docker daemon broke off: {error}") from error
        finally:
            connection.close()

    def pull(
        self,
        reference: str,
        auth: str,
        on_progress: t.Callable[[Json], None],
        limit: float = 3600,
        silence: float = 600,
    ) -> None:
        """Pull an image in at most `limit` seconds; `silence` is the longest that the daemon may say nothing."""
        tagged = reference if "@" in reference or ":" in reference.rsplit("/", 1)[-1] else f"{reference}:latest"
        headers = {"X-Registry-Auth": auth} if auth else {}
        path = "/images/create?" + urlencode({"fromImage": tagged})
        connection = LimitedConnection(self._dial, limit, float("inf"), silence=silence)
        _follow(self._open("POST", path, None, connection, headers), connection, on_progress, "the pull")

    def load(
        self,
        tar: t.Iterable[bytes],
        size: int,
        on_progress: t.Callable[[Json], None],
        limit: float = 3600,
    ) -> None:
        """Load images from a tar of so many bytes, sent piece by piece."""
        headers = {"Content-Type": "application/x-tar", "Content-Length": str(size)}
        connection = LimitedConnection(self._dial, limit, STREAM)
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it says why it takes no more
                connection.request("POST", "/images/load?quiet=1", tar, headers)
            answer = connection.getresponse()
        except (OSError, HTTPException, ValueError) as error:
            raise DockerError(0, f"the Docker daemon broke off: {error}") from error
        else:
            _follow(answer, connection, on_progress, "the load")
        finally:
            connection.close()

    def tag(self, image: str, repository: str, tag: str) -> None:
        """Give an image one more name."""
        self._call("POST", f"/images/{quote(image, safe=':')}/tag?" + urlencode({"repo": repository, "tag": tag}))

    def all_containers(self) -> list[Json]:
        """All containers, running or not, as the list endpoint shows them."""
        listed: list[Json] = self.get("/containers/json?all=true")
        return listed

    def remove_image(self, name: str) -> None:
        """Take a name from an image, and the image with its last one. Never by force: what a container uses stays."""
        try:
            self._call("DELETE", f"/images/{quote(name, safe='/:@')}", timeout=300)
        except DockerError as error:
            if error.status != 404:
                raise


def _follow(
    answer: HTTPResponse, connection: LimitedConnection, on_progress: t.Callable[[Json], None], what: str
) -> None:
    """Read the events of a long call to their end. Raises DockerError where one of them is an error."""
    try:
        if answer.status >= 400:
            raise DockerError(answer.status, _message(answer.read(PIECE).decode("utf-8", "replace")))
        for line in lines(answer):
            event = documents.parse(line.decode("utf-8", "replace"))
            problem = documents.misfit(event, client_shapes.EVENT, "an event")
            if problem:
                raise ValueError(problem)
            if event.get("error"):
                raise DockerError(500, event["error"])
            on_progress(event)
    except (OSError, HTTPException, ValueError) as error:
        raise DockerError(0, f"{what} broke off: {error}") from error
    finally:
        connection.close()


def _message(text: str) -> str:
    try:
        return str(documents.parse(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip()
