# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan changes against what the host shows, and why.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..._docker import hardening
from ..._docker.release import ApiKey, Release
from ..._outside.documents import Json
from ..._settings.canonical_json import canonical_json
from ..._settings.rollout import Settings
from ..._state import deadlines
from ..._state.observed import Kept, Observed, Rejected
from ..._state.request import Client
from ..._watch import watch_policy
from ..arguments.layers import VLLM_DEFAULT, Resolved
from . import live_adapters
from .plan import Kind

UNLISTED = "it is not listed any more"
# What the host goes by where nothing is stated.
DEFAULTS: t.Mapping[str, Json] = {"watch": watch_policy.DEFAULTS, "timeouts": deadlines.TIMEOUTS}
# Kinds that stop what serves and start it again.
STARTS_AGAIN: tuple[Kind, ...] = ("restart", "repair")


@dataclasses.dataclass(frozen=True)
class Change:
    kind: Kind
    reasons: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Desired:
    """What an instance should be. `image_id` is the id behind the image's name on this host, where it is there.

    `older` is the same release as the running one's schema of container settings has it, where that is an older one.
    `settings` are what the host acts on later: limits, the smoke test, the watch. They are no part of the release.
    """

    release: Release
    digest: str
    client: Client
    arguments: t.Sequence[Resolved]
    image_id: str | None
    settings: Settings
    older: Release | None = None


def stands_in(current: Kept, digest: str, retry: bool) -> bool:
    """Whether what serves is a step that was taken in the place of the planned release, which is not tried again."""
    return bool(digest) and current.get("fallback_of") == digest and not retry


def goes_on(current: Kept | None, digest: str, retry: bool) -> bool:
    """Whether what serves is of the planned release, or in its place."""
    return current is not None and (current["digest"] == digest or stands_in(current, digest, retry))


def decide(desired: Desired, observed: Observed | None, retry: bool = False, said: bool = False) -> Change:
    """The kind of change of an active instance. SAID: the inventory calls it the active member of its group."""
    current = (observed or {}).get("current")
    if observed is None or current is None:
        return Change("create", (_nothing_verified(observed or {}, desired.digest),))
    if not goes_on(current, desired.digest, retry):
        return Change("restart", tuple(differences(current["release"], desired)))
    if desired.image_id and current.get("image_id") and current["image_id"] != desired.image_id:
        return Change(
            "restart", (f"image: {desired.release['image']} is now {desired.image_id}, {current['image_id']} runs",)
        )
    if observed.get("resting"):
        return Change("turn", (f"it rests, verified at {current.get('verified_at')}, and it is its turn",))
    if not observed.get("healthy"):
        return Change("repair", (observed.get("unhealthy_because") or "it does not answer",))
    changed = client_differences(current.get("client") or {}, desired.client)
    changed += settings_differences(current.get("settings") or {}, desired.settings)
    changed += [f"{path} is missing or was changed by hand" for path in observed.get("client_files_differ") or []]
    changed += observed.get("adapters_differ") or []
    turn = observed.get("turn")
    if turn and said and turn["said"] != observed["name"]:
        changed.append("the inventory says by now that it is active")
    return Change("live", tuple(changed)) if changed else Change("none")


def _nothing_verified(observed: Observed, digest: str) -> str:
    previous = observed.get("previous")
    if previous is None:
        return "no verified release is on the host"
    if previous["digest"] == digest:
        return "no verified release serves; the planned one is kept and was verified before"
    back = f"playbooks/rollback.yml -e vllm_server_target_instance={observed['name']}"
    return f"no verified release serves; {previous['digest'][:12]} is kept, and {back} puts it back"


def decide_inactive(observed: Observed | None, member: bool = False) -> Change:
    """An instance with `active: false` is planned and does not run. A MEMBER of a group rests, any other is removed."""
    seen: Observed = observed or {}
    serves = bool(seen.get("current")) and not seen.get("resting")
    if member:
        return Change("rest", ("active is false",)) if serves else Change("none")
    if (seen.get("container") or {}).get("running") or seen.get("current"):
        return Change("remove", ("active is false",))
    return Change("none")


def downtime_seconds(kind: Kind, observed: Observed | None) -> float | None:
    """For how long nothing of the instance serves: its own last start on this host, from start to ready.

    0 where nothing that serves stops; None where no start is known, and for `rest` and `remove`, after which nothing
    of it serves. A `turn` takes what the last one took, the stop of the other member included.
    """
    turn = (observed or {}).get("turn")
    if kind == "turn" and turn:
        return float(turn["seconds"])
    if kind in (*STARTS_AGAIN, "turn"):
        found = ((observed or {}).get("current") or {}).get("start_seconds")
        return float(found) if found else None
    return None if kind in ("rest", "remove") else 0.0


def refusals(
    name: str,
    digest: str,
    observed: Observed | None,
    retry: bool,
    image_id: str | None = None,
    written: t.Container[str] = (),
) -> list[str]:
    """Why this instance may not be touched now. `image_id` as in Desired; without it any image may be meant.

    `written` are other digests of the same release: as older container settings have it.
    """
    if observed is None:
        return []
    found = []
    where = f"instance {name}"
    problem, running = observed.get("problem"), observed.get("transaction")
    if problem:
        found.append(
            f"{where}: its state on the host is not known: {_sentence(problem)} Put its state.json back, "
            "or remove its containers by hand, then run this again."
        )
    if running:
        at = f" at stage {running['stage']}" if running.get("stage") else ""
        found.append(
            f"{where}: a rollout is running ({running['unit']}{at}): wait until it has ended, then run this again."
        )
    current: Kept = observed.get("current") or {}
    same = current.get("digest") == digest or stands_in(current, digest, retry)
    runs = same and _same_image(current, image_id)
    if digest and not runs and not retry:
        found += [
            _rejected_text(where, entry)
            for entry in observed.get("rejected", [])
            if (entry["digest"] == digest or entry["digest"] in written) and _same_image(entry, image_id)
        ]
    return found


def _same_image(entry: Kept | Rejected, image_id: str | None) -> bool:
    """As far as anybody knows: an entry without an image is about any."""
    return not image_id or not entry.get("image_id") or entry["image_id"] == image_id


def cautions(name: str, digest: str, observed: Observed | None, retry: bool) -> list[str]:
    """What to heed about an instance that may be touched."""
    seen: Observed = observed or {}
    failed, gone, rebuilt = seen.get("failed"), seen.get("previous_gone"), seen.get("rebuilt")
    found = []
    if seen.get("cut_off"):
        serves = "serves meanwhile" if seen.get("healthy") else "does not serve until then"
        found.append(f"A rollout of instance {name} was cut off, and is rolled back first: it {serves}.")
    if failed:
        how = "could neither go on nor go back" if seen.get("current") else "was stopped where it failed"
        found.append(f"The last rollout {how}: {_sentence(failed)}")
    if gone:
        short = (seen.get("previous") or {}).get("digest", "")[:12]
        found.append(f"instance {name}: the release before it, {short}, is not whole: {_sentence(gone)}")
    if rebuilt:
        found.append(_sentence(rebuilt))
    current: Kept = seen.get("current") or {}
    if stands_in(current, digest, retry):
        found.append(_standing_in_text(name, digest, current, seen.get("rejected", [])))
    return found


def _standing_in_text(name: str, digest: str, current: Kept, rejected: t.Sequence[Rejected]) -> str:
    known = next((entry for entry in reversed(rejected) if entry["digest"] == digest), None)
    why = f", which failed ({known['failure_class']}): {known['cause'].rstrip('.')}" if known else ", which failed"
    return (
        f"instance {name}: release {current['digest'][:12]} ({current.get('fallback')}) serves in the place of the "
        f"planned one, {digest[:12]}{why}. That is not tried again by itself: change the plan, or set "
        "vllm_server_retry=true."
    )


def _rejected_text(where: str, entry: Rejected) -> str:
    advice = _sentence(entry.get("advice") or "").replace("Change the plan.", "").strip(" .")
    advice = f" {_sentence(advice)}" if advice else ""
    return (
        f"{where}: exactly this release was tried at {entry['at']} and failed ({entry['failure_class']}): "
        f"{_sentence(entry['cause'])}{advice} Change the plan, or try it again with vllm_server_retry=true."
    )


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else text + "."


def differences(running: Release, desired: Desired) -> list[str]:
    """`max_num_seqs: 4 -> 8 (instance)`, one for each thing that differs."""
    wanted = desired.older or desired.release
    found = argument_differences(running.get("arguments", {}), wanted["arguments"], desired.arguments)
    for key in ("image", "version", "bind", "port"):
        found += _pair(key, running.get(key), wanted[key])
    found += _api_key(running.get("api_key"), wanted.get("api_key"))
    found += _pair("model", _model(running), _model(wanted))
    found += _pair("served_model_name", running.get("served_model_names"), wanted["served_model_names"])
    found += _pair("gpus", _gpus(running), _gpus(wanted))
    found += _mapping("env", running.get("env", {}), wanted["env"])
    found += _mapping("files", running.get("files", {}), wanted.get("files", {}))
    found += _mapping("container", running.get("container", {}), wanted["container"])
    if desired.older:
        found += _pair("container settings", *map(schema_text, (running, desired.release)))
    if not found:
        found.append("the same arguments are written differently on the command line")
    return found


def schema_text(release: Release) -> str:
    return f"schema {hardening.schema_of(release)}"


def argument_differences(running: Json, wanted: Json, arguments: t.Sequence[Resolved]) -> list[str]:
    origins = {argument.name: argument.origin for argument in arguments}
    found = []
    for name in sorted({*running, *wanted}):
        before, after = running.get(name), wanted.get(name)
        if name in running and name in wanted and before == after:
            continue
        old = shown(before) if name in running else VLLM_DEFAULT
        new = shown(after) if name in wanted else VLLM_DEFAULT
        origin = origins.get(name, "no layer sets it any more")
        found.append(f"{name}: {old} -> {new}" + (f" ({origin})" if origin != VLLM_DEFAULT else " (unset)"))
    return found


def client_differences(running: Client, wanted: Client) -> list[str]:
    """The length is left out: the host puts the verified one in."""
    found = _mapping("sampling", running.get("sampling", {}), wanted["sampling"])
    for key in ("base_url", "served_model_names"):
        found += _pair(key, running.get(key), wanted[key])
    return found


def settings_differences(running: Settings, wanted: Settings) -> list[str]:
    """What the host would act on later as it was stated before, `watch.failure_threshold: 3 -> 2`.

    A default that is stated is no difference. The `profile` of a promotion is nothing that the host acts on: it
    remembers where it stands, and `unloaded` what a name has stood for.
    """
    found = []
    for name in sorted({*running, *wanted} - {"profile", "adapters", "unloaded"}):
        before, after = t.cast(Json, running).get(name), t.cast(Json, wanted).get(name)
        if isinstance(before or {}, dict) and isinstance(after or {}, dict):
            default = DEFAULTS.get(name, {})
            found += _mapping(name, {**default, **(before or {})}, {**default, **(after or {})})
        else:
            found += _pair(name, before, after)
    return found + live_adapters.differences(running, wanted)


def _pair(what: str, before: t.Any, after: t.Any) -> list[str]:
    return [] if before == after else [f"{what}: {shown(before)} -> {shown(after)}"]


def _mapping(what: str, before: t.Mapping[str, t.Any], after: t.Mapping[str, t.Any]) -> list[str]:
    names = sorted({*before, *after})
    return [line for name in names for line in _pair(f"{what}.{name}", before.get(name), after.get(name))]


def _api_key(before: ApiKey | None, after: ApiKey | None) -> list[str]:
    """What became of it; neither it nor its fingerprint tells a reader anything."""
    if before == after:
        return []
    return [f"api_key: {'stated' if before is None else 'removed' if after is None else 'changed'}"]


def _model(release: Release) -> str:
    model = release.get("model", {})
    asked = f" ({model['asked']})" if model.get("asked") else ""
    return f"{model.get('id')}" + (f" at {model['revision']}{asked}" if model.get("revision") else "")


def _gpus(release: Release) -> t.Any:
    gpus = release.get("gpus", {})
    return f"{gpus.get('mode')} {', '.join(gpus.get('uuids', []))}".strip()


def shown(value: t.Any) -> str:
    """A value as people write it."""
    if value is None:
        return "unset"
    return value if isinstance(value, str) else canonical_json(value)
