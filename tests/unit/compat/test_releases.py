# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which releases are supported, what each runs on, and that every place which says so says the same."""

from __future__ import annotations

import pathlib
import platform
import re
import sys

import pytest
import yaml

from ansible_collections.gpufleet.vllm.tests.compat import releases

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
SHIM = "#!/bin/sh\necho 'python3.12: command not found' >&2\nexit 127\n"
OWN = ".".join(map(str, sys.version_info[:2]))


@pytest.fixture(autouse=True)
def _asked_anew() -> None:
    releases.python_here.cache_clear()


def test_requirements_take_the_oldest_and_the_newest_stable_release() -> None:
    text = (CHECKOUT / "requirements.txt").read_text()
    newest = [release for release in releases.RELEASES if release.is_stable][-1]
    for release, where in ((newest, '>= "3.12"'), (releases.RELEASES[0], '< "3.12"')):
        assert f"ansible-core=={release.core}; python_version {where}\n" in text
        assert f"ansible=={release.ansible}; python_version {where}\n" in text


def test_each_place_names_the_same_releases() -> None:
    page = (CHECKOUT / "docs" / "compatibility.md").read_text()
    rows = re.findall(r"^\| (2\.\d+)(?: \([^|]*\))? \| (\d+)(?: \([^|]*\))? \| ([\d., ]+) \|$", page, re.MULTILINE)
    assert rows == [
        (release.series, release.ansible.split(".")[0], ", ".join(release.pythons)) for release in releases.RELEASES
    ]
    first, last = releases.RELEASES[0].series, releases.RELEASES[-1].series
    following = f"2.{int(last.split('.')[1]) + 1}"
    runtime = yaml.safe_load((CHECKOUT / "meta" / "runtime.yml").read_text())
    assert runtime["requires_ansible"] == f">={first}.0,<{following}.0"
    for meta in (CHECKOUT / "roles").glob("*/meta/main.yml"):
        assert yaml.safe_load(meta.read_text())["galaxy_info"]["min_ansible_version"] == first
    assert f"ansible-core {first} to {last}" in (CHECKOUT / "README.md").read_text()


def test_a_shim_that_does_not_run_is_no_python(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python3.12").write_text(SHIM)
    (tmp_path / "python3.12").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert releases.python_here("3.12") == (sys.executable if OWN == "3.12" else "")
    assert releases.python_here(OWN) == sys.executable


@pytest.mark.parametrize(("here", "wanted"), [({"3.11"}, "3.13"), ({"3.11", "3.12"}, "3.13")])
def test_hosts_are_taken_up_from_a_container_where_the_machine_has_no_python(
    monkeypatch: pytest.MonkeyPatch, here: set[str], wanted: str
) -> None:
    monkeypatch.setattr(releases, "python_here", lambda version: version if version in here else "")
    monkeypatch.setattr(platform, "python_version_tuple", lambda: ("3", "11", "2"))
    cells = releases.asked("2.21")
    assert [(cell.python, cell.here) for cell in cells if cell.lab] == [(wanted, "")]
    assert [cell.python for cell in releases.asked("2.19") if cell.lab] == ["3.11"]


@pytest.mark.parametrize(("own", "other"), [("2.19.14", ["2.21"]), ("2.21.5", ["2.19"]), ("2.20.1", ["2.19", "2.21"])])
def test_each_build_runs_the_ends_that_it_does_not_run_on(
    monkeypatch: pytest.MonkeyPatch, own: str, other: list[str]
) -> None:
    monkeypatch.setattr(releases, "own_core", own)
    assert [cell.release.series for cell in releases.asked("ci")] == other


def test_a_release_that_is_none_of_ours_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ansible-core 2\.17 is not among the supported: 2\.19, "):
        releases.asked("2.21 2.17")
