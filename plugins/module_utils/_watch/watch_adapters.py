# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adapters that are loaded while a server runs: a container that Docker started again has none of them.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .._engine import live_adapters
from .._engine.expect import base_url
from .._engine.smoke_errors import NotProved
from .._rollout.host import Host
from .._state.request import Planned, Request
from .._state.state import Entry
from .._vllm.live_adapters import folder_of


def amiss(host: Host, current: Entry) -> str:
    """What is loaded otherwise than the state says; '' also where the server does not say."""
    release = current.release
    if not folder_of(release["container"]["volumes"]):
        return ""
    http, url = host.keys.http(host.http, release), base_url(release["bind"], release["port"])
    try:
        return ", ".join(live_adapters.amiss(http, url, release, current.settings))
    except NotProved:
        return ""


def request(current: Entry) -> Request:
    """Have what is verified loaded again."""
    plan: Planned = {"digest": current.digest, "client": current.client, "settings": current.settings}
    return {"kind": "live", "plan": plan}
