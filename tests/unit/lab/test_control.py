# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a control node in a container gets this machine's pip settings."""

from __future__ import annotations

import pathlib

import pytest

from lab import control

SAID = """\
:env:.timeout='30'
global.cert='/etc/ssl/here.crt'
global.extra-index-url='\\nfile:///srv/index/simple\\nhttps://user:word@example.org/simple'
global.timeout='60'
install.no-compile='true'
"""


def test_settings_of_files_become_variables_and_those_of_the_environment_win() -> None:
    assert control.pip_settings(SAID) == {
        "PIP_CERT": "/etc/ssl/here.crt",
        "PIP_EXTRA_INDEX_URL": "file:///srv/index/simple https://user:word@example.org/simple",
        "PIP_TIMEOUT": "30",
        "PIP_NO_COMPILE": "true",
    }


def test_no_settings_are_none() -> None:
    assert control.pip_settings("") == {}


def test_local_paths_that_are_there_are_found(tmp_path: pathlib.Path) -> None:
    index = tmp_path / "simple"
    index.mkdir()
    settings = ("30", f"file://{index} https://example.org/simple", f"{tmp_path} /nowhere/at/all")
    assert control.local_paths(settings) == [str(tmp_path), str(index)]


@pytest.mark.parametrize("shared", [True, False])
def test_no_value_is_on_the_command_line(shared: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setattr(control, "run", lambda *_words: SAID)
    monkeypatch.setattr(control, "_bundle", lambda: tmp_path / "bundle")
    words, environment = control.arguments("name", shared)
    assert environment["PIP_EXTRA_INDEX_URL"].endswith("example.org/simple")
    assert "PIP_EXTRA_INDEX_URL" in words
    assert "user:word" not in " ".join(words)
    assert (f"{control.SOCKET}:{control.SOCKET}" in words) is shared
