# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make lint` checks is checked before a commit too, by the same commands."""

from __future__ import annotations

import pathlib
import re
import typing as t

import pytest
import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
TARGETS = re.findall(r"^([a-z][a-z-]*):", (CHECKOUT / "make" / "lint.mk").read_text(), re.MULTILINE)
# Those that write files, and the one that is all the others.
NO_HOOKS = {"lint", "format", "docs"}
SLOW = {"lint-ansible", "sanity"}


def hooks() -> list[dict[str, t.Any]]:
    (local,) = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local"
    return t.cast(list[dict[str, t.Any]], local["hooks"])


def test_every_check_is_a_hook() -> None:
    assert [hook["id"] for hook in hooks()] == [target for target in TARGETS if target not in NO_HOOKS]
    assert set(TARGETS) >= NO_HOOKS


@pytest.mark.parametrize("hook", hooks(), ids=lambda hook: str(hook["id"]))
def test_a_hook_runs_its_target(hook: dict[str, t.Any]) -> None:
    assert hook["entry"] == f"make {hook['id']}"
    assert (hook["language"], hook["pass_filenames"]) == ("system", False)
    assert hook.get("stages", []) == (["manual"] if hook["id"] in SLOW else [])


@pytest.mark.parametrize("pattern", [hook["files"] for hook in hooks() if "files" in hook])
def test_a_pattern_matches_files(pattern: str) -> None:
    """One that matches none would never run."""
    files = [path.relative_to(CHECKOUT).as_posix() for path in CHECKOUT.rglob("*.*") if ".venv" not in path.parts]
    assert any(re.search(pattern, name) for name in files)
