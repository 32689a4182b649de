# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wiring of gpu_facts."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.client import Docker
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import bindings
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.bindings import BindingsError
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.facts import Ports
from ansible_collections.gpufleet.vllm.plugins.module_utils._images import sources
from ansible_collections.gpufleet.vllm.plugins.modules import gpu_facts, vllm_model
from ansible_collections.gpufleet.vllm.tests.unit.plugins.documented import options_of
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gpu.doubles import FakeNvml, Gpu, Tree

DOCUMENTED = options_of(gpu_facts)


@pytest.fixture
def tree(tmp_path: t.Any) -> Tree:
    return Tree(tmp_path).memory().pci("0000:11:00.0").module().library()


def run(capsys: pytest.CaptureFixture[str], **arguments: t.Any) -> dict[str, t.Any]:
    with patch_module_args(arguments), pytest.raises(SystemExit):
        gpu_facts.main()
    return t.cast(dict[str, t.Any], json.loads(capsys.readouterr().out))


def observe(monkeypatch: pytest.MonkeyPatch, tree: Tree) -> list[tuple[str, str]]:
    """Put a host of the test in the place of this machine; what it was made with."""
    made = []

    def ports(state_dir: str, pynvml_source: str) -> Ports:
        made.append((state_dir, pynvml_source))
        return Ports(str(tree.root), FakeNvml(Gpu()), Docker(str(tree.root / "no.sock")), list)

    monkeypatch.setattr(gpu_facts, "ports", ports)
    return made


@pytest.mark.parametrize("check_mode", [True, False])
def test_facts_are_returned_and_nothing_is_changed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tree: Tree, check_mode: bool
) -> None:
    made = observe(monkeypatch, tree)
    before = sorted(tree.root.rglob("*"))
    result = run(capsys, disk_paths=["/var"], images=["vllm:1"], pynvml_source="packed", _ansible_check_mode=check_mode)
    seen = result["ansible_facts"]["gpufleet"]
    assert result["changed"] is False
    assert (seen["state"], seen["gpus"][0]["uuid"], seen["images"]) == ("healthy", "GPU-1", {"vllm:1": None})
    assert [disk["path"] for disk in seen["disk"]] == ["/var"]
    assert made == [("/var/lib/gpufleet", "packed")]
    assert sorted(tree.root.rglob("*")) == before


def test_models_come_along_where_they_are_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tree: Tree, tmp_path: pathlib.Path
) -> None:
    observe(monkeypatch, tree)
    assert run(capsys)["models"] == {"asked": {}, "found": {}}
    model = str(tmp_path / "model")
    seen = run(capsys, models={"models": [model], "references": ["main"]})["models"]
    assert seen["asked"] == {"models": [model], "hub_dir": "", "references": ["main"]}
    assert "does not exist" in seen["found"][model]["problems"][0]
    # As the module vllm_model takes them.
    assert set(seen["asked"]) < set(options_of(vllm_model))


def test_it_says_whether_sources_of_images_are_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tree: Tree, tmp_path: pathlib.Path
) -> None:
    observe(monkeypatch, tree)
    monkeypatch.setattr(gpu_facts, "STATE_DIR", str(tmp_path))
    assert run(capsys)["image_sources"] is False
    sources.keep(sources.Sources(mirrors={"docker.io": "mirror.example.com"}), str(tmp_path))
    assert run(capsys)["image_sources"] is True


def test_every_fact_is_documented(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tree: Tree
) -> None:
    observe(monkeypatch, tree)
    seen = run(capsys)["ansible_facts"]["gpufleet"]
    documented = yaml.safe_load(gpu_facts.RETURN)["ansible_facts"]["contains"]["gpufleet"]["contains"]
    assert list(seen) == list(documented)
    assert list(seen["gpus"][0]) == list(documented["gpus"]["contains"])


def test_the_packed_source_is_in_no_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tree: Tree
) -> None:
    observe(monkeypatch, tree)
    logged: list[str] = []
    monkeypatch.setattr(AnsibleModule, "log", lambda _self, *said, **more: logged.append(repr((said, more))))
    result = run(capsys, pynvml_source="the-packed-source")
    assert "the-packed-source" not in json.dumps(result) + repr(logged)
    # From ansible-core 2.22 on the invocation is told on request.
    told = result.get("invocation", {"module_args": {"state_dir": "/var/lib/gpufleet"}})
    assert told["module_args"]["state_dir"] == "/var/lib/gpufleet"


@pytest.mark.parametrize(
    ("disk_paths", "images", "wrong"),
    [
        (["/var/lib/docker"], ["vllm:1"], []),
        (["var/lib", "/srv", ""], [], ["disk_paths has 'var/lib'", "disk_paths has ''"]),
        (["x"], ["", "vllm:1", " "], ["disk_paths has 'x'", "images has an empty text"]),
    ],
)
def test_mistakes_are_told_together(disk_paths: list[str], images: list[str], wrong: list[str]) -> None:
    found = gpu_facts.mistakes(disk_paths, images)
    assert len(found) == len(wrong)
    for sentence, words in zip(found, wrong, strict=True):
        assert words in sentence


def test_mistakes_fail_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tree: Tree
) -> None:
    made = observe(monkeypatch, tree)
    result = run(capsys, disk_paths=["relative"], images=[""])
    assert result["failed"] is True
    assert "'relative'" in result["msg"]
    assert "images has an empty text" in result["msg"]
    assert made == []


def test_a_driver_without_bindings_is_one_clear_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ports(_state_dir: str, _pynvml_source: str) -> Ports:
        raise BindingsError("install nvidia-ml-py on the control node.")

    monkeypatch.setattr(gpu_facts, "ports", ports)
    result = run(capsys)
    assert (result["failed"], result["msg"]) == (True, "install nvidia-ml-py on the control node.")


def test_what_was_measured_is_told(tmp_path: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"key": "a" * 64, "at": "2026-11-26T10:00:00Z", "kv_tokens": 5}
    (tmp_path / "measurements.json").write_text(json.dumps([row, {"key": "no"}]))
    monkeypatch.setattr(bindings, "library_present", lambda: False)
    (found,) = gpu_facts.ports(str(tmp_path), "").measurements()
    assert {name: found[name] for name in row} == row


def test_options_are_documented_as_they_are() -> None:
    assert specified(DOCUMENTED) == gpu_facts.ARGUMENTS


def specified(documented: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Options as a module specifies them."""
    found = {}
    for name, option in documented.items():
        found[name] = {key: value for key, value in option.items() if key not in ("description", "suboptions")}
        found[name] |= {"options": specified(option["suboptions"])} if "suboptions" in option else {}
    return found
