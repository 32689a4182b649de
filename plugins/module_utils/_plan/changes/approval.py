# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody approves of a plan, in digests, and in what a later plan of the same host differs from it.

It goes from one run to the next, through AWX or a file. What a host makes anew or learns in between is no part of it:
fingerprints of API keys, the commit of a model that nobody knew, whether a model takes images, what the engine that
runs has loaded.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from ..._model.hub import COMMIT
from ..._outside.documents import Json
from ..._settings.canonical_json import digest
from .plan import Plan

VARIABLE = "vllm_server_approved"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
# What each part of an approval has to look like.
PARTS: t.Final = {
    "change": re.compile(r"[a-z]{1,16}"),
    "release": re.compile(r"[0-9a-f]{64}|"),
    "revision": re.compile(r"[0-9a-f]{40}|"),
    "settings": re.compile(r"[0-9a-f]{64}|"),
}
# What stops a server, and so cannot come in the place of what stops none.
STOPS = ("restart", "turn", "rest", "remove")
# What cannot come in the place of anything else: it leaves nothing to go back to.
REMOVES = "remove"
# Of the settings, what follows from what a host has loaded or stands on.
OF_THE_HOST = ("adapters", "unloaded", "profile", "stopover")
AGAIN = "Run plan.yml again, and have that plan approved."


class Approved(t.TypedDict):
    """One instance. `release` is '' for one that is not to serve; `revision` is '' where no commit was known."""

    change: str
    release: str
    revision: str
    settings: str


def approval(plans: t.Iterable[Plan]) -> dict[str, Approved]:
    """By instance, what is approved with these plans: names and digests, and nothing that a host has said."""
    return {plan["instance"]: _of(plan) for plan in plans if NAME.fullmatch(plan["instance"])}


def _of(plan: Plan) -> Approved:
    release = plan["release"] if plan["active"] else None
    if release is None:
        return {"change": plan["change"], "release": "", "revision": "", "settings": ""}
    model = t.cast(Json, release.get("model") or {})
    revision = str(model.get("revision") or "")
    commit = revision if COMMIT.fullmatch(revision) else ""
    # The command is made of the arguments, and says the revision once more. A commit that was found and one that is
    # stated look alike: `revision` tells of both.
    document = {key: value for key, value in release.items() if key not in ("api_key", "command", "model")}
    asked = str(model.get("asked") or ("" if commit else revision))
    document |= {
        "model": {"id": model.get("id"), "path": model.get("path"), "asked": asked},
        "keyed": "api_key" in release,
    }
    # What a smoke test comes to hangs on files that are downloaded in between: approved is what is stated.
    settings = {key: value for key, value in plan["settings"].items() if key not in OF_THE_HOST}
    settings["smoke"] = plan["demands"]
    return {
        "change": plan["change"],
        "release": digest(document),
        "revision": commit,
        "settings": digest({"settings": settings, "client": plan["client"]}),
    }


def read(given: t.Any, host: str, problems: list[str]) -> dict[str, Approved] | None:
    """What was approved of this host; None where nothing was approved at all, and so nothing is held against it.

    A host of which nothing could be approved has a blank.
    """
    if not given:
        return None
    if not isinstance(given, t.Mapping):
        problems.append(f"{VARIABLE} is no mapping: write what plan.yml has left, by host and instance.")
        return None
    if host not in given or given[host] in (None, ""):
        problems.append(
            f"{VARIABLE} has no {host}: it was not planned, could not be, or was planned with an image that "
            "nobody stated, when that was made."
        )
        return None
    mine = given[host]
    wrong = [str(name) for name, one in mine.items() if not _is_one(name, one)] if isinstance(mine, t.Mapping) else []
    if wrong or not isinstance(mine, t.Mapping):
        what = f"not what plan.yml leaves for {', '.join(sorted(wrong))[:200]}" if wrong else "no mapping"
        problems.append(f"{VARIABLE}.{host} is {what}: give it as plan.yml has left it.")
        return None
    return {str(name): t.cast(Approved, dict(one)) for name, one in mine.items()}


def _is_one(name: t.Any, one: t.Any) -> bool:
    return (
        isinstance(name, str)
        and bool(NAME.fullmatch(name))
        and isinstance(one, t.Mapping)
        and set(one) == set(PARTS)
        and all(isinstance(one[part], str) and form.fullmatch(one[part]) for part, form in PARTS.items())
    )


def of_host(given: t.Mapping[str, t.Any], host: str) -> Json:
    """Of what was approved, what concerns one host: all hosts have the variable, and each would keep all of it.

    Of others only names are left where it says nothing of this one, so that it still says so.
    """
    return {host: given[host]} if host in given else {name: {} for name in given}


def differences(approved: t.Mapping[str, Approved], plans: t.Iterable[Plan]) -> list[str]:
    """In what these plans are others than the approved ones, a sentence each; what was done since is no difference."""
    plans = list(plans)
    planned = approval(plans)
    # Only a host can have it: no inventory has such a name. What no approval holds is none that was approved.
    odd = [one for one in plans if not NAME.fullmatch(one["instance"])]
    found = [
        f"instance {one['instance'][:80]!r}: {one['change']} is planned, and no approval has such a name."
        for one in odd
    ]
    for name in sorted({*approved, *planned}):
        before, now = approved.get(name), planned.get(name)
        if before is None and now is not None:
            found.append(f"instance {name}: {now['change']} is planned now, and it was in no plan that was approved.")
        elif now is None and before is not None and before["release"]:
            found.append(f"instance {name}: {_release(before)} was approved, and it is not planned any more.")
        elif before is not None and now is not None:
            found += [f"instance {name}: {text}" for text in _differs(before, now)]
    return found


def refusal(host: str, problems: t.Sequence[str]) -> str:
    """The one message about a host that is planned otherwise than it was approved."""
    return "\n".join([f"{host} is not planned as it was approved. {AGAIN}", *(f"- {text}" for text in problems)])


def _differs(before: Approved, now: Approved) -> t.Iterator[str]:
    if before["release"] != now["release"]:
        yield f"{_release(before)} was approved, and {_release(now)} is planned now."
        return
    if before["revision"] and before["revision"] != now["revision"]:
        came = now["revision"][:12] or "none that is known"
        yield f"commit {before['revision'][:12]} of its model was approved, and {came} is planned now."
    if before["settings"] != now["settings"]:
        yield "its release is as approved, and its settings (timeouts, smoke test, watch, sampling) are others."
    if before["change"] not in STOPS and now["change"] in STOPS:
        yield f"{before['change']} was approved, which stops nothing, and {now['change']} is planned now."
    elif before["change"] != REMOVES and now["change"] == REMOVES:
        yield f"{before['change']} was approved, which removes nothing, and {now['change']} is planned now."


def _release(one: Approved) -> str:
    return f"release {one['release'][:12]}" if one["release"] else "that it does not serve"
