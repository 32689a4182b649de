# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program in the engine's place that means harm, or that broke as badly."""

from __future__ import annotations

import time

from ansible_collections.gpufleet.vllm.tests.faults import images
from ansible_collections.gpufleet.vllm.tests.faults.host import FILES
from ansible_collections.gpufleet.vllm.tests.faults.matrix import Row

IMPATIENT = {"prompt": "Say hello.", "max_tokens": 8, "deadline": 10}
KINDS = {
    "deep": "it is nested deeper than 64 levels",
    "endless": "it sends more than 1 MiB",
    "dripping": "got no answer within 10 s",
    "odd": "the number 1e400, which is too large",
}


def test_f33_hostile_answers(row: Row) -> None:
    """Answers without depth, end or haste, and metrics without end: each release is taken back, and rejected."""
    image = f"{images.REGISTRY}/{images.hostile((FILES / 'hostile.py').read_bytes())}"
    for kind, words in KINDS.items():
        bad = row.changed(env={"HOSTILE": kind}, smoke=IMPATIENT)
        began = time.monotonic()
        with row.asking():
            play = row.roll_out(bad, vllm_server_image=image)
        row.note(f"{kind}: {time.monotonic() - began:.0f} s")
        row.put_back(play, "smoke.no_answer", words)
        assert not [character for character in play.said if not character.isprintable()], play.log
    row.is_refused(bad, vllm_server_image=image)
