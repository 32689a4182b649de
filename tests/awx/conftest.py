# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests with the tools of AWX, from the package index; `make awx` installs and runs them."""

from __future__ import annotations

import pathlib

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say where the tools are."""
    parser.addoption("--tools", default=".cache/awx", help="virtual environment with tests/awx/requirements.txt")


@pytest.fixture(scope="session")
def tools(pytestconfig: pytest.Config) -> pathlib.Path:
    """The virtual environment."""
    found = CHECKOUT / str(pytestconfig.getoption("--tools"))
    assert (found / "bin" / "ansible-builder").exists(), f"no tools are in {found}: run `make awx`"
    return found
