# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the store asks of a hub, or of where else a model is: which files it has, and what a refusal of one means.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import http.client
import typing as t

from .._hub.base import resolve_base
from .._hub.client import Client
from .._hub.manifest import Manifest
from .._hub.refusals import HubError, refused
from .._hub.resolve import MAIN, resolve
from .._hub.selection import Wish
from .._outside.web import Answer
from .._settings.model_places import on_control_node
from .._state.store import STATE_DIR
from . import bundled, sent
from .brought import Brought, Local, brought, manifest_of
from .desk import FULL, Request
from .hashes import Hashes
from .layout import key
from .mover import Away, Resolve
from .opening import Opening
from .records import folder_of
from .transfer import Failed, Open

VARIABLE = "vllm_server_hub_token"
# Kinds of HubError that another time may not have.
OF_THE_MOMENT = ("unreachable.", "busy", "server", "portal")


def wish_of(request: Request) -> Wish:
    return Wish(code=request["code"], pickles=request["pickles"], gguf=request["gguf"])


def client(request: Request, token: str) -> Client:
    """As files come: a check run must not get through where the download would not."""
    source = request.get("source")
    if source:
        # The token is the hub's: nobody else is told it.
        return Client(endpoint=source, proxies=False)
    return Client(endpoint=request["endpoint"], token=token, variable=VARIABLE, proxies=False)


def resolver(request: Request, token: str, state_dir: str = STATE_DIR, keep: bool = True) -> Resolve:
    """Unless it may `keep` anything, nothing is written."""
    wish = wish_of(request)
    if on_control_node(request.get("source", "")):
        return lambda: sent.listed(request)
    if _is_path(request):
        return lambda: _brought(request, wish, state_dir, keep)
    if request.get("bundle"):
        return lambda: bundled.listed(request)
    asking = client(request, token)

    def asked() -> Manifest:
        try:
            if request.get("source"):
                return resolve_base(asking, request["model"], wish).manifest
            return resolve(asking, request["model"], request["revision"] or MAIN, wish).manifest
        except HubError as error:
            kind: t.Type[Exception] = Away if error.kind.startswith(OF_THE_MOMENT) else Failed  # noqa: UP006
            raise kind(str(error).rstrip(".")) from error

    return asked


def _is_path(request: Request) -> bool:
    return request.get("source", "").startswith("/")


def _brought(request: Request, wish: Wish, state_dir: str, keep: bool) -> Manifest:
    """The files of a folder or tar of the host, each with its hash. Raises Failed, OSError."""
    source, model = request["source"], request["model"]
    hashes = Hashes(folder_of(key(model, request["hub_dir"]), state_dir), source, request["verify"] == FULL)
    made = manifest_of(brought(source), source, model, wish, hashes)
    if keep:
        hashes.save()
    return made


def opening(request: Request, token: str) -> Open:
    if on_control_node(request.get("source", "")):
        return sent.opening(request)
    if _is_path(request):
        return _Local(request["source"])
    if request.get("bundle"):
        return bundled.Files(request["bundle"])
    asking = client(request, token)

    def refusal(status: int, headers: http.client.HTTPMessage, path: str) -> str:
        if request.get("source"):
            about = asking.about(model=request["model"], path=path.rpartition("/")[2], hub=False)
        else:
            revision, _slash, name = path.partition("/resolve/")[2].partition("/")
            about = asking.about(model=request["model"], revision=revision, path=name)
        return str(refused(Answer(status, headers, b""), about)).rstrip(".")

    return Opening(asking.endpoint, asking.token, refusal)


class _Local:
    """Files of a folder or tar, which is looked at when the first one is opened."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._found: Brought | None = None

    def __call__(self, path: str, begin: int) -> Local:
        """Raises Failed."""
        if self._found is None:
            self._found = brought(self._source)
        return self._found.open(path, begin)
