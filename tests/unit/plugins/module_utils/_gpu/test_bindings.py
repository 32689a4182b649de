# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where pynvml comes from."""

from __future__ import annotations

import sys
import typing as t

import pynvml
import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import bindings, report
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import pynvml_source
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._gpu.doubles import FakeNvml, Gpu


@pytest.fixture(autouse=True)
def _pynvml_of_the_tests_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", pynvml)


def test_the_real_file_makes_the_way_and_works() -> None:
    source = pynvml_source.installed_source()
    assert source is not None
    module: t.Any = bindings.load(bindings.pack(source))
    assert module is not pynvml
    assert module.NVMLError(9).value == 9
    assert issubclass(module.NVMLError_GpuIsLost, module.NVMLError)


def test_what_came_along_is_preferred() -> None:
    assert bindings.load(bindings.pack(b"ORIGIN = 'control node'")).ORIGIN == "control node"


def test_the_packed_file_is_small_enough_for_the_arguments_of_a_task() -> None:
    source = pynvml_source.installed_source() or b""
    assert 0 < len(bindings.pack(source)) < len(source) / 4


def test_the_host_has_its_own() -> None:
    assert bindings.load("") is pynvml


def test_neither_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(bindings.BindingsError, match="install nvidia-ml-py on the control node"):
        bindings.load("")


@pytest.mark.parametrize("packed", ["not base64!", "bm90IHpsaWI=", bindings.pack(b"\xff\xfe")])
def test_a_damaged_text(packed: str) -> None:
    with pytest.raises(bindings.BindingsError, match="leave pynvml_source"):
        bindings.load(packed)


def test_library_present() -> None:
    def absent(_name: str) -> t.Any:
        raise OSError("cannot open shared object file")

    assert bindings.library_present(absent) is False
    assert bindings.library_present(lambda _name: object()) is True


@pytest.mark.parametrize("error", [None, pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)])
def test_a_host_without_a_working_driver_has_no_nvml(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(nvmlInit=error))
    found = bindings.opened()
    assert (found is None) is (error is not None)
    if found is not None:
        assert found.call("nvmlDeviceGetCount") == 0


def test_a_host_without_bindings_has_no_nvml_and_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert bindings.opened() is None
    assert report.gpus_of_this_host() == []


def test_the_gpus_of_this_host_are_those_of_its_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(Gpu()))
    assert [gpu["uuid"] for gpu in report.gpus_of_this_host()] == ["GPU-1"]
