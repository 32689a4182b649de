# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab runs without Ansible, so it is imported from the checkout's root, not as part of the collection."""

from __future__ import annotations

import ctypes
import pathlib
import shutil
import sys
import typing as t

import pynvml
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3]))

from lab.gpu import description, edge

Describe = t.Callable[..., None]


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    return edge.build_library(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def describe(
    nvml_library: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> t.Iterator[Describe]:
    """Write a description of lab/gpu/hosts, changed or not, where the library reads it."""
    file = tmp_path / "gpu.ini"
    monkeypatch.setenv("FAKE_NVML_CONFIG", str(file))
    monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(nvml_library)))
    # pynvml remembers functions of the library it loaded first.
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})

    def write(name: str, replace: str = "", by: str = "") -> None:
        text = (description.HOSTS / f"{name}.ini").read_text()
        assert replace in text
        file.write_text(text.replace(replace, by, 1) if replace else text)

    yield write
    while True:
        try:
            pynvml.nvmlShutdown()
        except pynvml.NVMLError:
            break
