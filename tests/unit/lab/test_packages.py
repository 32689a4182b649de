# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages for the image's Python, whatever Python runs here."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import zipfile

import pytest

from lab import packages, vllm_image
from lab.tools import LabError


def wheel(directory: pathlib.Path, name: str, *requires: str) -> None:
    """An empty package, as small as pip takes one."""
    info = f"{name}-1.dist-info"
    lines = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    with zipfile.ZipFile(directory / f"{name}-1-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{lines}")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def test_requirements_are_those_of_the_images_python(tmp_path: pathlib.Path) -> None:
    wheel(
        tmp_path,
        "wanted",
        f"right; python_version == '{packages.PYTHON}'",
        f"other; python_version != '{packages.PYTHON}'",
        f"full; python_full_version < '{packages.PYTHON}.99' and python_full_version > '{packages.PYTHON}.0'",
    )
    for name in ("right", "other", "full"):
        wheel(tmp_path, name)
    report = tmp_path / "report.json"
    words = [sys.executable, "-c", packages.RUN_PIP, "install", "--dry-run", "--quiet", "--report", str(report)]
    words += ["--no-index", "--find-links", str(tmp_path), "--target", str(tmp_path / "site"), "wanted"]
    subprocess.run([*words, "--only-binary", ":all:", "--python-version", packages.PYTHON], check=True)
    found = {item["metadata"]["name"] for item in json.loads(report.read_text())["install"]}
    assert found == {"wanted", "right", "full"}


def test_wheels_for_a_newer_glibc_than_the_images_are_not_asked_for() -> None:
    assert "manylinux_2_36_x86_64" in packages.PLATFORMS
    assert "manylinux_2_17_x86_64" in packages.PLATFORMS
    assert "manylinux_2_37_x86_64" not in packages.PLATFORMS


def test_an_index_without_a_cpu_build_of_torch_is_told_what_to_add(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    def no_torch(*_words: object) -> None:
        raise LabError("No matching distribution found for torch==2.13.0+cpu")

    monkeypatch.setattr(packages, "install", no_torch)
    with pytest.raises(LabError, match=r"torch==2\.13\.0\+cpu\n.*CPU build of torch for Python 3\.11.*PIP_ARGS"):
        vllm_image._install_packages(tmp_path)
