# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hub of tests as a program: what is wrong with its command line is one sentence."""

from __future__ import annotations

import pathlib
import socket

import pytest

from ansible_collections.gpufleet.vllm.tests.hub import __main__ as program


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["org/model"], "'org/model' is no model: write ORGANISATION/NAME=FOLDER"),
        (["a b=/srv"], "'a b=/srv' is no model"),
        (["org/model=+x"], "'+x' is no size: write +N for a model of N MiB"),
        (["org/model=+99999999999"], "is no size"),
        (["org/model=/no/such/folder"], "/no/such/folder is no folder with files"),
        (["org/model=+1", "org/model=+2"], "the model org/model is there twice"),
        (["--token", "reader", "org/model=+1"], "a token is stated as TOKEN=MODEL"),
        (["--gated", "org/other", "org/model=+1"], "org/other is private or gated and is none of the models"),
        (["--port", "99999", "org/model=+1"], "nothing listens at 127.0.0.1, ports 99999"),
        (["--port", "0", "--host", "no.such.name.invalid", "org/model=+1"], "nothing listens at no.such.name.invalid"),
        (["--port", "0", "--certificate", "/no/cert", "/no/key", "org/model=+1"], "No such file or directory"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(words)
    said = capsys.readouterr().err
    assert ended.value.code == 2 and told in said and "Traceback" not in said


def test_a_port_that_is_taken_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SystemExit):
            program.main(["--port", str(taken.getsockname()[1]), "org/model=+1"])
    assert "Address already in use" in capsys.readouterr().err


def test_the_files_of_a_folder_are_served(tmp_path: pathlib.Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert list(program.models([f"org/model={tmp_path}"])["org/model"]) == ["config.json"]
