# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove the verified release of an instance where it stands, changing nothing.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._docker.client import Docker
from .._engine.expect import expectation
from .._engine.http_client import Http
from .._engine.prove import prove
from .._engine.smoke_errors import NotProved
from .._outside.documents import Json
from .._rollout.failure import unexpected
from .._state.api_keys import ApiKeyMissing, ApiKeys
from .._state.store import Store
from .status import observe_one


class Proved(t.TypedDict):
    """Whether an instance serves: the `proof`, or `because` of what it does not; and which release it is."""

    instance: str
    proved: bool
    because: str
    proof: Json | None
    digest: str
    fallback_of: str
    fallback: str
    base_url: str


def prove_instance(store: Store, docker: Docker, http: Http) -> Proved:
    """Whether the instance serves: `proved`, the `proof` (see _engine.prove.Proof) or `because` it does not."""
    seen = observe_one(store, docker, http)
    answer: Proved = {
        "instance": store.instance,
        "proved": False,
        "because": "",
        "proof": None,
        "digest": "",
        "fallback_of": "",
        "fallback": "",
        "base_url": "",
    }
    current = seen["current"]
    if current is None or not seen["healthy"]:
        return {**answer, "because": seen["failed"] or seen["unhealthy_because"]}
    answer["digest"] = current["digest"]
    answer["fallback_of"], answer["fallback"] = current["fallback_of"], current["fallback"]
    answer["base_url"] = current["client"]["base_url"]
    expected = expectation(current["release"], current["settings"])
    try:
        proof = prove(ApiKeys(store.state_dir).http(http, current["release"]), expected)
    except ApiKeyMissing as error:
        return {**answer, "because": str(error)}
    except NotProved as error:
        return {**answer, "because": f"{error} ({error.failure_class})"}
    except Exception as error:  # noqa: BLE001 - none of ours, and the other instances are asked all the same
        return {**answer, "because": unexpected(error)}
    return {**answer, "proved": True, "proof": proof.as_dict()}
