# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory says of monitoring: bounds, and what may not stand beside each other.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import typing as t

from .._gateway import addresses
from .._outside.documents import Json

ROLE: t.Final = "vllm_monitoring"
# Each number with its bounds. 0, where it is allowed, is none.
BOUNDS: t.Final = {
    "port": (1, 65535),
    "node_port": (0, 65535),
    "scrape_interval": (5, 300),
    "retention_days": (1, 3650),
    "retention_gib": (1, 10_000),
    "away_seconds": (60, 86_400),
    "stall_seconds": (20, 3600),
    "kv_cache_percent": (1, 100),
    "waiting_requests": (0, 1_000_000),
    "preemptions_per_minute": (0, 1_000_000),
    "rejections_per_minute": (0, 1_000_000),
    "first_token_seconds": (1, 3600),
    "prefix_hit_percent": (0, 100),
    "gpu_memory_percent": (1, 100),
    "gpu_celsius": (0, 150),
    "failed_hours": (1, 8760),
    "certificate_days": (0, 3650),
    "api_key_days": (0, 36_500),
}
# What of a host's ports may be stated: 0 is none.
PORTS: t.Final = (0, 65535)
# A stall is seen from samples: with fewer in its window, one that is late would hide it.
SAMPLES: t.Final = 4
ENDPOINT = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9.-]{0,252}):(?P<port>[0-9]{1,5})")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Thresholds are as in the argument specification; each of 0, where that may be, switches its alert off."""

    bind: str
    port: int
    node_port: int
    scrape_interval: int
    retention_days: int
    retention_gib: int
    away_seconds: int
    stall_seconds: int
    kv_cache_percent: int
    waiting_requests: int
    preemptions_per_minute: int
    rejections_per_minute: int
    first_token_seconds: int
    prefix_hit_percent: int
    gpu_memory_percent: int
    gpu_celsius: int
    failed_hours: int
    certificate_days: int
    api_key_days: int
    alertmanagers: tuple[str, ...] = ()


def read(given: Json, errors: list[str]) -> Settings:
    """GIVEN are the role's variables without `vllm_monitoring_`, typed. What is wrong is added to `errors`."""
    numbers = {name: bounded(f"{ROLE}_{name}", given[name], bounds, errors) for name, bounds in BOUNDS.items()}
    bind = _address(given["bind"], errors)
    if not ipaddress.ip_address(bind).is_loopback and not given["open"]:
        errors.append(
            f"{ROLE}_bind is {bind}: Prometheus asks nobody for a password, so everybody who reaches it could read "
            f"all metrics. Bind it to the loopback, and reach it over ssh -L or a proxy that asks, or set {ROLE}_open: "
            "true."
        )
    if numbers["port"] == numbers["node_port"]:
        errors.append(f"{ROLE}_port and {ROLE}_node_port are both {numbers['port']}: change one of them.")
    least = SAMPLES * numbers["scrape_interval"]
    if numbers["stall_seconds"] < least:
        errors.append(
            f"{ROLE}_stall_seconds is {numbers['stall_seconds']}, and {ROLE}_scrape_interval is "
            f"{numbers['scrape_interval']}: a stall is seen from {SAMPLES} scrapes, so write {least} or more, or "
            "scrape more often."
        )
    return Settings(bind=bind, alertmanagers=_endpoints(given["alertmanagers"], errors), **numbers)


def bounded(name: str, value: int, bounds: tuple[int, int], errors: list[str]) -> int:
    """VALUE, or the least of BOUNDS and an error."""
    least, most = bounds
    if not least <= value <= most:
        errors.append(f"{name} is {value}: write a whole number from {least} to {most}.")
        return least
    return value


def _address(value: str, errors: list[str]) -> str:
    try:
        found = ipaddress.ip_address(value)
    except ValueError:
        found = None
    if found is None or found.is_multicast or addresses.has_zone(found):
        errors.append(f"{ROLE}_bind is {value!r}: write an address of the host such as 127.0.0.1, with no zone (%).")
        return "127.0.0.1"
    return str(found)


def _endpoints(listed: t.Sequence[t.Any], errors: list[str]) -> tuple[str, ...]:
    found = []
    for one in listed:
        match = ENDPOINT.fullmatch(str(one))
        if match is None or not 0 < int(match["port"]) < 65536:
            errors.append(f"{ROLE}_alertmanagers has {one!r}: write HOST:PORT, such as 127.0.0.1:9093.")
        else:
            found.append(str(one))
    return tuple(dict.fromkeys(found))
