# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every recorded name and every query of the dashboard has data, by promtool, with the names of every release.

What an engine showed is of 0.32.0; an older release is given the same under its own names. Releases with the same names
are tried once.
"""

from __future__ import annotations

import pathlib
import re

from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm import metric_names
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._monitoring.planned import (
    STEP,
    Json,
    needs_promtool,
    page,
    promtool,
    steps,
    written,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._monitoring.test_alerts import (
    GPU,
    Series,
    case,
    certificate,
    key,
    memory,
    status,
    xid,
)
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._monitoring.test_names import (
    READ,
    SINCE,
    TABLE,
    number,
    queries,
    shown,
)

MINUTES = 10
LONG = MINUTES * 60 // STEP
ELSEWHERE: Series = {
    **memory(92, 8),
    **xid(0, steps(0, then=LONG)),
    **certificate(1e6),
    **key(0),
    **status("UP", 1),
    f"DCGM_FI_DEV_GPU_TEMP{{{GPU}}}": steps(60, then=LONG),
}


def names_of(version: str) -> frozenset[str]:
    return frozenset(name for names in READ.values() for name in names if name in shown(version))


def engine(names: frozenset[str]) -> Series:
    """An engine of a release with these names, whose counters go on."""
    before = {**page("busy"), **page("speculates")}
    found: Series = {}
    for series, value in before.items():
        name, _brace, labels = series.partition("{")
        (meaning,) = (meaning for meaning, known in READ.items() if name in known)
        counts = re.search(r"_(total|bucket)$", name) is not None
        for other in set(READ[meaning]) & names:
            found[f"{other}{{{labels}"] = steps(value, then=LONG, each=float(counts))
    return found


def asked(version: str) -> list[str]:
    """Recorded names, and what panels ask; not the panel of alerts, which has what is told."""
    found = [
        name if name.startswith("gpufleet:") else re.sub(r"\$(host|instance)", ".*", query)
        for name, query in queries().items()
        if name.startswith(("gpufleet:", "panel ")) and name != "panel Alerts, A"
    ]
    unknown = [f"gpufleet:{meaning}:" for meaning, since in SINCE.items() if number(version) < number(since)]
    return [query for query in found if not any(one in query for one in unknown)]


def checks(version: str) -> list[Json]:
    samples = [{"labels": "{}", "value": 1}]
    return [
        {"expr": f"count({query}) > bool 0", "eval_time": f"{MINUTES}m", "exp_samples": samples}
        for query in asked(version)
    ]


def different() -> dict[frozenset[str], str]:
    """A release for each set of names that there is."""
    return {names_of(version): version for version in TABLE["versions"]}


def test_releases_differ_in_what_is_read() -> None:
    assert len(different()) > 3
    assert set(different().values()) <= set(TABLE["versions"])
    assert set(metric_names.SPECULATION) <= set(READ)


@needs_promtool
def test_every_query_has_data_for_every_release(tmp_path: pathlib.Path) -> None:
    rules = written(tmp_path).rules
    cases = [
        case(f"vLLM {version}", {**engine(names), **ELSEWHERE}, checks(version))
        for names, version in different().items()
    ]
    assert all(len(one["promql_expr_test"]) > 25 for one in cases)
    assert promtool(tmp_path, rules, cases, 2 * STEP) == ""


@needs_promtool
def test_a_query_without_data_is_found(tmp_path: pathlib.Path) -> None:
    newest = TABLE["versions"][-1]
    gone = {name for name in names_of(newest) if "preemptions" not in name}
    said = promtool(
        tmp_path,
        written(tmp_path).rules,
        [case("x", {**engine(frozenset(gone)), **ELSEWHERE}, checks(newest))],
        2 * STEP,
    )
    assert "gpufleet:preemptions:rate5m" in said and "gpufleet:requests_running" not in said
