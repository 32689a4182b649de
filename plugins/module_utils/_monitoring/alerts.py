# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts: what has to be true for how long, and what to do then. docs/monitoring.md has their table.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._vllm.metric_names import each
from .settings import SAMPLES, Settings
from .targets import DCGM, DOOR, NODE, VLLM

PAGE = "https://github.com/gpufleet/ansible-vllm/blob/main/docs/monitoring.md"
CRITICAL, WARNING, INFO = "critical", "warning", "info"
# Servers of a door that are no engine: its waiting room.
ENGINES = 'server=~".+:.+",proxy!~".*[.]waits"'
# A rollout has limits of its own, and tells when it fails.
UNDER_WAY = 'label_join(gpufleet_rollout_running == 1, "instance", ":", "host", "vllm_instance")'
DAY = 86_400
STATUS = f"haproxy_server_status{{{ENGINES}"


class Alert(t.NamedTuple):
    """`query` is true where something is wrong, for `seconds` before it is told. {{ }} is Prometheus' own."""

    name: str
    query: str
    seconds: int
    severity: str
    summary: str
    description: str

    @property
    def page(self) -> str:
        return f"{PAGE}#the-alerts"


def alerts(settings: Settings) -> list[Alert]:
    """All of them that are on. A threshold of 0 switches its alert off."""
    return [
        *_engines(settings),
        *_door(settings),
        *_load(settings),
        *_queues(settings),
        *_prefix_cache(settings),
        *_gpus(settings),
        *_rollouts(settings),
        *_ages(settings),
        *_monitoring(settings),
    ]


def _engines(settings: Settings) -> list[Alert]:
    quiet = f"{settings.stall_seconds}s"
    still = _still(quiet)
    running = f"min_over_time({{}}[{quiet}]) > 0"
    sessions = f"max by (server) (min_over_time(haproxy_server_current_sessions{{{ENGINES}}}[{quiet}])) > 0"
    told = (
        "health may still say 200. The watch of the host restarts it (docs/watch.md), see journalctl -u gpufleet-watch"
    )
    return [
        Alert(
            "VllmEngineAway",
            f'up{{job="{VLLM}"}} == 0 unless on (instance) {UNDER_WAY}',
            settings.away_seconds,
            CRITICAL,
            "{{ $labels.instance }} does not answer",
            "Its page of metrics cannot be read: it is not running, not ready yet, or hangs as a whole. On the host: "
            "gpufleet-host status, then docs/failures.md.",
        ),
        Alert(
            "VllmStalled",
            f"max by (host, instance) ({each('running', running)} and on (host, instance, engine) ({still}))",
            settings.scrape_interval,
            CRITICAL,
            "{{ $labels.instance }} has requests, and no token moves",
            f"Nothing was taken in or generated for {quiet} while requests run; {told}.",
        ),
        Alert(
            "VllmStalledBehindDoor",
            f'label_replace({sessions}, "instance", "$1", "server", "(.+)") and on (instance) '
            f"(max by (host, instance) ({still}))",
            settings.scrape_interval,
            CRITICAL,
            "{{ $labels.instance }} has requests of the door, and no token moves",
            f"The door has had requests at it for {quiet}, and the engine did nothing, whatever it says of itself; "
            f"{told}.",
        ),
    ]


def _door(settings: Settings) -> list[Alert]:
    away = settings.away_seconds
    return [
        Alert(
            "VllmDoorEndpointAway",
            f'max by (host, server) ({STATUS},state="DOWN"}}) == 1',
            away,
            WARNING,
            "The door of {{ $labels.host }} gets no answer from {{ $labels.server }}",
            "It gets no requests until it answers. See whether it is being changed, else docs/gateway.md.",
        ),
        Alert(
            "VllmDoorNobodyServes",
            f'max by (host, proxy) ({STATUS},state="UP"}}) == 0',
            away,
            CRITICAL,
            "Nobody serves {{ $labels.proxy }} behind the door of {{ $labels.host }}",
            "Requests wait, and are refused after vllm_gateway_wait_seconds: bring one of its servers back.",
        ),
    ]


def _still(window: str) -> str:
    """Engines of which nothing has moved. A long prompt that is taken in counts no token yet, and fills the cache."""
    generated, taken, cache = (
        f"{each(meaning, f'changes({{}}[{window}])')} == 0"
        for meaning in ("generation_tokens", "prompt_tokens", "kv_cache")
    )
    # Nothing changes in a single reading: one that is watched since just now has to be read more often.
    read = f"{each('generation_tokens', f'count_over_time({{}}[{window}])')} >= {SAMPLES - 1}"
    still = " and on (host, instance, engine) ".join((generated, taken, cache, read))
    # One that has just gone has readings in the window, and another alert.
    return f'{still} and on (instance) up{{job="{VLLM}"}} == 1'


def _load(settings: Settings) -> list[Alert]:
    percent = settings.kv_cache_percent
    return [
        Alert(
            "VllmKvCacheFull",
            f"gpufleet:kv_cache:ratio * 100 > {percent}",
            600,
            WARNING,
            'The KV cache of {{ $labels.instance }} is at {{ $value | printf "%.0f" }} %',
            "Requests will wait or be preempted: lower max_num_seqs or max_model_len, or give it more memory.",
        ),
        Alert(
            "VllmFirstTokenSlow",
            f"gpufleet:first_token_seconds:p95 > {settings.first_token_seconds}",
            600,
            WARNING,
            'First tokens of {{ $labels.instance }} take {{ $value | printf "%.1f" }} s',
            "One of twenty waits longer than that: see whether requests wait, prompts are longer, or the GPU is slow.",
        ),
    ]


def _queues(settings: Settings) -> list[Alert]:
    """What becomes of requests that there is no room for."""
    found = []
    if settings.waiting_requests:
        found.append(
            Alert(
                "VllmRequestsWait",
                f"gpufleet:requests_waiting > {settings.waiting_requests}",
                300,
                WARNING,
                "{{ $value }} requests wait at {{ $labels.instance }}",
                "More comes than it can do: add a replica behind the door, or find out what max_num_seqs it holds.",
            )
        )
    if settings.preemptions_per_minute:
        found.append(
            Alert(
                "VllmPreemptions",
                f"gpufleet:preemptions:rate5m * 60 > {settings.preemptions_per_minute}",
                600,
                WARNING,
                '{{ $labels.instance }} preempts {{ $value | printf "%.1f" }} requests a minute',
                "The KV cache is too small for so many at once, and work is done twice: lower max_num_seqs.",
            )
        )
    if settings.rejections_per_minute:
        found.append(
            Alert(
                "VllmRejections",
                f"gpufleet:rejections:rate5m * 60 > {settings.rejections_per_minute}",
                300,
                WARNING,
                '{{ $labels.instance }} turns {{ $value | printf "%.1f" }} requests a minute away',
                "Its queue is full (max_num_queued_reqs, max_num_queued_tokens): add a replica, or let more wait.",
            )
        )
    return found


def _prefix_cache(settings: Settings) -> list[Alert]:
    if not settings.prefix_hit_percent:
        return []
    return [
        Alert(
            "VllmPrefixHitsLow",
            f"gpufleet:prefix_hits:ratio30m * 100 < {settings.prefix_hit_percent} "
            "and on (host, instance) gpufleet:prefix_queries:rate30m > 10",
            1800,
            INFO,
            '{{ $value | printf "%.0f" }} % of the prompts at {{ $labels.instance }} were in its prefix cache',
            "Where prompts begin alike, put what varies at their end, and set vllm_gateway_balance: prefix. Where "
            "they do not, set vllm_monitoring_prefix_hit_percent: 0.",
        ),
    ]


def _gpus(settings: Settings) -> list[Alert]:
    """All of them need DCGM's exporter, and read what is among its default counters."""
    return [*_gpu_memory(settings), *_gpu_faults(), *_gpu_heat(settings)]


def _gpu_memory(settings: Settings) -> list[Alert]:
    percent = settings.gpu_memory_percent
    used = "gpufleet:gpu_memory:ratio * 100"
    planned = 'label_replace(gpufleet_gpu_planned_ratio, "UUID", "$1", "gpu_uuid", "(.+)")'
    return [
        Alert(
            "GpuMemoryFull",
            f"{used} > {percent} unless on (host, UUID) ({used} <= on (host, UUID) group_left () "
            f"(sum by (host, UUID) ({planned}) * 100))",
            600,
            WARNING,
            'GPU {{ $labels.gpu }} of {{ $labels.host }} has {{ $value | printf "%.0f" }} % of its memory taken',
            "That is more than is planned: the next peak may not fit. See what else is on it (nvidia-smi), or lower "
            "gpu_memory_utilization.",
        ),
        Alert(
            "GpuMemoryWornOut",
            "max by (host, gpu, UUID) (DCGM_FI_DEV_ROW_REMAP_FAILURE) > 0",
            60,
            CRITICAL,
            "GPU {{ $labels.gpu }} of {{ $labels.host }} has broken memory and no spare rows for it",
            "Rows that fail cannot be replaced any more: take the GPU out of service and have it exchanged. nvidia-smi "
            "-q -d ROW_REMAPPER shows how many there are.",
        ),
    ]


def _gpu_faults() -> list[Alert]:
    """A GPU without an Xid may have no series of it: then the first one is told where the GPU was seen before."""
    xid = "gpufleet:gpu_xid:last"
    first = f"{xid} unless {xid} offset 10m and on (host, UUID) DCGM_FI_DEV_FB_USED offset 10m"
    return [
        Alert(
            "GpuXid",
            f"{xid} > 0 and (changes({xid}[10m]) > 0 or ({first}))",
            0,
            WARNING,
            "GPU {{ $labels.gpu }} of {{ $labels.host }} has reported Xid {{ $value }}",
            "Read journalctl -k -g Xid on the host, and playbooks/status.yml: it says whether the GPU wants a reset. "
            "The same number twice is told once, and some exporters have none.",
        ),
        Alert(
            "GpuLost",
            "gpufleet:gpus:count < max_over_time(gpufleet:gpus:count[1d])",
            120,
            CRITICAL,
            "{{ $labels.host }} shows {{ $value }} GPUs, and had more",
            "One has left the bus or its driver: playbooks/status.yml, then docs/failures.md. Told for a day.",
        ),
    ]


def _gpu_heat(settings: Settings) -> list[Alert]:
    if not settings.gpu_celsius:
        return []
    return [
        Alert(
            "GpuHot",
            f"max by (host, gpu, UUID) (DCGM_FI_DEV_GPU_TEMP) > {settings.gpu_celsius}",
            600,
            WARNING,
            "GPU {{ $labels.gpu }} of {{ $labels.host }} has {{ $value }} °C",
            "It lowers its clocks when it gets too hot, and everything is slower: look at fans, dust and what the room "
            "has. nvidia-smi -q -d TEMPERATURE,PERFORMANCE says where its own limits are.",
        ),
    ]


def _rollouts(settings: Settings) -> list[Alert]:
    """They read what the watch of a host writes for node exporter."""
    since = "time() - gpufleet_rollout_failed_timestamp_seconds"
    return [
        Alert(
            "VllmRolloutFailed",
            f"{since} < {settings.failed_hours * 3600}",
            60,
            WARNING,
            "A release of {{ $labels.vllm_instance }} on {{ $labels.host }} failed ({{ $labels.failure_class }})",
            "It was rolled back, or another serves: playbooks/logs.yml has its log and what to do, docs/failures.md "
            f"its class. Told for {settings.failed_hours} h after it failed, or until a release is verified.",
        ),
        Alert(
            "VllmNothingVerified",
            "gpufleet_instance_stuck == 1",
            300,
            CRITICAL,
            "{{ $labels.vllm_instance }} on {{ $labels.host }} could neither go on nor go back",
            "Nobody does anything about it by itself: gpufleet-host status says why, and what to do.",
        ),
        Alert(
            "VllmWatchSilent",
            "time() - gpufleet_watch_round_timestamp_seconds > 600",
            300,
            WARNING,
            "The watch of {{ $labels.host }} has not looked for {{ $value | humanizeDuration }}",
            "What wedges there is not restarted: systemctl status gpufleet-watch.timer, journalctl -u gpufleet-watch.",
        ),
    ]


def _ages(settings: Settings) -> list[Alert]:
    """They read what the watch of a host writes for node exporter, too."""
    found = []
    left = "gpufleet_door_certificate_ends_timestamp_seconds - time()"
    to_do = (
        "put a new one there (docs/gateway.md), and run systemctl reload gpufleet-gateway on the host, or "
        "playbooks/gateway.yml"
    )
    if settings.certificate_days:
        found += [
            Alert(
                "VllmDoorCertificateEnds",
                f"0 < {left} < {settings.certificate_days * DAY}",
                300,
                WARNING,
                "The certificate of the door of {{ $labels.host }} ends in {{ $value | humanizeDuration }}",
                f"What is at vllm_gateway_certificate was not renewed, or HAProxy has not read it since: {to_do}.",
            ),
            Alert(
                "VllmDoorCertificateEnded",
                f"{left} <= 0",
                0,
                CRITICAL,
                "The certificate of the door of {{ $labels.host }} has ended",
                f"Clients that look at it refuse the door. It is that of vllm_gateway_certificate: {to_do}.",
            ),
        ]
    if settings.api_key_days:
        found.append(
            Alert(
                "VllmApiKeyOld",
                f"time() - gpufleet_api_key_since_timestamp_seconds > {settings.api_key_days * DAY}",
                300,
                INFO,
                "The API key of the {{ $labels.kind }} {{ $labels.key }} on {{ $labels.host }} is "
                "{{ $value | humanizeDuration }} old",
                f"That is more than vllm_monitoring_api_key_days ({settings.api_key_days}): rotate it, with the old "
                "one beside it until clients have moved (docs/gateway.md, docs/secrets.md).",
            )
        )
    return found


def _monitoring(settings: Settings) -> list[Alert]:
    others = "|".join((DOOR, NODE, DCGM))
    return [
        Alert(
            "MonitoringTargetAway",
            f'up{{job=~"{others}"}} == 0',
            settings.away_seconds,
            WARNING,
            "{{ $labels.job }} of {{ $labels.instance }} does not answer",
            "What it counts is unknown, and its alerts are silent: see its unit on the host.",
        ),
        Alert(
            "MonitoringConfigRefused",
            "prometheus_config_last_reload_successful == 0",
            300,
            WARNING,
            "Prometheus on {{ $labels.host }} runs with an older configuration",
            "Somebody changed its files: run playbooks/monitoring.yml again, and read journalctl -u "
            "gpufleet-prometheus.",
        ),
    ]
