# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab runs without Ansible, so it is imported from the checkout's root, not as part of the collection."""

from __future__ import annotations

import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3]))

from lab.gpu import edge


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    return edge.build_library(tmp_path_factory.mktemp("nvml"))
