# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each alert is told where it should be and not where it should not, on what a real engine showed.

`vllm-0.32.0-busy.txt`, `-stalled.txt` and `-after.txt` are of one engine under load: before its core was stopped with
SIGSTOP, while it was (its /health said 200), and after it had gone on.
"""

from __future__ import annotations

import pathlib
import re
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._monitoring import alerts
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._monitoring.planned import (
    STEP,
    Json,
    needs_promtool,
    page,
    promtool,
    read,
    steps,
    written,
)

pytestmark = needs_promtool
HOUR = 3600 // STEP
DAY = 86_400
DOOR = 'job="door",host="gpu-1",instance="gpu-1"'
NODE = 'job="node",host="gpu-1",instance="gpu-1"'
# As DCGM's exporter 4 has it: of an Xid with its number and words.
GPU = (
    'job="dcgm",host="gpu-1",instance="gpu-1",gpu="0",UUID="GPU-a",pci_bus_id="00000000:04:00.0",device="nvidia0",'
    'modelName="NVIDIA H100 80GB HBM3",Hostname="gpu-1",DCGM_FI_DRIVER_VERSION="580.95.05"'
)
SERVER = f'proxy="model-a",server="gpu-1:assistant",{DOOR}'
UP = 'up{job="vllm",host="gpu-1",instance="gpu-1:assistant"}'
MANY = HOUR
Series = dict[str, str]


def engine(*pages: str, **changed: str) -> Series:
    """Pages a step apart, the last one for an hour and more; some series otherwise, by name."""
    found = {series: steps(*(page(name)[series] for name in pages), then=MANY) for series in page(pages[0])}
    for name, values in changed.items():
        for series in found:
            if series.startswith((f"vllm:{name}{{", f"vllm:{name}_bucket{{")):
                found[series] = values
    return {UP: steps(1, then=MANY), **found}


def serving(**changed: str) -> Series:
    """An engine under load: tokens move, as they did between two readings of it."""
    before, after = page("busy"), page("after")
    found = {
        series: steps(value, then=MANY, each=max(after[series] - value, 0) if "_total" in series else 0)
        for series, value in before.items()
    }
    for series in found:
        if "prefix_cache_hits" in series:
            found[series] = steps(0, then=MANY, each=600)
        if "prefix_cache_queries" in series:
            found[series] = steps(0, then=MANY, each=1000)
        if "admission_rejections" in series:
            found[series] = steps(0, then=MANY)
        for name, values in changed.items():
            if series.startswith(f"vllm:{name}{{"):
                found[series] = values
    return {UP: steps(1, then=MANY), **found}


def first_tokens(seconds: float) -> Series:
    """One request a step, each of which waited so long."""
    return {
        series: steps(0, then=MANY, each=float(seconds <= float(found[1].replace("+Inf", "inf"))))
        for series in page("busy")
        if series.startswith("vllm:time_to_first_token_seconds_bucket")
        for found in [re.search(r'le="([^"]+)"', series)]
        if found is not None
    }


def memory(used: int, free: int) -> Series:
    return {
        f"DCGM_FI_DEV_FB_USED{{{GPU}}}": steps(used, then=MANY),
        f"DCGM_FI_DEV_FB_FREE{{{GPU}}}": steps(free, then=MANY),
    }


def xid(number: int, values: str) -> Series:
    """Another number is another series. `_` is no reading, and `stale` the last one of a series that has gone."""
    return {f'DCGM_FI_DEV_XID_ERRORS{{{GPU},err_code="{number}",err_msg="Words"}}': values}


def planned(share: float) -> Series:
    return {f'gpufleet_gpu_planned_ratio{{gpu_uuid="GPU-a",vllm_instance="assistant",{NODE}}}': steps(share, then=MANY)}


def certificate(ends: float) -> Series:
    labels = f'path="/etc/ssl/private/models.pem",{NODE}'
    return {f"gpufleet_door_certificate_ends_timestamp_seconds{{{labels}}}": steps(ends, then=MANY)}


def key(since: float) -> Series:
    labels = f'kind="client",key="web",{NODE}'
    return {f"gpufleet_api_key_since_timestamp_seconds{{{labels}}}": steps(since, then=MANY)}


def status(state: str, value: int) -> Series:
    return {f'haproxy_server_status{{state="{state}",{SERVER}}}': steps(value, then=MANY)}


def sessions(count: int) -> Series:
    return {f"haproxy_server_current_sessions{{{SERVER}}}": steps(count, then=MANY)}


# Alert, what is there, when it is told, and when it is not yet: minutes and seconds after the first reading.
TOLD: t.Final[t.Sequence[tuple[str, Series, str, str]]] = (
    ("VllmEngineAway", {UP: steps(0, then=MANY)}, "5m30s", "4m30s"),
    ("VllmStalled", engine("busy", "stalled"), "1m45s", "45s"),
    # Two readings in which nothing moved are too few, as when Prometheus has just come.
    ("VllmStalledBehindDoor", {**engine("after"), **sessions(1)}, "1m45s", "30s"),
    ("VllmDoorEndpointAway", {**status("DOWN", 1), **status("UP", 0)}, "5m30s", "4m30s"),
    ("VllmDoorNobodyServes", {**status("DOWN", 1), **status("UP", 0)}, "5m30s", "4m30s"),
    ("VllmKvCacheFull", serving(kv_cache_usage_perc=steps(0.93, then=MANY)), "11m", "9m"),
    ("VllmFirstTokenSlow", {**serving(), **first_tokens(12.0)}, "20m", "9m"),
    ("VllmRequestsWait", serving(num_requests_waiting=steps(11, then=MANY)), "6m", "4m"),
    ("VllmPreemptions", serving(num_preemptions_total=steps(0, then=MANY, each=1)), "20m", "9m"),
    ("VllmRejections", serving(admission_rejections_total=steps(0, then=MANY, each=1)), "12m", "4m"),
    ("VllmPrefixHitsLow", serving(prefix_cache_hits_total=steps(0, then=MANY, each=400)), "50m", "29m"),
    ("GpuMemoryFull", memory(97, 3), "11m", "9m"),
    ("GpuMemoryFull", {**memory(99, 1), **planned(0.98)}, "11m", "9m"),
    ("GpuXid", {f"DCGM_FI_DEV_XID_ERRORS{{{GPU}}}": steps(0, 0, 79, then=MANY)}, "1m", "15s"),
    ("GpuXid", {**xid(0, "0 0 stale"), **xid(79, f"_ _ {steps(79, then=MANY)}")}, "1m", "15s"),
    # One that had no series until it had its first.
    ("GpuXid", {**memory(92, 8), **xid(48, f"_x60 {steps(48, then=MANY)}")}, "15m15s", "14m45s"),
    ("GpuHot", {f"DCGM_FI_DEV_GPU_TEMP{{{GPU}}}": steps(94, then=MANY)}, "11m", "9m"),
    ("GpuMemoryWornOut", {f"DCGM_FI_DEV_ROW_REMAP_FAILURE{{{GPU}}}": steps(1, then=MANY)}, "2m", "45s"),
    ("GpuLost", {
        f"DCGM_FI_DEV_FB_USED{{{GPU}}}": steps(1, then=39),
        f'DCGM_FI_DEV_FB_USED{{{GPU.replace("GPU-a", "GPU-b")}}}': steps(1, then=MANY)}, "20m", "9m"),
    ("VllmRolloutFailed", {
        f'gpufleet_rollout_failed_timestamp_seconds{{vllm_instance="assistant",failure_class="memory.kv",{NODE}}}':
        steps(30, then=MANY)}, "3m", "30s"),
    ("VllmNothingVerified", {
        f'gpufleet_instance_stuck{{vllm_instance="assistant",{NODE}}}': steps(1, then=MANY)}, "6m", "4m"),
    # Days are counted from the beginning of a case, which is that of the epoch.
    ("VllmDoorCertificateEnds", certificate(14 * DAY + 600), "16m", "9m"),
    ("VllmDoorCertificateEnded", certificate(1200), "20m", "19m45s"),
    ("VllmApiKeyOld", key(600 - 365 * DAY), "16m", "9m"),
    ("VllmWatchSilent", {f"gpufleet_watch_round_timestamp_seconds{{{NODE}}}": steps(0, then=MANY)}, "17m", "9m"),
    ("MonitoringTargetAway", {f"up{{{NODE}}}": steps(0, then=MANY)}, "6m", "4m"),
    ("MonitoringConfigRefused", {
        'prometheus_config_last_reload_successful{job="prometheus",host="gpu-1",instance="gpu-1"}': steps(0, then=MANY)
    }, "6m", "4m"),
)  # fmt: skip

# What none of them may be told of, within an hour.
SILENT: t.Final[t.Mapping[str, Series]] = {
    "an hour of load": {
        **serving(), **first_tokens(0.5), **sessions(2), **status("UP", 1), **status("DOWN", 0), **memory(92, 8),
        f"up{{{NODE}}}": steps(1, then=MANY), **xid(0, steps(0, then=MANY)), **certificate(90 * DAY), **key(0),
        f"DCGM_FI_DEV_GPU_TEMP{{{GPU}}}": steps(80, then=MANY),
        f"DCGM_FI_DEV_ROW_REMAP_FAILURE{{{GPU}}}": steps(0, then=MANY),
        f"gpufleet_watch_round_timestamp_seconds{{{NODE}}}": steps(0, then=MANY, each=STEP),
    },
    "nobody asks": {**engine("after"), **sessions(0), **status("UP", 1)},
    # It counts no token yet, and the cache fills.
    "a prompt that takes minutes": engine("stalled", kv_cache_usage_perc=steps(0.01, then=MANY, each=0.001)),
    "an engine that is gone, and requests at the door": {
        **engine("after"), **sessions(1), UP: steps(0, then=MANY),
        f'gpufleet_rollout_running{{vllm_instance="assistant",{NODE}}}': steps(1, then=MANY),
    },
    "a rollout of minutes": {
        UP: steps(0, then=MANY), f'gpufleet_rollout_running{{vllm_instance="assistant",{NODE}}}': steps(1, then=MANY)
    },
    "memory that is planned": {**memory(97, 3), **planned(0.98)},
    "few prompts": serving(prefix_cache_hits_total=steps(0, then=MANY), prefix_cache_queries_total=steps(
        0, then=MANY, each=1)),
    "an Xid of the day before": {**memory(92, 8), **xid(31, steps(31, then=MANY))},
    # The exporter was away meanwhile, and it is not known what was new.
    "an exporter that comes back": {
        **xid(31, f"_x60 {steps(31, then=MANY)}"), f"DCGM_FI_DEV_FB_USED{{{GPU}}}": f"_x60 {steps(1, then=MANY)}",
        f"DCGM_FI_DEV_FB_FREE{{{GPU}}}": f"_x60 {steps(9, then=MANY)}",
    },
}  # fmt: skip


def case(name: str, series: Series, checks: t.Sequence[Json] = (), alerts_at: t.Sequence[Json] = ()) -> Json:
    return {
        "name": name,
        "interval": f"{STEP}s",
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "promql_expr_test": list(checks),
        "alert_rule_test": list(alerts_at),
    }


def firing(alert: str, at: str, count: int) -> Json:
    query = f'count(ALERTS{{alertname=~"{alert}",alertstate="firing"}}) or vector(0)'
    return {"expr": query, "eval_time": at, "exp_samples": [{"labels": "{}", "value": count}]}


def test_alerts_are_told_in_time_and_not_before_and_in_whole_words(tmp_path: pathlib.Path) -> None:
    """promtool shows the words of an alert that it was told to expect none of, so that is all that it may show."""
    told = [
        case(
            f"{name}, {number}",
            series,
            [firing(name, early, 0), firing(name, late, 1)],
            [{"alertname": name, "eval_time": late, "exp_alerts": []}],
        )
        for number, (name, series, late, early) in enumerate(TOLD)
    ]
    said = promtool(tmp_path, written(tmp_path).rules, told)
    assert "expr:" not in said, said
    assert said.count("Annotations:") == len(TOLD)
    for wrong in ("<no value>", "error expanding", "{{", '=""'):
        assert wrong not in said, said
    assert 'summary="gpu-1:assistant has requests, and no token moves"' in said


def test_a_stall_is_told_within_two_minutes_of_its_beginning() -> None:
    """A reading, a look at the rules and the alert's own wait come behind the window."""
    own = read()
    (stall,) = (one for one in alerts.alerts(own) if one.name == "VllmStalled")
    assert own.stall_seconds + own.scrape_interval + STEP + stall.seconds < 120


def test_what_is_right_is_silent(tmp_path: pathlib.Path) -> None:
    silent = [
        case(name, series, [firing(".+", f"{minute}m", 0) for minute in range(5, 60, 5)])
        for name, series in SILENT.items()
    ]
    assert promtool(tmp_path, written(tmp_path).rules, silent, 2 * STEP) == ""


def test_every_alert_has_a_case() -> None:
    assert {name for name, *_rest in TOLD} == {one.name for one in alerts.alerts(read())}


def test_a_rule_that_would_never_be_told_is_found(tmp_path: pathlib.Path) -> None:
    """The cases above can fail."""
    places = written(tmp_path, stall_seconds=600)
    name, series, late, early = next(one for one in TOLD if one[0] == "VllmStalled")
    assert "VllmStalled" in promtool(tmp_path, places.rules, [case("x", series, [firing(name, late, 1)])])
    assert promtool(tmp_path, places.rules, [case("x", series, [firing(name, early, 0)])]) == ""


@pytest.mark.parametrize(
    ("threshold", "alert"),
    [
        ("waiting_requests", "VllmRequestsWait"),
        ("preemptions_per_minute", "VllmPreemptions"),
        ("rejections_per_minute", "VllmRejections"),
        ("prefix_hit_percent", "VllmPrefixHitsLow"),
        ("gpu_celsius", "GpuHot"),
        ("api_key_days", "VllmApiKeyOld"),
        ("certificate_days", "VllmDoorCertificateEnds VllmDoorCertificateEnded"),
    ],
)
def test_a_threshold_of_zero_switches_its_alert_off(threshold: str, alert: str) -> None:
    names = {one.name for one in alerts.alerts(read())}
    assert names - {one.name for one in alerts.alerts(read(**{threshold: 0}))} == set(alert.split())


def test_every_alert_says_what_to_do() -> None:
    for one in alerts.alerts(read()):
        assert one.severity in ("critical", "warning", "info")
        assert one.summary and len(one.description) > 60, one.name
        assert one.page.endswith("docs/monitoring.md#the-alerts")
