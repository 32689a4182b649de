# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that writes its secrets into its log, and fails: nothing that a host keeps or says has them."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.doubles import Engine
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.scene import Scene

WORD = "planted0123456789"
SAID = (
    f"ValueError: https://svc:{WORD}@mirror/x is no model",
    f"OSError: token hf_{WORD}0000 is not allowed to read it",
    f"INFO args: {{'api_key': ['{WORD}'], 'model': 'x'}}",
    f"RuntimeError: HF_TOKEN={WORD} was not taken",
    f"error: unrecognized arguments: --api-key {WORD}",
)


@pytest.mark.parametrize("line", SAID)
@pytest.mark.parametrize("length", [1, 6000], ids=["short log", "long log"])
def test_nothing_is_kept_of_it(scene: Scene, line: str, length: int) -> None:
    scene.roll_out(1024)
    log = tuple((1.0, line) for _number in range(length))
    scene.engine(2048, Engine(ready_after=99, exits_after=2.0, log=log))
    assert scene.roll_out(2048) == "rolled_back"
    files = {path: path.read_text() for path in scene.folder.rglob("*") if path.is_file()}
    assert any(path.name == "engine.log" and "***" in text for path, text in files.items())
    assert {"state.json", "stages.jsonl", "diagnosis.json", "client.json"} <= {path.name for path in files}
    assert [path.name for path, text in files.items() if WORD in text] == []
    assert WORD not in "\n".join(scene.said) and "***" in "\n".join(scene.said) + line
