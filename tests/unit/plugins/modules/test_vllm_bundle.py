# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules of a bundle, one after another, as the playbook calls them."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import typing as t

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle import package_source
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundling import parts
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.transfer import Failed
from ansible_collections.gpufleet.vllm.plugins.modules import vllm_bundle, vllm_bundle_facts, vllm_bundle_packages
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._bundle import bundles
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._bundling import repositories

Json = dict[str, t.Any]


class Ended(Exception):
    """exit_json or fail_json, with the result."""

    def __init__(self, result: Json) -> None:
        super().__init__(result)
        self.result = result


@pytest.fixture(autouse=True, scope="module")
def ended() -> t.Iterator[None]:
    def ends(_module: t.Any, **result: t.Any) -> None:
        raise Ended(result)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("exit_json", "fail_json"):
            patch.setattr(AnsibleModule, name, ends)
        yield


@pytest.fixture(autouse=True)
def ends(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    warned: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: warned.append(text))
    for module in (vllm_bundle_facts, vllm_bundle_packages):
        monkeypatch.setattr(module, "STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(package_source, "PLACE", str(tmp_path / "run"))
    return warned


def run(module: t.Any, check: bool = False, **args: t.Any) -> Json:
    with patch_module_args({**args, "_ansible_check_mode": check}), pytest.raises(Ended) as end:
        module.main()
    return end.value.result


def test_what_came_is_written_down_and_used(tmp_path: pathlib.Path, ends: list[str]) -> None:
    root = tmp_path / "bundle"
    part = bundles.part(root, bundles.hub()).part
    ended = run(vllm_bundle, dir=str(root), parts=[part], hosts=["gpu01"])
    assert ended["changed"] and ended["digest"].startswith("sha256:")
    found = run(vllm_bundle_facts, check=True, path=str(root), images=["v:1"])
    assert found["digest"] == ended["digest"] and found["archives"] == {} and not (tmp_path / "state").exists()
    assert "has not got v:1: what is not on the host is pulled" in ends[0]
    assert run(vllm_bundle_facts, path=str(root))["msg"].startswith(f"{root} is whole: 0 images, 1 models")


def test_what_is_wrong_is_one_sentence(tmp_path: pathlib.Path) -> None:
    assert "there is nothing to bundle" in run(vllm_bundle, dir=str(tmp_path), parts=[])["msg"]
    assert "what came is not understood: parts[0] has no files" in run(vllm_bundle, dir="/b", parts=[{}])["msg"]
    assert run(vllm_bundle_facts, path=str(tmp_path / "no"))["msg"].endswith("where everything is installed.")
    assert "write an absolute path of the host" in run(vllm_bundle_facts, path="b")["msg"]


def test_a_hub_that_is_away_is_told(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_words: t.Any) -> t.NoReturn:
        raise Failed("the hub is away")

    monkeypatch.setattr(parts, "model", away)
    assert run(vllm_bundle, dir=str(tmp_path), request={"model": "a/b"})["msg"] == "the hub is away."

    def full(*_words: t.Any) -> t.NoReturn:
        raise OSError(28, "full", "/srv")

    monkeypatch.setattr(parts, "model", full)
    assert run(vllm_bundle, dir=str(tmp_path), request={"model": "a/b"})["msg"].startswith("The disk of /srv is full")


def test_it_is_signed_and_looked_at_with_the_programs_of_the_host(tmp_path: pathlib.Path) -> None:
    root, key = tmp_path / "bundle", tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text()
    given: Json = {"dir": str(root), "parts": [bundles.part(root, bundles.hub()).part], "hosts": ["gpu01"]}
    ended = run(vllm_bundle, **given, signing_key=str(key))
    assert ended["changed"] and ended["msg"].endswith("It is signed.")
    assert not run(vllm_bundle, **given, signing_key=str(key))["changed"]
    assert "is whole" in run(vllm_bundle_facts, path=str(root), signers=[public])["msg"]
    run(vllm_bundle, **{**given, "hosts": ["gpu02"]})
    assert "has no bundle.json.sig" in run(vllm_bundle_facts, path=str(root), signers=[public])["msg"]
    assert "is whole" in run(vllm_bundle_facts, path=str(root))["msg"]
    assert "which is no public key of SSH" in run(vllm_bundle_facts, path=str(root), signers=["x"])["msg"]


def test_where_nothing_signs_that_is_said(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "bundle"
    monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda *_args: None)
    given: Json = {"dir": str(root), "parts": [bundles.part(root, bundles.hub()).part], "hosts": ["gpu01"]}
    assert "there is no ssh-keygen" in run(vllm_bundle, **given, signing_key="/key")["msg"]


OS: Json = {"id": "debian", "version": "13", "architecture": "x86_64"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A bundle that has the package `engine`, made once."""
    place = tmp_path_factory.mktemp("made")
    root = place / "bundle"
    with repositories.served(place / "served") as url:
        came = run(vllm_bundle, dir=str(root), package_set=repositories.wanted(url, "engine"))
    run(vllm_bundle, dir=str(root), parts=[came["part"]], hosts=["gpu01"])
    return root


@pytest.fixture
def with_packages(tmp_path: pathlib.Path, made: pathlib.Path) -> Json:
    """What vllm_bundle_packages is asked on a host to which it was brought."""
    root = shutil.copytree(made, tmp_path / "bundle")
    digest = run(vllm_bundle_facts, check=True, path=str(root))["digest"]
    return {"path": str(root), "digest": digest, "os": OS, "packages": ["engine"]}


def test_a_host_has_the_bundle_as_its_only_source(tmp_path: pathlib.Path, with_packages: Json) -> None:
    found = run(vllm_bundle_packages, **with_packages)
    assert found["environment"] == {"APT_CONFIG": str(tmp_path / "run/apt.conf")} and not found["changed"]
    assert found["msg"] == f"apt takes engine for debian-13-amd64 from {tmp_path}/bundle alone."
    assert run(vllm_bundle_packages, **with_packages) == found
    targets = ["apt-get", "indextargets", "--format", "$(URI)"]
    asked = subprocess.run(targets, env={**os.environ, **found["environment"]}, capture_output=True, check=True)
    assert all(line.startswith(b"file:") for line in asked.stdout.split()) and asked.stdout


def test_a_check_run_writes_nothing(
    tmp_path: pathlib.Path, with_packages: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    found = run(vllm_bundle_packages, check=True, **with_packages)
    assert found["environment"] == {} and not (tmp_path / "run").exists() and not (tmp_path / "state").exists()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_what_would_have_to_go_is_refused_in_a_check_run(with_packages: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_source, "must_install", lambda *_words: ["elder", "nvidia-smi"])
    found = run(vllm_bundle_packages, check=True, **with_packages)
    assert found["msg"].startswith("Nothing is to be installed: elder would have to be removed for engine, which")
    assert "environment" in run(vllm_bundle_packages, **with_packages)


def test_packages_that_are_wrong_or_not_there_are_one_error(tmp_path: pathlib.Path, with_packages: Json) -> None:
    found = run(vllm_bundle_packages, **{**with_packages, "packages": ["engine", "more"]})
    assert found["msg"].startswith("The bundle lacks more for debian-13-amd64, and has engine")
    found = run(vllm_bundle_packages, **{**with_packages, "os": {**OS, "version": "12"}})
    assert found["msg"].startswith("The bundle has packages for debian-13-amd64, and this host is debian-12-amd64")
    file = next((tmp_path / "bundle/packages/debian-13-amd64/pool").glob("*/engine_*"))
    file.write_bytes(b"x" * file.stat().st_size)
    assert "engine_2.0-1_all.deb has another content" in run(vllm_bundle_packages, **with_packages)["msg"]
    assert not (tmp_path / "run").exists()
