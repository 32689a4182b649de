# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Galaxy is given: all that users need, nothing that is for a checkout, and nothing that merely lay there."""

from __future__ import annotations

import pathlib
import posixpath
import subprocess
import sys
import tarfile

import pytest
import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
# Written by the build itself.
BUILT = {"MANIFEST.json", "FILES.json"}
TOP = {
    *BUILT,
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "bindep.txt",
    "changelogs",
    "docs",
    "inventories",
    "meta",
    "playbooks",
    "plugins",
    "roles",
}
# Before the first release there is none.
WRITTEN_BY_A_RELEASE = {"CHANGELOG.md"}
# Compressed; so much comes over a slow line in seconds. Galaxy takes 20 MB.
LARGEST = 2 << 20


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tarfile.TarInfo]:
    folder = tmp_path_factory.mktemp("artifact")
    command = [str(pathlib.Path(sys.executable).with_name("ansible-galaxy")), "collection", "build"]
    subprocess.run([*command, "--output-path", str(folder)], cwd=CHECKOUT, check=True, capture_output=True)
    (made,) = folder.glob("gpufleet-vllm-*.tar.gz")
    assert made.stat().st_size < LARGEST
    with tarfile.open(made) as archive:
        return {member.name: member for member in archive.getmembers() if not member.isdir()}


def known_to_git() -> set[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, text=True)
    return set(listed.stdout.split("\0")) - {""}


def test_nothing_is_at_its_root_that_is_not_meant(members: dict[str, tarfile.TarInfo]) -> None:
    assert {name.partition("/")[0] for name in members} - WRITTEN_BY_A_RELEASE == TOP


def test_all_of_a_folder_is_there_and_nothing_that_git_ignores(members: dict[str, tarfile.TarInfo]) -> None:
    known = {name for name in known_to_git() if (CHECKOUT / name).exists() or (CHECKOUT / name).is_symlink()}
    assert set(members) - BUILT - known == set()
    whole = (
        "docs/",
        "meta/",
        "playbooks/",
        "plugins/",
        "roles/",
        "inventories/host_classes/",
        "inventories/production/",
    )
    assert {name for name in known if name.startswith(whole)} - set(members) == set()


def test_only_playbooks_lie_beside_playbooks(members: dict[str, tarfile.TarInfo]) -> None:
    assert [name for name in members if name.startswith("playbooks/") and not name.endswith(".yml")] == []


def test_links_lead_to_what_is_there(members: dict[str, tarfile.TarInfo]) -> None:
    """The example inventory's host classes: a copy of it without them has no bounds."""
    links = {name: member for name, member in members.items() if member.issym()}
    assert links
    for name, member in links.items():
        assert posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname)) in members


def test_what_an_execution_environment_needs_is_there(members: dict[str, tarfile.TarInfo]) -> None:
    named = yaml.safe_load((CHECKOUT / "meta" / "execution-environment.yml").read_text())["dependencies"]
    assert set(named.values()) <= set(members)


def test_fragments_and_what_is_for_a_checkout_are_not(members: dict[str, tarfile.TarInfo]) -> None:
    kept_out = ("awx/", "changelogs/fragments/", "collections/", "inventories/demo/", "inventories/staging/", "tests/")
    assert all(any(name.startswith(folder) for name in known_to_git()) for folder in kept_out)
    assert [name for name in members if name.startswith(kept_out)] == []
