# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the releases of a host need: each that serves, is kept for the way back, or is being tried.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field

from .._docker.release import Release
from .._images import reference
from .._state.state import ROLES, State, StateProblem
from .._state.store import STATE_DIR, Store
from .._state.unsaved import RUN_DIR

TRANSIENT = "/run/systemd/transient"
UNIT = "gpufleet-rollout@"


class Unsure(Exception):
    """It cannot be told what is needed, so nothing may go; the text says why."""


@dataclass
class Needs:
    """Images by id and by name, each with who needs it; `texts` is everything that releases say.

    `instances` are names, `containers` and `rejected` ids, of our containers and of images that did not hold.
    """

    image_ids: dict[str, str] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    texts: set[str] = field(default_factory=set)
    instances: set[str] = field(default_factory=set)
    containers: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)

    def mention(self, *values: t.Any) -> None:
        """Every text that is anywhere in them, as a value or as a part of one such as `--model=ORG/NAME`."""
        for value in values:
            if isinstance(value, str):
                self.texts.add(value)
            elif isinstance(value, dict):
                self.mention(*value.keys(), *value.values())
            elif isinstance(value, (list, tuple)):
                self.mention(*value)

    def mentions(self, text: str) -> bool:
        return any(text in said for said in self.texts)


def of_host(
    listed: t.Sequence[str] = (),
    state_dir: str = STATE_DIR,
    run_dir: str = RUN_DIR,
    transient: str = TRANSIENT,
) -> Needs:
    """What the states of all instances say, and LISTED, the images of the inventory. Raises Unsure."""
    found = Needs(images=dict.fromkeys(listed, "the inventory"))
    try:
        busy = sorted(name for name in os.listdir(transient) if name.startswith(UNIT))
    except OSError:
        busy = []
    if busy:
        raise Unsure(f"{busy[0]} is running: run it again when it has ended")
    try:
        names = sorted(os.listdir(state_dir))
    except FileNotFoundError:
        names = []
    for name in names:
        # No name of an instance has an underscore.
        if "_" in name or not os.path.isdir(os.path.join(state_dir, name)):
            continue
        try:
            state = Store(name, state_dir, run_dir).load()
        except StateProblem as problem:
            raise Unsure(
                f"the state of {name} is not known, {problem}: see to it first (docs/failures.md)"
            ) from problem
        _add(found, name, state)
        if os.path.exists(os.path.join(state_dir, name, "state.json")):
            found.instances.add(name)
    return found


def _add(found: Needs, name: str, state: State) -> None:
    for role in ROLES:
        entry = getattr(state, role)
        if entry is None:
            continue
        release: Release = entry.release
        who = f"the {role} release of {name}"
        found.image_ids[entry.image_id] = who
        found.images[release["image"]] = who
        if entry.image_digest:
            found.images[entry.image_digest] = who
        found.mention(release)
    found.containers |= state.containers()
    found.rejected.update(one.image_id for one in state.rejected if one.image_id)


def repositories(images: t.Iterable[str]) -> set[str]:
    return {reference.read(image).repository for image in images}
