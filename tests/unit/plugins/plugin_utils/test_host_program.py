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


@pytest.fixture
def two_rooms(tmp_path: pathlib.Path) -> pathlib.Path:
    """A command line that imports from two rooms, one of which imports from the other, and what nobody imports."""
    for room in ("_host", "_engine", "_model"):
        (tmp_path / room).mkdir()
    (tmp_path / "_host" / "cli.py").write_text("from .._engine import proof\nfrom .words import LIST\n")
    (tmp_path / "_host" / "words.py").write_text("LIST = 1\n")
    (tmp_path / "_engine" / "proof.py").write_text("def run():\n    from .._model.hub import x\n")
    (tmp_path / "_model" / "hub.py").write_text("x = 1\n")
    (tmp_path / "_model" / "unused.py").write_text("x = 1\n")
    return tmp_path


def test_what_the_command_line_imports_is_packed_and_nothing_else(two_rooms: pathlib.Path) -> None:
    modules = ["_engine/proof", "_host/cli", "_host/words", "_model/hub"]
    assert ["/".join(module) for module in sorted(host_program.packed(two_rooms))] == modules


def test_another_source_is_another_program(two_rooms: pathlib.Path) -> None:
    before = host_program.build(two_rooms)
    (two_rooms / "_model" / "unused.py").write_text("x = 2\n")
    assert host_program.build(two_rooms).digest == before.digest
    (two_rooms / "_model" / "hub.py").write_text("x = 2\n")
    assert host_program.build(two_rooms).digest != before.digest


IMPORT_EACH = """
import importlib, sys, zipfile
sys.path.insert(0, sys.argv[1])
for name in zipfile.ZipFile(sys.argv[1]).namelist():
    if name.startswith("gpufleet/") and not name.endswith("__init__.py"):
        importlib.import_module(name[:-len(".py")].replace("/", "."))
        print(name)
"""


def test_every_packed_file_can_be_imported_from_the_archive_alone(tmp_path: pathlib.Path) -> None:
    program = tmp_path / "gpufleet-host"
    program.write_bytes(host_program.build(MODULE_UTILS).content)
    asked = [sys.executable, "-I", "-S", "-c", IMPORT_EACH, str(program)]
    done = subprocess.run(asked, cwd=tmp_path, env={}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(host_program.packed(MODULE_UTILS))


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
    assert "pynvml.py" in names and "gpufleet/_host/cli.py" in names
    assert not [name for name in names if "ansible" in name]


def test_a_control_node_without_pynvml_packs_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_program, "installed_source", lambda: None)
    assert "pynvml.py" not in host_program.sources(MODULE_UTILS)
    assert "__main__.py" in host_program.sources(MODULE_UTILS)
