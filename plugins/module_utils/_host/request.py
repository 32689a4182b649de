# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A request to a transaction: written down beside the state, then carried out by the instance's unit.

A recovery is the same unit without a request.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .._settings.names import INSTANCE_NAME
from .._settings.rollout import Settings
from .._state import units
from .._state.deadlines import last_deadline
from .._state.request import Request
from .._state.state import StateProblem
from .._state.store import Store


def start(run: units.Run, store: Store, request: Request) -> int:
    """Start the unit; where in the stage log its lines begin.

    Raises UnitProblem, also where the instance's lock is taken; the request is gone then.
    """
    if units.running(store.instance):
        unit, stage = units.unit_name(store.instance), store.last_stage()
        raise units.UnitProblem(f"another rollout is running ({unit}), at stage {stage}; wait for it")
    offset = store.stages_size()
    store.take_last_word()  # of a transaction before, which nobody followed
    settings = (request.get("plan") or {}).get("settings") or {}
    name = store.save_request(request)
    try:
        turns = request.get("turns")
        named = tuple(turns["others"]) if turns else ()
        units.start(run, store.instance, "rollout", last_deadline(settings, *_known(store, named)), [name])
    except units.UnitProblem:
        store.take_request(name)
        raise
    return offset


def recover(run: units.Run, store: Store, *words: str) -> None:
    """Start the unit that rolls back what is unfinished. Raises UnitProblem, also where the lock is taken."""
    units.start(run, store.instance, "recover", last_deadline(*_known(store)), words)


def others(store: Store) -> list[str]:
    """Members of its group beside it, as its state names them."""
    try:
        return [name for name in store.load().others if INSTANCE_NAME.fullmatch(name)]
    except StateProblem:
        return []


def _known(store: Store, named: tuple[str, ...] = ()) -> list[Settings]:
    """Of all releases that may be stopped or started: its own, and those of other members of its group."""
    names = {store.instance, *others(store), *filter(INSTANCE_NAME.fullmatch, named)}
    stores = [Store(name, store.state_dir, store.run_dir) for name in sorted(names)]
    return [settings for one in stores for settings in one.settings()]
