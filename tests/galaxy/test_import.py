# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Galaxy's own importer says of the artifact: nothing."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import tarfile

# Beside what it checks anyway: the rules for tags. What was never released may be below version 1.
SETTINGS = {"CHECK_REQUIRED_TAGS": "True", "RUN_ANSIBLE_LINT": "True", "OFFLINE_ANSIBLE_LINT": "True"}


def said(tools: pathlib.Path, artifact: pathlib.Path, folder: pathlib.Path) -> tuple[int, str]:
    """The importer's exit code, and its lines without the names of what it loads."""
    shutil.copy(artifact, folder)
    settings = {f"GALAXY_IMPORTER_{name}": value for name, value in SETTINGS.items()}
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(tools / "python"), "-m", "galaxy_importer.main", artifact.name],
        cwd=folder,
        env={**os.environ, **settings, "HOME": str(folder), "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = (done.stdout + done.stderr).splitlines()
    return done.returncode, "\n".join(line for line in lines if not line.startswith("Loading "))


def test_the_importer_has_no_remark(tools: pathlib.Path, artifact: pathlib.Path, tmp_path: pathlib.Path) -> None:
    code, words = said(tools, artifact, tmp_path)
    assert (code, "Importer processing completed successfully" in words) == (0, True), words
    assert [line for line in words.splitlines() if "WARNING" in line or "ERROR" in line] == []


def test_a_remark_is_seen(tools: pathlib.Path, artifact: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """An artifact whose files are not those of its list."""
    unpacked = tmp_path / "unpacked"
    with tarfile.open(artifact) as archive:
        archive.extractall(unpacked, filter="data")
    (unpacked / "README.md").write_text("changed\n")
    broken = tmp_path / artifact.name
    with tarfile.open(broken, "w:gz") as archive:
        for entry in sorted(unpacked.iterdir()):
            archive.add(entry, entry.name)
    (tmp_path / "run").mkdir()
    code, words = said(tools, broken, tmp_path / "run")
    assert (code, "completed successfully" in words) != (0, True)
