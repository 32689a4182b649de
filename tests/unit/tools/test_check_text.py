# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must not be published is found, and what may be is left alone."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.gpufleet.vllm.tools import check_text


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("see /Users/me/notes", "a path of somebody's own machine"),
        ("path: '/Users/me/checkout'", "a path of somebody's own machine"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "a private key"),
        ("token: hf_" + "a" * 34, "an access token"),
        ("ghp_" + "0" * 36, "an access token"),
        ("<<<<<<< HEAD", "a merge conflict"),
        ("=======", "a merge conflict"),
        ("# TODO: later", "unfinished work"),
        ("as in issue 2", "a task number that only its author can look up"),
        ("as in Issue #12", "a task number that only its author can look up"),
        ("in /srv/checkouts/vllm/lab", "the path of this checkout"),
    ],
)
def test_found(line: str, what: str) -> None:
    rules = check_text.rules_for(pathlib.Path("/srv/checkouts/vllm"))
    assert check_text.findings(f"first\n{line}\n", rules) == [(2, what)]


@pytest.mark.parametrize(
    "line",
    [
        "/var/lib/gpufleet/work/state",
        "{{ root }}/work/state",
        "--hf_token_file",
        "a heading\n========",
        "vllm issue 43308",
        "/srv/checkouts/vllm-cache",
    ],
)
def test_left_alone(line: str) -> None:
    rules = check_text.rules_for(pathlib.Path("/srv/checkouts/vllm/collection"))
    assert check_text.findings(line, rules) == []


def test_reads_the_files_of_the_checkout() -> None:
    names = check_text.files(check_text.CHECKOUT)
    assert "galaxy.yml" in names
    assert not [name for name in names if name.startswith(".collections/")]
