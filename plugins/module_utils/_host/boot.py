# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After the start of a host: what a power cut left unfinished is rolled back or repaired.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .._docker.client import DockerError
from .._rollout.failure import unexpected
from .._rollout.host import Host
from .._rollout.rebuild import load
from .._rollout.recover import repair_cut_off, rest_cut_off
from .._state import units
from .._state.request import Planned
from .._state.state import StateProblem
from .._state.store import Store, instances
from . import request as requests
from .process import complain, run


def recover_all(state_dir: str, run_dir: str, host: Host) -> int:
    """At boot: one unit for each instance that a rollout or a repair left unfinished, under the instance's lock."""
    code = 0
    for name in instances(state_dir):
        store = Store(name, state_dir, run_dir)
        _open(host, name)
        try:
            state, problem = load(store, host.docker)
            cut_off = repair_cut_off(host, state)
            rests = not rest_cut_off(host, state)
        except (StateProblem, DockerError) as error:
            complain(f"{name}: {error}")
            code = 1
            continue
        except Exception as error:  # noqa: BLE001 - none of ours, and the other instances come up all the same
            complain(f"{name}: {unexpected(error)}")
            code = 1
            continue
        if problem or state.candidate is not None or not rests:
            try:
                requests.recover(run, store)
            except units.UnitProblem as error:
                complain(error)
                code = 1
        elif cut_off is not None:
            try:
                said: Planned = {"client": cut_off.client, "settings": cut_off.settings}
                requests.start(run, store, {"kind": "repair", "plan": said})
            except units.UnitProblem as error:
                complain(error)
                code = 1
    return code


def _open(host: Host, instance: str) -> None:
    """A firewall that is saved and loaded again has what a rollout closed. One that is under way opens it itself."""
    amiss = "" if units.running(instance) else host.entrance.open(instance)
    if amiss:
        complain(f"{instance}: connections are still refused: {amiss}")
