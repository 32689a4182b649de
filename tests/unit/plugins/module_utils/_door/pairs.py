# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that sign themselves, with their keys, made by openssl."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

import pytest

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def made(folder: pathlib.Path, name: str, days: int = 10) -> tuple[str, str]:
    """Certificate and key in PEM. With -1 DAYS it has expired."""
    key, request, certificate = (str(folder / f"{name}.{end}") for end in ("key", "csr", "crt"))
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    _openssl("req", "-new", *curve, "-keyout", key, "-subj", f"/CN={name}", "-out", request)
    _openssl("x509", "-req", "-in", request, "-signkey", key, "-days", str(days), "-out", certificate)
    return pathlib.Path(certificate).read_text(), pathlib.Path(key).read_text()


def _openssl(*words: str) -> None:
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
