# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove the verified release of an instance where it stands, changing nothing.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .._docker.client import Docker, Json
from .._engine.expect import expectation
from .._engine.http_client import Http
from .._engine.prove import prove
from .._engine.smoke_errors import NotProved
from .._rollout.failure import unexpected
from .._state.api_keys import ApiKeyMissing, ApiKeys
from .._state.store import Store
from .status import observe_one


def prove_instance(store: Store, docker: Docker, http: Http) -> Json:
    """Whether the instance serves: `proved`, the `proof` (see _engine.prove.Proof) or `because` it does not."""
    seen = observe_one(store, docker, http)
    answer: Json = {
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
    told = {name: current[name] for name in ("digest", "fallback_of", "fallback")}
    answer.update(told, base_url=current["client"]["base_url"])
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
