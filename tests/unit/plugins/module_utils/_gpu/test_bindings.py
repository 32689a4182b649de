# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where pynvml comes from."""

from __future__ import annotations

import sys
import typing as t

import pynvml
import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import bindings
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import pynvml_source


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
