# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan as text: what a terminal shows, and what `--diff` compares.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._docker.release import Release
from .._findings import checks
from .._outside.documents import Json
from .._settings.rollout import Settings
from .._state.observed import Observed
from .._state.request import Client, Step
from . import memory_text
from .changes import change
from .changes.change import shown
from .changes.plan import Argument, Plan

MEANING = {
    "none": "nothing changes",
    "live": "clients or the host are told, or adapters loaded; the server keeps running",
    "restart": "the server is replaced, the old one is kept to go back to",
    "create": "a server is started where none is verified",
    "repair": "the verified server is put right again",
    "turn": "the verified server that rests is started in the place of another member of its group",
    "rest": "the server is stopped and kept verified",
    "remove": "the server is stopped and removed",
}
SHORT_DIGEST = 12


def block(plan: Plan, refused: bool = False) -> str:
    """One instance in a few lines: change, downtime, reasons, memory, arguments with origin, what to heed.

    REFUSED: its host has errors, so nothing of this will happen.
    """
    what = f"{plan['change']} ({MEANING[plan['change']]}){_prefixed(', ', downtime(plan))}"
    lines = [f"{plan['instance']}: {f'refused, it would be: {what}' if refused else what}"]
    lines += [f"    because {reason}" for reason in plan["reasons"]]
    lines += [f"    {checks.overruled_text(one)}" for one in plan.get("overruled", [])]
    if plan["release"]:
        lines += _facts(plan["release"])
        lines += [f"    file {file_text(one)}" for one in plan.get("files", [])]
        lines += [f"    {line}" for line in memory_text.lines(plan.get("memory"), copies(plan))]
        lines += ["    arguments:"] if plan["arguments"] else []
        lines += ["        " + line for line in table(plan["arguments"])]
    lines += [f"    if it fails: {_step(step)}" for step in plan.get("fallbacks", [])]
    lines += [f"    note: {note}" for note in plan.get("notes", [])]
    lines += [f"    note: {text}" for text in notes(plan)]
    return "\n".join(lines)


def _step(step: Step) -> str:
    return f"{step['changes']} (for {', '.join(step['helps'])}; release {step['digest'][:SHORT_DIGEST]})"


def notes(plan: Plan) -> list[str]:
    """What to heed, without the instance's name and without what the memory's own lines say."""
    told = [reason["text"] for reason in (plan.get("memory") or {}).get("reasons", [])]
    place = f"instance {plan['instance']}: "
    return [text.replace(place, "", 1) for text in plan["warnings"] if not any(reason in text for reason in told)]


def copies(plan: Plan) -> int:
    """Data parallel ranks, each with a KV cache of its own."""
    asked = (plan["release"] or {}).get("arguments", {}).get("data_parallel_size")
    return asked if isinstance(asked, int) and asked > 0 else 1


def downtime(plan: Plan) -> str:
    """For how long nothing of the instance serves, as its own last start on this host lets expect."""
    if plan["change"] not in change.STARTS_AGAIN:
        return ""
    seconds = plan["downtime_seconds"]
    return f"about {round(seconds)} s of downtime (last start)" if seconds else "downtime not known yet"


def _prefixed(prefix: str, text: str) -> str:
    return prefix + text if text else ""


def _facts(release: Release) -> list[str]:
    gpus = release["gpus"]
    return [
        f"    image {release['image']} (vLLM {release['version']})",
        f"    model {_model(release)} as {', '.join(release['served_model_names'])}",
        f"    address {release['bind']}:{release['port']}, GPUs {', '.join(gpus['uuids']) or 'none'}",
    ]


def file_text(one: Json) -> str:
    """`chat_template: /srv/chat.jinja, sha256 0123456789ab`."""
    size = f"{one['bytes']} bytes" + (" in a folder" if one["folder"] else "")
    later = ", loaded while it runs" if one.get("live") else ""
    return f"{one['argument']}: {one['path']} ({size}, sha256 {one['sha256'][:SHORT_DIGEST]}{later})"


def _model(release: Release) -> str:
    model = release["model"]
    return f"{model['id']} at {model['revision']}" if model.get("revision") else str(model["id"])


def table(arguments: t.Sequence[Argument]) -> list[str]:
    """Names, values and origins in columns."""
    rows = [(argument["name"], _value(argument), argument["origin"]) for argument in arguments]
    if not rows:
        return []
    name_width, value_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    return [f"{name:<{name_width}}  {value:<{value_width}}  {origin}" for name, value, origin in rows]


def _value(argument: Argument) -> str:
    value = shown(argument["value"])
    return f"{value} (was {shown(argument['from_value'])})" if "from_value" in argument else value


def difference(plan: Plan, observed: Observed | None) -> dict[str, str]:
    """One entry for Ansible's diff."""
    current = (observed or {}).get("current")
    name = plan["instance"]
    origins = {argument["name"]: argument["origin"] for argument in plan["arguments"]}
    before = ""
    if current:
        before = state_text(
            current["release"],
            current.get("client"),
            current.get("settings"),
            _unchanged(plan, current["release"], origins),
        )
    wanted = None if plan["change"] == "remove" else plan["release"]
    after = state_text(wanted, plan["client"], plan["settings"], origins) if wanted else ""
    if plan["change"] == "repair":
        before = f"# {'; '.join(plan['reasons'])}\n"
    return {
        "before_header": f"{name} ({_header(current['digest']) if current else 'not on the host'})",
        "after_header": f"{name} ({_header(plan['digest'] or '') if wanted else 'removed'}, {plan['change']})",
        "before": before,
        "after": after,
    }


def _unchanged(plan: Plan, running: Release, origins: t.Mapping[str, str]) -> dict[str, str]:
    """Origins of arguments that stay: a comment on one side only would show them as changed."""
    wanted = plan["release"]["arguments"] if plan["release"] else {}
    same = {name for name, value in running["arguments"].items() if name in wanted and wanted[name] == value}
    return {name: origin for name, origin in origins.items() if name in same}


def _header(digest: str) -> str:
    return f"release {digest[:SHORT_DIGEST]}"


def state_text(release: Release, client: Client | None, settings: Settings | None, origins: t.Mapping[str, str]) -> str:
    """A release, what clients and what the host are told. Origins stand in a comment; what runs keeps only values."""
    gpus = release["gpus"]
    lines = [
        f"image: {release['image']}",
        f"version: {release['version']}",
        f"model: {_model(release)}",
        f"served_model_name: {shown(release['served_model_names'])}",
        f"address: {release['bind']}:{release['port']}",
        f"gpus: {shown(gpus['uuids'])}" + (f"  # {gpus['mode']}" if gpus["uuids"] else ""),
        "engine_args:",
    ]
    for name, value in sorted(release["arguments"].items()):
        lines.append(f"  {name}: {shown(value)}" + _comment(origins.get(name)))
    lines += _section("env", release["env"])
    container = release["container"]
    lines += ["container:", f"  ipc: {container['ipc']}", f"  shm_size_mib: {container['shm_size_mib']}"]
    stated = t.cast(Json, container)
    lines += [f"  {name}: {stated[name]}" for name in ("memory_limit_mib", "schema", "user") if name in stated]
    lines += [f"  volume: {volume}" for volume in container["volumes"]]
    lines += _section("files", release.get("files") or {})
    lines += _section("sampling", (client or {}).get("sampling") or {})
    for name, value in sorted((settings or {}).items()):
        lines += _section(name, value) if isinstance(value, dict) else [f"{name}: {shown(value)}"]
    return "\n".join(lines) + "\n"


def _section(name: str, values: Json) -> list[str]:
    return [f"{name}:", *(f"  {key}: {shown(value)}" for key, value in sorted(values.items()))] if values else []


def _comment(origin: str | None) -> str:
    return f"  # {origin}" if origin else ""


def failure(host: str, errors: t.Sequence[str]) -> str:
    """Every error of a host in one message."""
    if len(errors) == 1:
        return f"{host} cannot be planned: {errors[0]}"
    return "\n".join(
        [f"{host} cannot be planned, {len(errors)} things are wrong:", *(f"- {error}" for error in errors)]
    )
