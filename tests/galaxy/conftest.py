# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artifact, as Galaxy takes it and as users have it; `make galaxy` installs and runs this."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say where the tools are."""
    parser.addoption("--tools", default=".cache/galaxy", help="virtual environment with tests/galaxy/requirements.txt")
    parser.addoption("--python-of-users", default="python3", help="the Python of the empty environment")


@pytest.fixture(scope="session")
def tools(pytestconfig: pytest.Config) -> pathlib.Path:
    """The programs of the virtual environment."""
    found = CHECKOUT / str(pytestconfig.getoption("--tools")) / "bin"
    assert (found / "ansible-lint").exists(), f"no tools are in {found}: run `make galaxy`"
    return found


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Built of the checkout."""
    folder = tmp_path_factory.mktemp("artifact")
    galaxy = pathlib.Path(sys.executable).with_name("ansible-galaxy")
    command = [str(galaxy), "collection", "build", "--output-path", str(folder), str(CHECKOUT)]
    subprocess.run(command, check=True, capture_output=True)
    (made,) = folder.glob("gpufleet-vllm-*.tar.gz")
    return made
