# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry on Docker's bridge, so that hosts in containers pull images as hosts do."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import urllib.error
import urllib.request

from lab import engine
from lab.tools import WORK, LabError, is_running, say, wait_for, work_directory

PORT = int(os.environ.get("GPUFLEET_LAB_REGISTRY_PORT") or 5055)
# Where Docker's bridge is by itself.
DEFAULT = "172.17.0.1:5055"

CONFIG = """\
version: 0.1
log:
  level: warn
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: {storage}
  delete:
    enabled: true
http:
  addr: {address}
"""


def address() -> str:
    return f"{engine.bridge_address()}:{PORT}"


def known() -> str:
    """The address that inventories and tests take: the environment's, or where the registry was started last."""
    try:
        written = _address_file().read_text().strip()
    except FileNotFoundError:
        written = ""
    return os.environ.get("GPUFLEET_LAB_REGISTRY") or written or DEFAULT


def _address_file() -> pathlib.Path:
    return WORK / "registry" / "address"


def _answers(at: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{at}/v2/", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _config() -> pathlib.Path:
    return work_directory("registry") / "config.yml"


def start() -> str:
    """Start the registry unless one answers, and return its address."""
    at = address()
    work_directory("registry")
    _address_file().write_text(f"{at}\n")
    if _answers(at):
        return at
    _config().write_text(CONFIG.format(storage=work_directory("registry", "data"), address=at))
    log = (work_directory("log") / "registry.log").open("a")
    process = subprocess.Popen(
        ["docker-registry", "serve", str(_config())],
        stdout=log,
        stderr=log,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    (work_directory() / "registry.pid").write_text(str(process.pid))

    def ready() -> bool:
        if process.poll() is not None:
            raise LabError(
                f"the registry ended at once; {log.name} says why (is {at} taken? set GPUFLEET_LAB_REGISTRY_PORT)"
            )
        return _answers(at)

    wait_for(f"the registry on {at}", ready)
    say(f"registry started on {at}")
    return at


def stop() -> None:
    pid_file = work_directory() / "registry.pid"
    pid = is_running(pid_file, str(_config()))
    if pid:
        os.kill(pid, signal.SIGTERM)
        wait_for("the end of the registry", lambda: is_running(pid_file, str(_config())) is None)
        say("registry stopped")
    pid_file.unlink(missing_ok=True)
