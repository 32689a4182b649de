#!/usr/bin/env python3
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small client of Docker, for a host without the command line client.

dk version | ps | inspect NAME | logs NAME | kill NAME | rm NAME | top NAME | wait NAME
dk layer IMAGE | tag IMAGE REPOSITORY:TAG | import REPOSITORY:TAG CHANGE... <tar
dk run NAME IMAGE [--gpu DEVICE] [--volume FROM:TO] [--entrypoint PROGRAM] [--network MODE] -- ARGUMENT...
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
import typing as t
import urllib.parse

SOCKET = "/run/docker.sock"
VERSION = "/v1.44"
CHUNK = 4 << 20
FINE = (200, 201, 204, 304)


class Connection(http.client.HTTPConnection):
    """HTTP over Docker's socket."""

    def __init__(self) -> None:
        super().__init__("localhost", timeout=900)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(SOCKET)


def call(method: str, path: str, body: t.Any = None, absent_is_fine: bool = False) -> bytes:
    """What Docker answers; ends the program where it refuses."""
    connection = Connection()
    if hasattr(body, "read"):
        kind, sent = "application/x-tar", iter(lambda: body.read(CHUNK), b"")
        headers = {"Content-Type": kind, "Transfer-Encoding": "chunked"}
        connection.request(method, VERSION + path, body=sent, headers=headers, encode_chunked=True)
    else:
        text = None if body is None else json.dumps(body)
        connection.request(method, VERSION + path, body=text, headers={"Content-Type": "application/json"})
    answer = connection.getresponse()
    said = answer.read()
    if answer.status not in FINE and not (absent_is_fine and answer.status == 404):
        sys.exit(f"dk: {method} {path}: {answer.status} {said.decode(errors='replace')[:600]}")
    return said


def asked(path: str) -> t.Any:
    return json.loads(call("GET", path))


def logs(name: str) -> str:
    """Each piece of a log comes with eight bytes before it, of which the last four are its length."""
    said, pieces = call("GET", f"/containers/{name}/logs?stdout=1&stderr=1&timestamps=1"), []
    while len(said) >= 8:
        end = 8 + int.from_bytes(said[4:8], "big")
        pieces.append(said[8:end])
        said = said[end:]
    return b"".join(pieces).decode(errors="replace")


def import_image(reference: str, changes: t.Sequence[str]) -> None:
    repository, _colon, tag = reference.rpartition(":")
    also = "".join(f"&changes={urllib.parse.quote(change)}" for change in changes)
    path = f"/images/create?fromSrc=-&repo={urllib.parse.quote(repository)}&tag={tag}{also}"
    for line in call("POST", path, sys.stdin.buffer).decode(errors="replace").splitlines():
        if "error" in json.loads(line):
            sys.exit(f"dk: {json.loads(line)['error']}")


def run(name: str, image: str, options: t.Sequence[str], arguments: t.Sequence[str]) -> None:
    given = dict(zip(options[::2], options[1::2], strict=True))
    devices = [f"nvidia.com/gpu={given['--gpu']}"] if "--gpu" in given else []
    host = {
        "Binds": [given["--volume"]] if "--volume" in given else [],
        "DeviceRequests": [{"Driver": "cdi", "DeviceIDs": devices}] if devices else [],
        "NetworkMode": given.get("--network", "default"),
        "ShmSize": 1 << 30,
    }
    entrypoint = {"Entrypoint": [given["--entrypoint"]]} if "--entrypoint" in given else {}
    call("DELETE", f"/containers/{name}?force=1", absent_is_fine=True)
    body = {"Image": image, "Cmd": list(arguments), "HostConfig": host, **entrypoint}
    made = json.loads(call("POST", f"/containers/create?name={name}", body))
    call("POST", f"/containers/{made['Id']}/start")


def shown(command: str, name: str) -> t.Any:
    """What a command that only looks has to show."""
    if command == "version":
        return asked("/version")
    if command == "inspect":
        return asked(f"/containers/{name}/json")
    if command == "top":
        return asked(f"/containers/{name}/top?ps_args=-eo%20pid,ppid,rss,etimes,args")
    return json.loads(call("POST", f"/containers/{name}/wait"))


def main(command: str = "", *arguments: str) -> None:
    name = arguments[0] if arguments else ""
    if command in ("version", "inspect", "top", "wait"):
        print(json.dumps(shown(command, name), indent=1))
    elif command == "ps":
        for one in asked("/containers/json?all=1"):
            print(one["Id"][:12], one["Names"][0][1:], one["Image"], one["State"], one["Status"])
    elif command == "logs":
        sys.stdout.write(logs(name))
    elif command == "kill":
        call("POST", f"/containers/{name}/kill?signal=KILL")
    elif command == "rm":
        call("DELETE", f"/containers/{name}?force=1", absent_is_fine=True)
    elif command == "layer":
        print(asked(f"/images/{name}/json")["GraphDriver"]["Data"]["UpperDir"])
    elif command == "tag":
        repository, _colon, tag = arguments[1].rpartition(":")
        source, target = urllib.parse.quote(name, safe="/:"), urllib.parse.quote(repository)
        call("POST", f"/images/{source}/tag?repo={target}&tag={tag}")
    elif command == "import":
        import_image(name, arguments[1:])
    elif command == "run":
        end = arguments.index("--")
        run(name, arguments[1], arguments[2:end], arguments[end + 1 :])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
