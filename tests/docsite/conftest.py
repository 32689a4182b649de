# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation site in a browser; `make site` builds it and runs this."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.tests.integration import browser

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say where the site is."""
    parser.addoption("--site", default="build/site/html", help="folder of the site that was built")


@pytest.fixture(scope="session")
def site(pytestconfig: pytest.Config) -> list[pathlib.Path]:
    """Its pages."""
    folder = CHECKOUT / str(pytestconfig.getoption("--site"))
    found = sorted(path for path in folder.rglob("*.html") if path.name not in ("search.html", "genindex.html"))
    assert len(found) > 50, f"no site is in {folder}: run `make site`"
    return found


@pytest.fixture(scope="session")
def tab(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[browser.Browser]:
    """A headless browser."""
    with browser.started(tmp_path_factory.mktemp("profile")) as one:
        yield one
