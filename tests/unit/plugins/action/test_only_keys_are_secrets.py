# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-core 2.22 masks each value of a no_log option wherever it is said: only keys and logins may be one."""

from __future__ import annotations

import pathlib
import re
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.unit.plugins.action.rollout_wire import Json, Wire, good, plan

PLUGINS = pathlib.Path(__file__).resolve().parents[4] / "plugins"
FILES = [path for folder in ("action", "modules") for path in sorted((PLUGINS / folder).glob("*.py"))]
OPTION = re.compile(r'"(\w+)": \{.*"no_log": True')
# Texts of keys and nothing else: a list of them, and lists of them by instance. Logins go to the host as one text, and
# the mapping that they are made of stays on the control node.
KEYS = {"api_key", "api_keys", "logins", "registries"}
KEY = "sk-0123456789abcdef"
# The token of a hub is one text too.
TOKENS = {"token"}


def test_no_option_but_a_key_is_no_log() -> None:
    """The pattern finds each that the texts have, however they are written."""
    found = [name for path in FILES for name in OPTION.findall(path.read_text())]
    written = sum(path.read_text().count('"no_log": True') + path.read_text().count("no_log: true") for path in FILES)
    assert (set(found), len(found)) == (KEYS | TOKENS, written)


def test_nothing_of_an_instance_but_its_key_is_masked(run: t.Callable[..., Json]) -> None:
    secrets = pytest.importorskip("ansible.module_utils.secrets", reason="ansible-core masks by value from 2.22 on")
    listed = [{"name": "a", "port": 8000, "engine_args": {"max_num_seqs": 4}, "api_key": KEY}]
    run(Wire(good(1)), plans=[plan("a", "restart")], instances=listed)
    assert secrets.mask_secrets("a: ok=4 on port 8000") == "a: ok=4 on port 8000"
