# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door's runtime: HAProxy's commands over its socket. What is changed by them cuts no request and reloads nothing.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import socket
import time
import typing as t

from .._outside.printable import printable

SOCKET = "/run/gpufleet-gateway/admin.sock"
WITHIN = 5.0
ANSWER = 4 * 1024 * 1024
# What a command may be made of: a line is one command, and a semicolon begins the next.
WORD = re.compile(r"[A-Za-z0-9_.:/@+\[\]-]+")
# Bits of srv_admin_state that somebody asked for: maintenance and drain.
MAINT, DRAIN = 1, 8


class DoorError(Exception):
    """HAProxy is not there, or refused a command with its own words."""


class Kept(t.NamedTuple):
    """One server as HAProxy has it."""

    backend: str
    server: str
    address: str
    port: int
    up: bool
    admin: int

    @property
    def state(self) -> str:
        """What was asked of it: ready, drain or maint."""
        return "maint" if self.admin & MAINT else "drain" if self.admin & DRAIN else "ready"


class Runtime:
    """Commands to a running HAProxy. Every call raises DoorError."""

    def __init__(self, path: str = SOCKET) -> None:
        self.path = path

    def ask(self, *words: str) -> str:
        """The answer to one command."""
        for word in words:
            if not WORD.fullmatch(word):
                raise DoorError(f"the word {word[:80]!r} is none of a command")
        deadline = time.monotonic() + WITHIN
        raw = b""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
                line.settimeout(WITHIN)
                line.connect(self.path)
                line.sendall(" ".join(words).encode() + b"\n")
                while part := line.recv(65536):
                    raw += part
                    if len(raw) > ANSWER or time.monotonic() > deadline:
                        raise DoorError("its answer has no end")
        except OSError as error:
            raise DoorError(f"{self.path}: {error.strerror or error}") from error
        return raw.decode("utf-8", "replace").strip()

    def do(self, *words: str) -> None:
        """A command that answers nothing, or one of the words that say it was done."""
        said = self.ask(*words)
        if said and not said.startswith(
            ("changing ", "no need to change", "IP changed", "port changed", "nothing changed")
        ):
            raise DoorError(f"{' '.join(words[:3])}: {printable(said[:300])}")

    def servers(self) -> list[Kept]:
        """Every server with an address of its own."""
        lines = self.ask("show", "servers", "state").splitlines()
        names = next((line[2:].split() for line in lines if line.startswith("# ")), [])
        rows = [dict(zip(names, line.split())) for line in lines if line[:1].isdecimal() and " " in line]
        try:
            return [
                Kept(
                    row["be_name"],
                    row["srv_name"],
                    row["srv_addr"],
                    int(row["srv_port"]),
                    row["srv_op_state"] != "0",
                    int(row["srv_admin_state"]),
                )
                for row in rows
            ]
        except (KeyError, ValueError) as error:
            raise DoorError(f"what it says of its servers is not understood ({error!r})") from error

    def set_state(self, backend: str, server: str, state: str) -> None:
        """ready, drain or maint. A server that is drained ends what it has, and gets nothing new."""
        self.do("set", "server", f"{backend}/{server}", "state", state)

    def believe(self, backend: str, server: str) -> None:
        """It has proved itself: the next check is not waited for."""
        self.do("set", "server", f"{backend}/{server}", "health", "up")

    def set_address(self, backend: str, server: str, address: str, port: int) -> None:
        self.do("set", "server", f"{backend}/{server}", "addr", address, "port", str(port))

    def entries(self, path: str) -> dict[str, str]:
        """What a map holds. Each line begins with where its entry is in memory; whatever else is said is a refusal."""
        said = self.ask("show", "map", path)
        rows = [line.split(maxsplit=2) for line in said.splitlines() if line]
        if not all(row[0].startswith("0x") for row in rows):
            raise DoorError(f"show map {path}: {printable(said[:300])}")
        return {row[1]: row[2] for row in rows if len(row) == 3}

    def bring(self, path: str, wanted: t.Mapping[str, str]) -> bool:
        """Make a map what it shall be, new entries first, so that no key is refused in between; whether it was not."""
        found = self.entries(path)
        for key in wanted:
            if key not in found:
                self.do("add", "map", path, key, wanted[key])
            elif found[key] != wanted[key]:
                self.do("set", "map", path, key, wanted[key])
        for key in found:
            if key not in wanted:
                self.do("del", "map", path, key)
        return found != dict(wanted)
