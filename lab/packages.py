# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vLLM's packages for the Python of the image, whatever Python runs here.

pip takes wheels for another Python, but answers `python_version < "3.13"` and the like for the one that runs it. So it
is told what the image's is; a pip that does not ask where it is told resolves as before.
"""

from __future__ import annotations

import os
import pathlib
import shlex
import shutil
import sys

from lab.tools import LabError, run, work_directory

PYTHON = "3.11"  # of Debian 12
GLIBC = 36
PLATFORMS = (
    *(f"manylinux_2_{minor}_x86_64" for minor in range(GLIBC, 4, -1)),
    *("manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"),
)
RUN_PIP = f"""\
import sys
from pip._internal.cli.main import main
from pip._vendor.packaging import markers
real = markers.default_environment
markers.default_environment = lambda: {{**real(), "python_version": "{PYTHON}", "python_full_version": "{PYTHON}.2"}}
sys.exit(main(sys.argv[1:]))
"""
HINT = "GPUFLEET_LAB_PIP_ARGS='--extra-index-url https://download.pytorch.org/whl/cpu'"


def _python_with_pip() -> pathlib.Path:
    environment = work_directory("build") / "venv"
    try:
        run(sys.executable, "-m", "venv", "--clear", environment)
    except LabError:  # Debian keeps ensurepip in a package of its own
        run("apt-get", "install", "-y", "-qq", "python3-venv", env={"DEBIAN_FRONTEND": "noninteractive"})
        run(sys.executable, "-m", "venv", "--clear", environment)
    return environment


def install(site: pathlib.Path, *requirements: str, alone: bool = False) -> None:
    """Install into a directory from the index that pip is set up for here; alone is without what they require."""
    environment = _python_with_pip()
    run(
        *(environment / "bin" / "python", "-c", RUN_PIP),
        *("install", "--quiet", "--no-compile", "--target", site, "--only-binary", ":all:"),
        *("--python-version", PYTHON, *(word for name in PLATFORMS for word in ("--platform", name))),
        *shlex.split(os.environ.get("GPUFLEET_LAB_PIP_ARGS", "")),
        *(("--no-deps",) if alone else ()),
        *requirements,
        log=work_directory("log") / "pip.log",
    )
    shutil.rmtree(environment)
