# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is planned for each distribution, and the files that come of it, compared with golden ones."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare import openpgp, placing
from ansible_collections.gpufleet.vllm.plugins.module_utils._prepare.repository import Repository
from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime import plan
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._prepare.keys import FINGERPRINT, KEY
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._runtime.hosts import asked, facts

GOLDEN = pathlib.Path(__file__).parent / "golden"
KEYS = openpgp.expected_only(KEY.encode(), [FINGERPRINT])

RELEASES = (
    *[("debian", release) for release in ("12", "13")],
    *[("ubuntu", release) for release in ("22.04", "24.04", "26.04")],
    *[(name, release) for name in ("rhel", "rocky") for release in ("9.6", "10.1")],
)


def described(repository: dict[str, t.Any]) -> Repository:
    """The repository as the module sees it once Ansible has filled in its defaults."""
    empty: dict[str, t.Any] = {"uris": [], "suites": [], "components": [], "architectures": [], "pins": []}
    yum = {"baseurl": "", "description": "", "gpgcheck": True, "repo_gpgcheck": False, "include_packages": []}
    return placing.repository(
        {
            "name": repository["name"],
            "apt": {**empty, **repository["apt"]} if "apt" in repository else None,
            "yum": {**yum, **repository["yum"]} if "yum" in repository else None,
        }
    )


def rendered(made: plan.Plan) -> str:
    """All that a plan comes to, in one text."""
    parts = [f"origin: {made.origin}\ninstall: {' '.join(made.packages)}\nbefore: {' '.join(made.prerequisites)}\n"]
    for one in made.repositories:
        of = described(one)
        assert placing.mistakes({"fingerprints": one["fingerprints"]}, of) == []
        parts.append(f"=== {one['name']}: key {one['key_url']}\n{' '.join(one['fingerprints'])}\n")
        parts.append("".join(f"removes {path}\n" for path in one["replaces"]))
        files = {path: text for path, text in of.files(KEYS).items() if text is not None and path != of.key_path}
        parts += [f"--- {path}\n{text.decode()}" for path, text in files.items()]
    parts.append(f"=== daemon.json\n{json.dumps(made.settings, indent=4)}\n")
    return "".join(parts)


@pytest.mark.parametrize(
    ("distribution", "release", "architecture", "gpus", "variables"),
    [
        *[(name, release, "x86_64", gpus, {}) for name, release in RELEASES for gpus in (False, True)],
        ("debian", "13", "aarch64", True, {"origin": "docker", "docker_version": "29.8"}),
        ("rocky", "9.6", "aarch64", True, {"docker_version": "29.8"}),
    ],
)
def test_each_distribution_comes_to_its_golden_text(
    distribution: str, release: str, architecture: str, gpus: bool, variables: dict[str, t.Any]
) -> None:
    made = plan.managed(facts(distribution, release, architecture, gpus), asked(**variables))
    assert made.errors == []
    words = [distribution, release, architecture, "gpu" if gpus else "cpu", *variables.values()]
    assert rendered(made) == (GOLDEN / f"{'-'.join(words)}.txt").read_text()


def test_every_golden_text_is_compared() -> None:
    assert len(list(GOLDEN.glob("*.txt"))) == 2 * len(RELEASES) + 2


def test_a_mirror_takes_the_place_of_what_is_published() -> None:
    mirror = {"url": "https://mirror.example.com/docker/", "key": KEY, "fingerprints": [FINGERPRINT]}
    toolkit = {"url": "https://mirror.example.com/nvidia", "key_url": "https://mirror.example.com/key"}
    variables = asked(origin="docker", docker_repository=mirror, toolkit_repository=toolkit)
    docker, nvidia = plan.managed(facts(gpus=True), variables).repositories
    assert docker["apt"]["uris"] == ["https://mirror.example.com/docker/debian"]
    assert (docker["key"], docker["fingerprints"]) == (KEY, [FINGERPRINT])
    assert nvidia["apt"]["uris"] == ["https://mirror.example.com/nvidia/stable/deb/amd64"]
    assert nvidia["key_url"] == "https://mirror.example.com/key"
    # A mirror signs with the publisher's key unless it is said to have one of its own.
    assert nvidia["fingerprints"] == ["C95B321B61E88C1809C4F759DDCAE044F796ECB0"]


def test_repositories_that_the_host_has_already() -> None:
    made = plan.managed(facts(gpus=True), asked(add_repositories=False))
    assert made.repositories == []
    assert "nvidia-container-toolkit=1.20.1-1" in made.packages
