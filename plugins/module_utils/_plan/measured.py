# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has measured of a planned release: of exactly this image, model, GPUs and arguments, or nothing.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .._docker.release import Release
from .._rollout.measurements import KEPT
from .._state.measurement import Measurement, key_of, parsed
from .inventory.inputs import Inputs


def of(release: Release, inputs: Inputs) -> Measurement | None:
    """The newest that has the release's key. What the host's file holds is outside data: see measurement.parsed."""
    rows = inputs.facts.get("measurements")
    if not isinstance(rows, list) or not rows:
        return None
    model = inputs.models.get(release["model"]["id"])
    key = key_of(release, inputs.image_id, model, inputs.facts.get("gpus") or [])
    known = (parsed(row) for row in reversed(rows[-KEPT:]))
    return next((one for one in known if key and one is not None and one.key == key), None)
