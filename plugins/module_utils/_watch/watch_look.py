# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at an engine: it is asked for one token, and meanwhile whether it works on anything.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .._engine import liveness
from .._engine.expect import base_url
from .._engine.http_client import Http, NoAnswer
from .._engine.pooled import pools
from .._outside.documents import Json
from .._rollout.host import Host
from .._rollout.trial import epoch
from .._state.state import Entry
from .watch_policy import Limits, Look


def look(host: Host, current: Entry, container: Json | None, limits: Limits) -> Look:
    """Ask for one token, and see meanwhile whether the engine works on anything."""
    state = container["State"] if container is not None else {"Status": "", "StartedAt": ""}
    if container is None or state["Status"] != "running":
        return Look(str(state["Status"]))
    url = base_url(current.release["bind"], current.release["port"])
    http = host.keys.http(host.http, current.release)
    before = liveness.work(http, url)
    status, said = _token(http, url, current, limits)
    age = int(epoch(host.clock.utc())) - int(epoch(state["StartedAt"]))
    if status == 200:
        return Look("running", age, 200, 200, True)
    healthy, after = liveness.health(http, url), liveness.work(http, url)
    moved = liveness.moved(before, after)
    return Look("running", age, status, healthy, moved, said, before.unread or after.unread)


def _token(http: Http, url: str, current: Entry, limits: Limits) -> tuple[int, str]:
    """The status of the answer to one question, 0 for none, and the words of an answer without a token."""
    try:
        release = current.release
        name, pooling = release["served_model_names"][0], pools(release["arguments"])
        transcribes = (current.settings.get("smoke") or {}).get("transcription") is True
        reply = liveness.one_answer(http, url, name, limits.deadline, pooling, transcribes)
    except NoAnswer as error:
        return 0, str(error)
    return reply.status, "" if reply.status == 200 else reply.error
