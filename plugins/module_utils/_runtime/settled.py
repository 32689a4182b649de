# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What daemon.json is to say on one host: what is stated, and our defaults where nobody says otherwise.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._docker.container_engine import EngineFact
from .._gpu.fact import Facts
from .._outside.documents import Json
from . import daemon_json, settings
from .observed import PATH, shown


@dataclass
class Settled:
    """`settings` are ours; `missing` is not as it shall be; `errors` stand in the way; `warnings` are to be known.

    `unseen`: there are settings among them that facts do not show, so that only the host can compare them.
    """

    settings: Json = field(default_factory=dict)
    unseen: bool = False
    missing: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def settle(facts: Facts, asked: Json, gpus: bool) -> Settled:
    """Compare what is asked for with what gpu_facts saw of daemon.json and of the daemon."""
    engine = facts["engine"]
    seen = engine["settings"]
    values, ours, take_over = seen.get("values", {}), seen.get("ours", {}), asked["take_over"] or []
    host = settings.Host(
        theirs=daemon_json.theirs(values, ours, take_over),
        kept=daemon_json.present(values, ours),
        nofile_most=seen.get("nofile_most"),
        swarm=bool(engine.get("swarm")),
    )
    made = Settled(errors=settings.mistakes(asked, gpus, host))
    if seen.get("problem"):
        made.errors.append(seen["problem"])
    if made.errors:
        return made
    wanted = settings.wanted(asked, gpus, host)
    made.warnings += filter(None, [_of_a_swarm(asked, host)])
    if not asked["stop_containers"]:
        wanted = _without_a_restart(wanted, values, ours, take_over, engine, made.warnings)
    made.settings = wanted.all
    made.unseen = shown(made.settings) != made.settings
    _compare(made, values, ours, take_over, bool(seen.get("pending")))
    return made


def _compare(made: Settled, values: Json, ours: Json, take_over: t.Collection[str], pending: bool) -> None:
    # What may be secret is not in the facts: docker_daemon compares it on the host.
    asked = shown(made.settings)
    merged = daemon_json.merge(values, ours, asked, take_over)
    if merged.conflicts:
        made.errors.append(daemon_json.told(merged.conflicts, PATH))
        return
    lacking = daemon_json.lacking(values, asked)
    given_up = daemon_json.lacking(merged.config, values)
    if lacking:
        made.missing.append(f"daemon.json is to say {', '.join(lacking)}.")
    elif pending:
        made.missing.append("A change of daemon.json was begun and not finished.")
    elif given_up:
        made.missing.append(f"daemon.json says {', '.join(given_up)}, which no variable asks for any more.")
    elif merged.ours != ours:
        made.missing.append("The record of which settings in daemon.json are ours is out of date.")


def _of_a_swarm(asked: Json, host: settings.Host) -> str:
    if host.swarm and host.theirs.get("live-restore") is True:
        return (
            f"{PATH} says live-restore and this host is a node of a swarm: Docker will not start at its next boot. "
            "Remove live-restore from the file, or leave the swarm (docker swarm leave)."
        )
    if host.swarm and not settings.states(asked, "live_restore"):
        return (
            "This host is a node of a swarm, where Docker does not start with live-restore: it is left off, so "
            "containers stop when Docker is restarted. To say so in the inventory, set container_runtime_live_restore "
            "to false."
        )
    return ""


def _without_a_restart(
    wanted: settings.Wanted,
    values: Json,
    ours: Json,
    take_over: t.Collection[str],
    engine: EngineFact,
    warnings: list[str],
) -> settings.Wanted:
    """Without the defaults for which Docker would have to stop containers: nobody asked for them."""
    running = engine.get("running_containers") or []
    merged = daemon_json.merge(values, ours, shown(wanted.all), take_over)
    survive = not engine.get("swarm") and (engine.get("live_restore") or merged.config.get("live-restore") is True)
    if survive or not running or merged.conflicts or not daemon_json.needs_restart(values, merged.config):
        return wanted
    asked_for = daemon_json.lacking({}, wanted.stated)
    left_out = [name for name in daemon_json.lacking(values, wanted.defaults) if name not in asked_for]
    if not left_out:
        return wanted
    warnings.append(
        f"{', '.join(left_out)} would be our default and is left alone: Docker would have to be restarted, which "
        f"stops {', '.join(running)}, because live-restore is off. To have it all the same, set "
        "container_runtime_stop_containers to true."
    )
    return settings.Wanted(wanted.stated, daemon_json.present(values, wanted.defaults))
