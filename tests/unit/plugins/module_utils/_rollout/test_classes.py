# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every failure that is told has a class of a table, so that it is in the documentation and can be asked for there."""

from __future__ import annotations

import ast
import pathlib
import re

from ansible_collections.gpufleet.vllm.plugins.module_utils._diagnosis.failures import BESIDES, NAMED
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.smoke_errors import ADVICE
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.classes import OWN
from ansible_collections.gpufleet.vllm.plugins.module_utils._rollout.failure import rejects

CHECKOUT = pathlib.Path(__file__).resolve().parents[5]
# The last two are of images, in `_images`.
TELLING = ("Refused", "Diagnosis", "NotProved", "Kind", "NoImage")
OF_ANSWERS = {*ADVICE, "smoke.no_answer", "smoke.error", "smoke.question"}
OWN_NAMES = {own.name for own in OWN}
BLAMED = {
    *("api_key.user", "bind.address", "container.gone", "container.start", "docker"),
    *("image.entrypoint", "image.version", "live.moved_on", "live.none", "model.pickle", "ready.timeout"),
    *("rejected", "repair.moved_on", "repair.none", "request.unknown", "rollback.moved_on", "rollback.none"),
    *("rolled_back", "watch.died", "watch.wedged"),
}
# Made of the kind of the request, or of what the log shows.
MADE = {"repair.moved_on", "live.moved_on", "watch.died", "watch.wedged"}


def told(source: str) -> set[str]:
    """Classes that are written where a failure is made, alternatives too."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and node.args]
    firsts = [node.args[0] for node in calls if getattr(node.func, "id", "") in TELLING]
    written = [
        one for first in firsts for one in ([first.body, first.orelse] if isinstance(first, ast.IfExp) else [first])
    ]
    return {one.value for one in written if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def told_anywhere() -> set[str]:
    files = (CHECKOUT / "plugins" / "module_utils").rglob("*.py")
    return {name for path in files for name in told(path.read_text(encoding="utf-8"))}


def test_every_class_that_is_told_is_in_a_table() -> None:
    assert told_anywhere() - {*NAMED, *BESIDES, *OF_ANSWERS} <= OWN_NAMES


def test_every_class_of_the_table_is_told_and_has_one_name() -> None:
    assert OWN_NAMES - told_anywhere() == MADE
    assert not OWN_NAMES & {*NAMED, *BESIDES, *OF_ANSWERS}
    assert [own.name for own in OWN] == sorted(OWN_NAMES)


def test_a_class_of_no_table_is_found() -> None:
    assert told('raise Refused("disk.slow", "it is slow", "Wait.")') == {"disk.slow"}
    assert told('Diagnosis("a.b" if so else "c.d", text, "")') == {"a.b", "c.d"}


def test_the_page_of_smoke_has_every_class_of_an_answer() -> None:
    page = (CHECKOUT / "docs" / "smoke.md").read_text(encoding="utf-8").partition("## Failures")[2]
    assert set(re.findall(r"^\| `(smoke\.\w+)`", page, re.MULTILINE)) == OF_ANSWERS


def test_what_says_something_about_the_release_itself() -> None:
    """Only these are remembered as rejected; what will be otherwise in a moment, or by itself, is not."""
    assert {name for name in OWN_NAMES if rejects(name)} == BLAMED
