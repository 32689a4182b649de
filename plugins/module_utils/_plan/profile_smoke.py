# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a profile demands of the smoke test: below what an instance states itself, a target profile's above it.

A profile is for many models. That images or sounds are answered it demands of those that take them; of one that does
not, and of an instance whose own arguments allow none, it is left out and said.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .._outside.documents import Json
from .._vllm import modalities
from .checks import answering, media
from .inventory import rollout_settings
from .inventory.inputs import Inputs
from .inventory.instances import Instance
from .memory.catalogue import Model

Values = t.Mapping[str, t.Any]
KEY = re.compile(r"smoke\.(\w+)")


@dataclasses.dataclass(frozen=True)
class Demanded:
    """An instance with what its profile demands. `keys` are those of `smoke` that are the profile's.

    `stated` is the smoke test before anything is left out of it, whatever the model is.
    """

    instance: Instance
    stated: Json
    profile: str = ""
    keys: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def place(self, text: str) -> str:
        """What goes before a sentence about `smoke`, so that the reader knows where to look."""
        key = KEY.match(text)
        return f", profile {self.profile}" if key and key[1] in self.keys else ""


def demanded(instance: Instance, inputs: Inputs, aimed: bool, values: Values, model: Model) -> Demanded:
    """AIMED: the target profile is meant for this instance."""
    name = inputs.target_profile if aimed else instance.profile
    own = rollout_settings.stated(instance.smoke)
    brought = rollout_settings.stated((inputs.profiles.get(name) or {}).get("smoke") or {})
    counts = {key: value for key, value in brought.items() if aimed or key not in own}
    both = dataclasses.replace(instance, smoke={**own, **counts})
    smoke = rollout_settings.merged(both, inputs.settings, [])["smoke"]
    if not counts:
        return Demanded(instance, smoke)
    why = {kind: _in_vain(kind, smoke, values, model) for kind in media.MEDIA if kind in counts}
    left = {kind: text for kind, text in why.items() if text}
    kept = {key: value for key, value in counts.items() if key not in left}
    rest = {key: value for key, value in own.items() if key not in left}
    said = tuple(
        f"profile {name} demands smoke.{kind}, which is not asked: {text}. State smoke: {{{kind}: auto}} in the "
        "instance, or take a profile without it."
        for kind, text in left.items()
    )
    return Demanded(dataclasses.replace(instance, smoke={**rest, **kept}), smoke, name, tuple(kept), said)


def _in_vain(kind: str, smoke: Json, values: Values, model: Model) -> str:
    """Why nothing of this kind can be answered; '' where it may be, or is not demanded."""
    if smoke.get(kind) is not True:
        return ""
    if answering.pools(model, values):
        return "the server pools and generates nothing"
    if media.transcribes(smoke, model):
        return "the server transcribes and answers no chat"
    if smoke.get("chat") is False:
        return "smoke.chat is false, and it would go in a chat"
    if modalities.limit(kind, values) == 0:
        return f"the engine arguments let no prompt have {media.MEDIA[kind]}"
    if modalities.cannot_take(kind, model.config):
        return f"{model.name} takes no {media.MEDIA[kind]} (config.json)"
    return ""
