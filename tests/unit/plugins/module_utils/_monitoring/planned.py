# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A monitoring that tests plan, and what an engine showed, as promtool takes it."""

from __future__ import annotations

import json
import pathlib
import re
import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._monitoring import configuration, settings, targets
from ansible_collections.gpufleet.vllm.plugins.module_utils._monitoring.places import Places
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm import metric_names
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings

Json = dict[str, t.Any]
PAGES = role_settings.ROLES.parent / "tests" / "data" / "metrics"
STEP = 15
READ = {name for known in (metric_names.SERIES, metric_names.SPECULATION) for names in known.values() for name in names}
LINE = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?P<labels>.*)\})? (?P<value>\S+)")
ENGINE = 'job="vllm",host="gpu-1",instance="gpu-1:assistant"'

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed: make prometheus"
)


def stated(**changed: t.Any) -> Json:
    """The role's variables with their defaults, as they are typed."""
    options = role_settings.options_of(settings.ROLE)
    return {**{name.removeprefix(f"{settings.ROLE}_"): one["default"] for name, one in options.items()}, **changed}


def read(**changed: t.Any) -> settings.Settings:
    errors: list[str] = []
    found = settings.read(stated(**changed), errors)
    assert errors == []
    return found


ONE = targets.Host("gpu-1", True, "gpu-1", [{"name": "assistant", "model": "org/m", "port": 8000}], 8405, 0, 9400)


def written(folder: pathlib.Path, hosts: t.Sequence[targets.Host] = (ONE,), **changed: t.Any) -> Places:
    """What the role writes, below a folder."""
    errors: list[str] = []
    own = read(**changed)
    places = Places(str(folder / "monitoring"), str(folder / "units"), str(folder / "textfiles"))
    for path, text in configuration.of_host(own, targets.targets(own, hosts, errors), places).items():
        pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(path).write_text(text)
    assert errors == []
    return places


def page(name: str) -> dict[str, float]:
    """What an engine of 0.32.0 showed, by series: those that are read, so that promtool is done soon."""
    text = (PAGES / f"vllm-0.32.0-{name}.txt").read_text()
    found = {}
    for line in text.splitlines():
        match = LINE.fullmatch(line)
        assert match is not None, line
        if match["name"] not in READ:
            continue
        found[f"{match['name']}{{{match['labels']},{ENGINE}}}"] = float(match["value"])
    return found


def steps(*values: float, then: int = 0, each: float = 0.0) -> str:
    """Values a step apart, and `then` further ones that grow by `each`."""
    told = [f"{value:.12g}" for value in values]
    return " ".join([*told, f"{values[-1] + each:.12g}{each:+.12g}x{then - 1}"] if then else told)


def promtool(folder: pathlib.Path, rules: str, tests: t.Sequence[Json], every: int = STEP) -> str:
    """What promtool says of tests of rules; '' where all are as expected."""
    file = folder / "tests.yml"
    file.write_text(json.dumps({"rule_files": [rules], "evaluation_interval": f"{every}s", "tests": list(tests)}))
    ran = subprocess.run(
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, timeout=300, check=False
    )
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr
