# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import io
import pathlib
import shutil
import subprocess
import tarfile

import pytest

from lab import oci

pytestmark = pytest.mark.skipif(shutil.which("zstd") is None, reason="there is no zstd")


def test_a_layer_is_known_by_both_digests(tmp_path: pathlib.Path) -> None:
    layer = oci.compress(io.BytesIO(b"plain"), tmp_path / "layer")
    packed = layer.path.read_bytes()
    assert layer.diff_id == f"sha256:{hashlib.sha256(b'plain').hexdigest()}"
    assert layer.digest == f"sha256:{hashlib.sha256(packed).hexdigest()}"
    assert layer.size == len(packed)
    assert subprocess.run(["zstd", "-dcq", str(layer.path)], capture_output=True, check=True).stdout == b"plain"


def test_a_packed_directory_belongs_to_root(tmp_path: pathlib.Path) -> None:
    content = tmp_path / "root"
    content.mkdir()
    (content / "file").write_text("text")
    layer = oci.pack(content, tmp_path / "layer")
    plain = subprocess.run(["zstd", "-dcq", str(layer.path)], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        member = tar.getmember("./file")
        assert (member.uid, member.gid, member.size) == (0, 0, 4)
