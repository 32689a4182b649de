# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A control node with another release of ansible-core: an environment of its own, here or on Debian 13."""

from __future__ import annotations

import datetime as dt
import json
import pathlib
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from ansible_collections.gpufleet.vllm.tests.compat.releases import Cell
from ansible_collections.gpufleet.vllm.tests.faults.play import CHECKOUT
from lab.tools import WORK, digest

# Of the project's own requirements, what tests of plugins and playbooks take beside ansible.
TAKES = ("jinja2", "nvidia-ml-py", "pytest", "hypothesis")
LOGS = CHECKOUT / "build" / "compat"
LIMIT = 2400.0
VERSIONS = """
import importlib.metadata, json, platform, sys
said = {name: importlib.metadata.version(name) for name in ("ansible-core", "ansible")}
said |= {"python": platform.python_version(), "system": platform.freedesktop_os_release()["PRETTY_NAME"]}
print(json.dumps(said))
"""


@dataclass
class Result:
    """What a cell showed: versions, and for each part how it ended. A part that did not run is not there."""

    cell: str
    # Of the moment when it began: commits may follow while it runs.
    run: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    said: str = ""

    @property
    def passed(self) -> bool:
        return bool(self.parts) and not any("FAILED" in how for how in self.parts.values())


def requirements(cell: Cell) -> list[str]:
    texts = [(CHECKOUT / name).read_text() for name in ("requirements.txt", "requirements-dev.txt")]
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", "\n".join(texts), re.MULTILINE))
    own = [f"ansible-core=={cell.release.core}", f"ansible=={cell.release.ansible}"]
    return own + [f"{name}=={pinned[name]}" for name in TAKES]


def script(cell: Cell, results: pathlib.Path, subjects: str) -> str:
    """What the control node runs. The environment is kept, under the digest of what is in it."""
    wanted = requirements(cell)
    environment = WORK / "compat" / cell.folder
    python, mark = environment / "bin" / "python", environment / f".{digest(*wanted)}"
    make = [
        f"rm -rf {environment}",
        f"{cell.here or 'python3'} -m venv {environment}",
        f"{python} -m pip install --quiet --disable-pip-version-check {shlex.join(wanted)}",
        f"touch {mark}",
    ]
    lines = [
        f"test -e {mark} || {{ {' && '.join(make)}; }}",
        f"{python} -c {shlex.quote(VERSIONS)} > {results}/versions.json",
    ]
    if cell.units:
        lines.append(f"{{ {python} -m pytest -q tests/unit/plugins --junitxml={results}/units.xml || true; }}")
    if cell.lab:
        only = f"-k {shlex.quote(subjects)}" if subjects else ""
        lines.append(f"{python} -m pytest -q tests/compat/subjects.py {only} --junitxml={results}/lab.xml")
    return " && ".join(lines)


def _about() -> dict[str, str]:
    command = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False).stdout.strip()
    return {"date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"), "commit": commit}


def run(cell: Cell, subjects: str = "") -> Result:
    """Run the parts of a cell and read what they left."""
    about = _about()
    results = WORK / "compat" / "results" / cell.folder
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{cell.folder}.log"
    text = script(cell, results, subjects)
    command = ["sh", "-c", text] if cell.here else [str(CHECKOUT / "lab" / "lab"), "control", "--shared-engine", text]
    with log.open("w") as output:
        subprocess.run(command, cwd=CHECKOUT, stdout=output, stderr=subprocess.STDOUT, check=False, timeout=LIMIT)
    found = Result(str(cell), about, said=log.read_text()[-6000:])
    versions = results / "versions.json"
    if versions.exists() and versions.read_text():
        found.versions = json.loads(versions.read_text())
    if cell.units:
        found.parts["units"] = _tally(results / "units.xml")
    if cell.lab:
        found.parts |= _each(results / "lab.xml")
    return found


def _cases(path: pathlib.Path) -> list[ET.Element]:
    """The tests of a run; none of one that was cut off before it wrote them down."""
    try:
        return list(ET.parse(path).getroot().iter("testcase"))
    except (OSError, ET.ParseError):
        return []


def _how(case: ET.Element) -> str:
    kinds = {child.tag for child in case}
    if kinds & {"failure", "error"}:
        return "FAILED"
    return "skipped" if "skipped" in kinds else "passed"


def _tally(path: pathlib.Path) -> str:
    ended = [_how(case) for case in _cases(path)]
    counted = [(how, ended.count(how)) for how in ("passed", "FAILED", "skipped")]
    return ", ".join(f"{count} {how}" for how, count in counted if count) or "FAILED: none ran"


def _each(path: pathlib.Path) -> dict[str, str]:
    cases: list[ET.Element] = _cases(path)
    named = {case.get("name", "").removeprefix("test_"): _how(case) for case in cases}
    return named or {"lab": "FAILED: none ran"}
