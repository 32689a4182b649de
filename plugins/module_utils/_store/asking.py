# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the store asks of a hub: which files a revision has, and what a refusal of one means.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import http.client
import typing as t

from .._hub.client import Client
from .._hub.manifest import Manifest
from .._hub.refusals import HubError, refused
from .._hub.resolve import MAIN, resolve
from .._hub.selection import Wish
from .._outside.web import Answer
from .desk import Request
from .mover import Away, Resolve
from .opening import Opening
from .transfer import Failed

VARIABLE = "vllm_server_hub_token"
# Kinds of HubError that another time may not have.
OF_THE_MOMENT = ("unreachable.", "busy", "server", "portal")


def client(request: Request, token: str) -> Client:
    """As files come: a check run must not get through where the download would not."""
    return Client(endpoint=request["endpoint"], token=token, variable=VARIABLE, proxies=False)


def resolver(request: Request, token: str) -> Resolve:
    asking = client(request, token)
    wish = Wish(code=request["code"], pickles=request["pickles"], gguf=request["gguf"])

    def asked() -> Manifest:
        try:
            return resolve(asking, request["model"], request["revision"] or MAIN, wish).manifest
        except HubError as error:
            kind: t.Type[Exception] = Away if error.kind.startswith(OF_THE_MOMENT) else Failed  # noqa: UP006
            raise kind(str(error).rstrip(".")) from error

    return asked


def opening(request: Request, token: str) -> Opening:
    asking = client(request, token)

    def refusal(status: int, headers: http.client.HTTPMessage, path: str) -> str:
        revision, _slash, name = path.partition("/resolve/")[2].partition("/")
        about = asking.about(model=request["model"], revision=revision, path=name)
        return str(refused(Answer(status, headers, b""), about)).rstrip(".")

    return Opening(request["endpoint"], token, refusal)
