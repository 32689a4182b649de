# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients of an instance are told."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._state.client_file import (
    OWN_VARIABLES,
    document,
    environment,
    remove,
    write,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._rollout.releases import client, entry

VERIFIED = entry(client=client(max_model_len=4096), verified={"max_model_len": 1024})


@pytest.mark.parametrize(
    ("planned", "verified", "length"), [(4096, 1024, 1024), (None, 1024, 1024), (4096, None, 4096), (None, None, None)]
)
def test_the_verified_length_counts(planned: int | None, verified: int | None, length: int | None) -> None:
    made = entry(client=client(max_model_len=planned), verified={"max_model_len": verified})
    assert document(made)["max_model_len"] == length


AWKWARD = {
    "a": 'it\'s $HOME "quoted" `x`',
    "b": "~",
    "c": ["\n", ";"],
    "d": "line\nline",
    "e": "",
    "f": 0.7,
    "g": True,
    "h": None,
}


def test_a_shell_reads_every_value_as_it_is() -> None:
    text = environment(
        {"base_url": "http://127.0.0.1:8000/v1", "served_model_names": ["m"], "max_model_len": 9, "sampling": AWKWARD}
    )
    script = f"set -a\n{text}exec python3 -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    done = subprocess.run(
        ["sh", "-c", script], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    )
    seen = {name: value for name, value in json.loads(done.stdout).items() if name.startswith(("VLLM", "OPENAI"))}
    assert seen == {
        "OPENAI_BASE_URL": "http://127.0.0.1:8000/v1",
        "VLLM_CLIENT_MODEL": "m",
        "VLLM_CLIENT_MAX_MODEL_LEN": "9",
        "VLLM_CLIENT_A": AWKWARD["a"],
        "VLLM_CLIENT_B": "~",
        "VLLM_CLIENT_C": '["\\n",";"]',
        "VLLM_CLIENT_D": "line\nline",
        "VLLM_CLIENT_E": "",
        "VLLM_CLIENT_F": "0.7",
        "VLLM_CLIENT_G": "true",
    }


def test_no_value_of_sampling_takes_the_place_of_another_variable() -> None:
    text = environment(
        {
            "base_url": "http://127.0.0.1:8000/v1",
            "served_model_names": ["m"],
            "max_model_len": 9,
            "sampling": {name.lower(): "x" for name in OWN_VARIABLES},
        }
    )
    assert text.splitlines() == [
        "OPENAI_BASE_URL=http://127.0.0.1:8000/v1",
        "VLLM_CLIENT_MODEL=m",
        "VLLM_CLIENT_MAX_MODEL_LEN=9",
    ]


def test_both_files_are_written_once_and_removed(tmp_path: pathlib.Path) -> None:
    folder = str(tmp_path)
    assert write(VERIFIED, folder) is True
    assert write(VERIFIED, folder) is False
    path = tmp_path / "assistant" / "client.json"
    assert json.loads(path.read_text()) == {**client(), "max_model_len": 1024}
    assert path.stat().st_mode & 0o777 == 0o644
    (tmp_path / "assistant" / "client.env").write_text("edited by hand")
    assert write(VERIFIED, folder) is True
    remove("assistant", folder)
    remove("assistant", folder)
    assert list(tmp_path.iterdir()) == []


def test_what_somebody_else_put_there_stays(tmp_path: pathlib.Path) -> None:
    write(VERIFIED, str(tmp_path))
    (tmp_path / "assistant" / "mine").touch()
    remove("assistant", str(tmp_path))
    assert [path.name for path in (tmp_path / "assistant").iterdir()] == ["mine"]
