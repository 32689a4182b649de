# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of site.yml reads grows with its hosts, and not with their square: also where all of them fail."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.gpufleet.vllm.tests.integration.scripted_hosts import Fleet, Json, restart

UNCHANGED: Json = {"plans": [{**restart(), "change": "none"}]}
BAD: Json = {"plans": [restart()], "outcomes": {"a": "rolled_back"}}
# Python runs it at the start of every process that finds it on its path; forked workers keep the hook.
COUNTS = """
import os, sys

if any(word.endswith("ansible-playbook") for word in sys.orig_argv):
    from ansible.vars import hostvars

    _log = os.open(os.environ["READS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    _get = hostvars.HostVars.raw_get

    def _counted(self, host):
        os.write(_log, b".")
        return _get(self, host)

    hostvars.HostVars.raw_get = _counted
"""


def reads(folder: pathlib.Path, script: Json, hosts: int, patch: pytest.MonkeyPatch) -> tuple[int, int]:
    """How a run with so many hosts ended, and how often all variables of a host were read through `hostvars`."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(COUNTS)
    patch.setenv("PYTHONPATH", str(folder))
    patch.setenv("READS", str(folder / "reads"))
    ended = Fleet(folder, {f"g{number}": script for number in range(hosts)}).run(vllm_server_serial="100%")
    return ended.code, (folder / "reads").stat().st_size


@pytest.mark.parametrize(("script", "code"), [(UNCHANGED, 0), (BAD, 2)])
def test_twice_the_hosts_read_twice_as_much(
    tmp_path: pathlib.Path, script: Json, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = reads(tmp_path / "few", script, 2, monkeypatch)
    many = reads(tmp_path / "many", script, 4, monkeypatch)
    assert few[0] == many[0] == code
    assert 0 < many[1] <= 2 * few[1], "a task that every host does reads hostvars of every host: let it be done once"
