# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every query asks for what every supported release of vLLM shows, by the names in its own sources."""

from __future__ import annotations

import json
import re
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._monitoring import configuration
from ansible_collections.gpufleet.vllm.plugins.module_utils._monitoring.recorded import RECORDED
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm import metric_names
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._monitoring.planned import Json, page, read

FILES = role_settings.ROLES / "vllm_monitoring" / "files"
TABLE: Json = json.loads((FILES / "metric_names.json").read_text())
HISTORY = role_settings.ROLES / "vllm_server" / "files" / "engine_args" / "history.json"
# As Prometheus names what a counter and a histogram show.
ENDS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
VLLM = re.compile(r"vllm:[a-z0-9_]+")
OWN = re.compile(r"\bgpufleet:[a-z0-9_:]+")
READ: t.Mapping[str, tuple[str, ...]] = {**metric_names.SERIES, **metric_names.SPECULATION}
# etc/default-counters.csv of NVIDIA/dcgm-exporter at commit b54068a9: what rules may read, since every exporter has it.
DCGM_DEFAULTS = {
    *("DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_MEM_CLOCK", "DCGM_FI_DEV_MEMORY_TEMP", "DCGM_FI_DEV_GPU_TEMP"),
    *("DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_PCIE_TX_THROUGHPUT"),
    *("DCGM_FI_DEV_PCIE_RX_THROUGHPUT", "DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "DCGM_FI_DEV_GPU_UTIL"),
    *("DCGM_FI_DEV_MEM_COPY_UTIL", "DCGM_FI_DEV_ENC_UTIL", "DCGM_FI_DEV_DEC_UTIL", "DCGM_FI_DEV_XID_ERRORS"),
    *("DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL"),
    *("DCGM_FI_DEV_VGPU_LICENSE_STATUS", "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS"),
    *("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "DCGM_FI_DEV_ROW_REMAP_FAILURE"),
}
# What only newer releases count: before, its rules have nothing to say.
SINCE = {"rejections": "0.32.0"}


def number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def shown(version: str) -> set[str]:
    """The series of a release."""
    found = set()
    for name, one in TABLE["names"].items():
        until = one.get("until")
        if number(one.get("since", "0.0.0")) <= number(version) and not (until and number(version) >= number(until)):
            found |= {f"{name}{end}" for end in ENDS[one["kind"]]}
    return found


def queries() -> dict[str, str]:
    rules: t.Any = [rule for group in configuration.rules(read())["groups"] for rule in group["rules"]]
    panels = json.loads((FILES / "dashboard.json").read_text())["panels"]
    found = {str(rule.get("record") or rule["alert"]): str(rule["expr"]) for rule in rules}
    found.update(
        {f"panel {one['title']}, {at['refId']}": at["expr"] for one in panels for at in one.get("targets", [])}
    )
    return found


def test_the_table_has_every_release_whose_arguments_are_known() -> None:
    versions = json.loads(HISTORY.read_text())["versions"]
    missing = sorted(set(versions) - set(TABLE["versions"]))
    assert TABLE["versions"] == versions, (
        f"roles/vllm_monitoring/files/metric_names.json: put {missing} into `versions`, and names that came or "
        "went with them, as step 2 of docs/contributing/vllm-release.md prints them"
    )


@pytest.mark.parametrize("version", TABLE["versions"])
def test_every_release_has_what_is_read_by_one_of_its_names(version: str) -> None:
    for meaning, names in {**READ, **metric_names.READ_TWICE}.items():
        if number(version) >= number(SINCE.get(meaning, "0.0.0")):
            assert set(names) & shown(version), f"{meaning} in {version}"


def test_what_is_only_of_newer_releases_is_not_of_older_ones() -> None:
    for meaning, since in SINCE.items():
        before = [version for version in TABLE["versions"] if number(version) < number(since)]
        assert not any(set(metric_names.SERIES[meaning]) & shown(version) for version in before)


def test_queries_ask_for_nothing_else_of_an_engine() -> None:
    """A name that stands in a rule and in no release is a rule that is never told."""
    read_there = {name for names in READ.values() for name in names}
    asked = {name for query in queries().values() for name in VLLM.findall(query)}
    assert asked <= read_there
    assert read_there <= {name for version in TABLE["versions"] for name in shown(version)}
    assert asked == read_there


def test_queries_ask_for_what_every_exporter_of_dcgm_has() -> None:
    asked = {name for query in queries().values() for name in re.findall(r"\bDCGM_\w+", query)}
    assert asked and asked <= DCGM_DEFAULTS


def test_queries_ask_for_recorded_names_that_there_are() -> None:
    asked = {name for query in queries().values() for name in OWN.findall(query)}
    assert asked == set(RECORDED)


def test_panels_leave_names_of_releases_to_the_rules() -> None:
    assert {name for name, query in queries().items() if name.startswith("panel") and VLLM.search(query)} == set()


def test_a_real_engine_showed_what_the_table_says_of_its_release() -> None:
    """Of 0.32.0, what is read."""
    seen = {series.partition("{")[0] for series in page("busy")}
    read_there = {name for names in metric_names.SERIES.values() for name in names}
    assert seen == read_there & shown("0.32.0")


def test_what_is_gone_is_gone_in_the_table() -> None:
    for name, since, now in metric_names.GONE:
        assert number(TABLE["names"][name]["until"]) == since
        assert now in TABLE["names"]
    assert {name for name, one in TABLE["names"].items() if "until" in one} == {one[0] for one in metric_names.GONE}
