# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import pathlib
import shutil

import pytest

from lab import tools
from lab.gpu import edge

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


@pytest.fixture
def work(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setattr(tools, "WORK", tmp_path)
    monkeypatch.setattr(edge, "WORK", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "library", "module", "cdi"),
    [
        ("cpu", [], None, False),
        ("gpu_12gb", ["libnvidia-ml.so.580.95.05"], "580.95.05", True),
        ("fault_no_driver", [], None, False),
        ("fault_driver_not_loaded", ["libnvidia-ml.so.580.95.05"], None, True),
        ("fault_driver_mismatch", ["libnvidia-ml.so.580.105.08"], "580.95.05", True),
        ("vendor_amd", [], None, False),
    ],
)
def test_a_host_shows_what_its_description_says(
    work: pathlib.Path, name: str, library: list[str], module: str | None, cdi: bool
) -> None:
    to = edge.write("host", name, "172.17.0.1:5055")
    assert to == work / "hosts" / "host"
    assert sorted(path.name for path in to.glob("lib/*")) == library
    version = to / "sys-module" / "nvidia" / "version"
    assert (version.read_text().strip() if version.exists() else None) == module
    assert (to / "proc-driver" / "nvidia" / "version").exists() is (module is not None)
    assert (to / "cdi" / "nvidia.yaml").exists() is cdi
    daemon = json.loads((to / "daemon.json").read_text())
    assert daemon["insecure-registries"] == ["172.17.0.1:5055"]
    assert daemon.get("features") == ({"cdi": True} if cdi else None)
    assert (to / "container.conf").read_text() == "r! /run/systemd/container\n"


def test_writing_again_leaves_nothing_of_the_old_hardware(work: pathlib.Path) -> None:
    edge.write("host", "gpu_4x48gb", "registry")
    edge.write("host", "cpu", "registry")
    assert [path.name for path in (work / "hosts" / "host" / "pci").iterdir()] == ["0000:00:1f.0"]
    edge.remove("host")
    assert not (work / "hosts" / "host").exists()


def test_an_unknown_description_is_refused(work: pathlib.Path) -> None:
    with pytest.raises(tools.LabError, match="no description 'gpu_13gb'"):
        edge.write("host", "gpu_13gb", "registry")
