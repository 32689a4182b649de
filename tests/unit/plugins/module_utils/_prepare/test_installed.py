# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installed packages, as dpkg and rpm list them."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare import installed

LISTED = """ii \tdocker.io\t26.1.5+dfsg1-9+b9
ii \tbash\t5.2.37-2
iF \tnginx\t1.26.3-3
iHR\tdocker-buildx\t
iW \tman-db\t2.13.1-1
hi \tnvidia-kernel-open-dkms\t580.95.05-1
rc \tdocker-ce\t5:28.0.0-1
iU \tcontainerd\t1.7.24~ds1-6+b4
dpkg-query: no packages found matching moby-*
"""


def test_what_is_installed() -> None:
    assert installed.parsed(LISTED) == {
        "docker.io": {"version": "26.1.5+dfsg1-9+b9", "held": False},
        "nvidia-kernel-open-dkms": {"version": "580.95.05-1", "held": True},
    }


def test_what_dpkg_did_not_finish() -> None:
    assert installed.unfinished(LISTED) == {
        "nginx": "half-configured",
        "docker-buildx": "half-installed",
        "containerd": "unpacked",
    }


@pytest.mark.parametrize(
    ("there", "asked"),
    [
        ({installed.DPKG, installed.RPM}, installed.DPKG),
        ({installed.RPM}, installed.RPM),
        (set(), ""),
    ],
)
def test_who_is_asked(there: set[str], asked: str) -> None:
    assert (installed.command(there.__contains__) or [""])[0] == asked
