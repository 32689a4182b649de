# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that hosts get."""

from __future__ import annotations

import ast
import pathlib
import subprocess
import sys
import zipfile

import pytest

from ansible_collections.gpufleet.vllm.plugins.plugin_utils import host_program

MODULE_UTILS = pathlib.Path(__file__).resolve().parents[4] / "plugins" / "module_utils"


def test_the_same_sources_are_the_same_bytes() -> None:
    first, second = host_program.build(MODULE_UTILS), host_program.build(MODULE_UTILS)
    assert (first.content, first.digest) == (second.content, second.digest)


def test_another_source_is_another_program(tmp_path: pathlib.Path) -> None:
    for room in host_program.ROOMS:
        (tmp_path / room).mkdir()
    before = host_program.build(tmp_path)
    (tmp_path / "_engine" / "new.py").write_text("x = 1\n")
    assert host_program.build(tmp_path).digest != before.digest


def test_it_runs_from_the_archive_alone(tmp_path: pathlib.Path) -> None:
    program = tmp_path / "gpufleet-host"
    program.write_bytes(host_program.build(MODULE_UTILS).content)
    assert program.read_bytes().startswith(b"#!/usr/bin/python3\n")
    asked = [sys.executable, "-I", "-S", str(program)]
    done = subprocess.run([*asked, "--help"], cwd=tmp_path, env={}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for verb in ("rollout", "recover", "follow", "prove", "rollback", "status"):
        assert verb in done.stdout
    status = [*asked, "--state-dir", str(tmp_path / "none"), "status"]
    done = subprocess.run(status, cwd=tmp_path, env={}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


SOURCES = host_program.sources(MODULE_UTILS)


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_every_file_is_python_3_9_and_needs_the_standard_library_only(name: str) -> None:
    tree = ast.parse(SOURCES[name], name, feature_version=(3, 9))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0]
    roots = {each.partition(".")[0] for each in imported | {str(node.module) for node in froms}}
    assert roots <= sys.stdlib_module_names | {"gpufleet"}


def test_pynvml_comes_along(tmp_path: pathlib.Path) -> None:
    program = tmp_path / "gpufleet-host"
    program.write_bytes(host_program.build(MODULE_UTILS).content)
    with zipfile.ZipFile(program) as archive:
        names = archive.namelist()
    assert "pynvml.py" in names and "gpufleet/_rollout/cli.py" in names
    assert not [name for name in names if "ansible" in name]


def test_a_control_node_without_pynvml_packs_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_program, "installed_source", lambda: None)
    assert "pynvml.py" not in host_program.sources(MODULE_UTILS)
    assert "__main__.py" in host_program.sources(MODULE_UTILS)
