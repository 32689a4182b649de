# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-core does with handlers, which the rollback is built on: a release that differs is noticed here."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

PLAYBOOKS = pathlib.Path(__file__).resolve().parent / "files" / "ansible_core"


def run(playbook: str) -> tuple[int, str]:
    """The exit code, and everything that was said."""
    command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), playbook, "-i", "here,", "-c", "local"]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, cwd=PLAYBOOKS, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_block_that_a_handler_includes_has_no_rescue() -> None:
    """Flattened: were it to run one day, the block around the flush would still be right, and could be simpler."""
    code, said = run("inside_handler.yml")
    assert code == 2 and "the block failed" in said
    assert "the rescue ran" not in said and "the always ran" not in said


def test_the_same_block_has_one_where_a_task_includes_it() -> None:
    """The control of the test above."""
    code, said = run("included_by_a_task.yml")
    assert code == 0 and "the rescue ran" in said and "the always ran" in said


def test_a_block_around_the_flush_has_a_rescue_in_which_later_handlers_run_unless_they_are_guarded() -> None:
    code, said = run("around_flush.yml")
    assert code == 2 and "the rescue ran for First" in said
    assert "the unguarded handler ran" in said and "the guarded handler ran" not in said
    assert said.index("the rescue ran") < said.index("the unguarded handler ran") < said.rindex("the end")
