# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What gpu_facts tells of daemon.json."""

from __future__ import annotations

import json

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.files import NotWritten
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime import observed


def test_settings_without_secrets() -> None:
    config = {
        "debug": True,
        "proxies": {"http-proxy": "http://user:word@proxy"},
        "log-opts": {"max-size": "1m", "splunk-token": "word"},
    }
    files = {
        observed.PATH: json.dumps(config).encode(),
        observed.RECORD: json.dumps({"ours": {"debug": True}, "pending": True}).encode(),
    }
    assert observed.observe(files.get) == {
        "values": {"debug": True, "log-opts": {"max-size": "1m"}},
        "ours": {"debug": True},
        "pending": True,
        "problem": "",
        "nofile_most": None,
    }


@pytest.mark.parametrize("record", [b"", b"[]", b"{nonsense", b'{"ours": 1}'])
def test_a_record_that_cannot_be_read_claims_nothing(record: bytes) -> None:
    files = {observed.RECORD: record}
    assert observed.observe(files.get) == {
        "values": {},
        "ours": {},
        "pending": False,
        "problem": "",
        "nofile_most": None,
    }


def test_a_file_that_is_no_json_is_a_problem() -> None:
    files = {observed.PATH: b"{"}
    assert "is no valid JSON (line 1 column 2" in observed.observe(files.get)["problem"]


def test_a_file_that_cannot_be_read_is_a_problem() -> None:
    def read(path: str) -> bytes:
        raise NotWritten(f"{path} cannot be read: Permission denied")

    assert observed.observe(read)["problem"] == "/etc/docker/daemon.json cannot be read: Permission denied."
