# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is scraped of an inventory, and what is refused."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._monitoring import settings, targets
from ansible_collections.gpufleet.vllm.plugins.module_utils._monitoring.targets import Host
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._monitoring.planned import Json, read, stated

A: Json = {"name": "a", "model": "org/m", "port": 8000}
B: Json = {**A, "name": "b", "port": 8001, "bind": "10.0.0.2"}


def made(*hosts: Host, **changed: t.Any) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Addresses by instance, by job, and what is wrong."""
    errors: list[str] = []
    found = targets.targets(read(**changed), hosts, errors)
    return {
        job: {group["labels"]["instance"]: group["targets"][0] for group in groups} for job, groups in found.items()
    }, errors


def test_a_host_watches_itself_over_the_loopback() -> None:
    found, errors = made(Host("gpu-1", True, "10.0.0.1", [A, {**B, "bind": "0.0.0.0"}], 8405, 0, 9400))
    assert errors == []
    assert found == {
        "vllm": {"gpu-1:a": "127.0.0.1:8000", "gpu-1:b": "127.0.0.1:8001"},
        "door": {"gpu-1": "127.0.0.1:8405"},
        "node": {"gpu-1": "127.0.0.1:9100"},
        "dcgm": {"gpu-1": "127.0.0.1:9400"},
        "prometheus": {"gpu-1": "127.0.0.1:9090"},
    }


def test_another_host_is_reached_where_it_listens() -> None:
    here = Host("watch", True, "watch", [])
    found, errors = made(here, Host("gpu-2", False, "10.0.0.9", [B, {**A, "bind": "::"}], 8405, 9100, 9400))
    assert errors == []
    assert found["vllm"] == {"gpu-2:b": "10.0.0.2:8001", "gpu-2:a": "10.0.0.9:8000"}
    assert found["node"] == {"watch": "127.0.0.1:9100", "gpu-2": "10.0.0.9:9100"}
    assert found["dcgm"] == {"gpu-2": "10.0.0.9:9400"}
    assert found["door"] == {}


def test_what_a_host_does_not_have_is_not_scraped() -> None:
    found, errors = made(Host("gpu-1", True, "x", [A, {**B, "active": False}]), node_port=0)
    assert errors == []
    assert found["vllm"] == {"gpu-1:a": "127.0.0.1:8000"}
    assert (found["door"], found["node"], found["dcgm"]) == ({}, {}, {})


def test_an_engine_that_speaks_tls_is_asked_so() -> None:
    errors: list[str] = []
    one = Host("gpu-1", True, "x", [{**A, "engine_args": {"ssl-certfile": "/c.pem", "ssl_keyfile": "/k.pem"}}])
    (group,) = targets.targets(read(), [one], errors)["vllm"]
    assert errors == [] and group["labels"]["__scheme__"] == "https"


@pytest.mark.parametrize(
    ("host", "told"),
    [
        (Host("gpu-2", False, "x", [A]), "put gpu-2 into the group monitoring"),
        (Host("gpu-2", False, "127.0.0.1", [{**A, "bind": "0.0.0.0"}]), "set vllm_monitoring_address of gpu-2"),
        (Host("gpu-2", False, "localhost", [B], 0, 9100), "set vllm_monitoring_address of gpu-2"),
        (Host("gpu-1", True, "x", [{**A, "port": 0}]), "gpu-1: instance a: port is 0"),
        (Host("gpu-1", True, "x", [A, A]), "gpu-1: "),
        (Host("gpu-1", True, "x", [A], 0, 0, 70000), "gpu-1: vllm_monitoring_dcgm_port is 70000"),
        (Host('g"1', True, "x", [A]), "cannot be a label"),
        (Host("watch", True, "x", []), "Nothing is watched"),
        (Host("gpu-1", True, "x", [{**A, "bind": "fe80::1%eth0"}]), "%"),
    ],
)
def test_what_cannot_be_reached_is_refused(host: Host, told: str) -> None:
    _found, errors = made(host)
    assert any(told in error for error in errors), errors


def test_what_could_not_be_read_is_not_told_as_missing() -> None:
    assert made(Host("gpu-1", True, "x", None))[1] == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"bind": "0.0.0.0"}, "vllm_monitoring_bind is 0.0.0.0"),
        ({"bind": "gpu-1"}, "vllm_monitoring_bind is 'gpu-1'"),
        ({"bind": "fe80::1%eth0", "open": True}, "no zone"),
        ({"port": 0}, "vllm_monitoring_port is 0: write a whole number from 1 to 65535"),
        ({"port": 9100}, "are both 9100"),
        ({"scrape_interval": 30}, "write 120 or more"),
        ({"kv_cache_percent": 101}, "vllm_monitoring_kv_cache_percent is 101"),
        ({"alertmanagers": ["http://x:9093/"]}, "vllm_monitoring_alertmanagers has 'http://x:9093/'"),
        ({"alertmanagers": ["x:70000"]}, "write HOST:PORT"),
    ],
)
def test_a_wrong_setting_is_told(changed: Json, told: str) -> None:
    errors: list[str] = []
    settings.read(stated(**changed), errors)
    assert len(errors) == 1 and told in errors[0]


def test_all_that_is_wrong_is_told_at_once() -> None:
    errors: list[str] = []
    settings.read(stated(bind="0.0.0.0", port=0, stall_seconds=20, alertmanagers=["x"]), errors)
    assert len(errors) == 4


def test_what_is_open_may_listen_elsewhere() -> None:
    assert read(bind="0.0.0.0", open=True, alertmanagers=["am.example.com:9093"]).alertmanagers == (
        "am.example.com:9093",
    )
