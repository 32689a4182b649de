# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our settings among those of others."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime import daemon_json

LIVE = {"live-restore": True}
CDI = {"features": {"cdi": True}}


@pytest.mark.parametrize(
    ("current", "ours", "wanted", "config", "claimed"),
    [
        pytest.param({}, {}, {**LIVE, **CDI}, {**LIVE, **CDI}, {**LIVE, **CDI}, id="a new file"),
        pytest.param(LIVE, {}, LIVE, LIVE, {}, id="somebody else's setting, which we want too, stays theirs"),
        pytest.param(LIVE, {}, {}, LIVE, {}, id="and is kept when we do not want it"),
        pytest.param(LIVE, LIVE, {}, {}, {}, id="ours goes when nobody asks for it"),
        pytest.param({}, LIVE, LIVE, LIVE, LIVE, id="somebody overwrote the file: ours is set again"),
        pytest.param(
            {"features": {"containerd-snapshotter": True}},
            {},
            CDI,
            {"features": {"containerd-snapshotter": True, "cdi": True}},
            CDI,
            id="a mapping of others",
        ),
        pytest.param(
            {"insecure-registries": ["a:1", "b:1"]},
            {"insecure-registries": ["b:1"]},
            {"insecure-registries": ["c:1"]},
            {"insecure-registries": ["a:1", "c:1"]},
            {"insecure-registries": ["c:1"]},
            id="a list of others",
        ),
        pytest.param({"hosts": [], "z": 1}, {}, LIVE, {"z": 1, **LIVE, "hosts": []}, LIVE, id="an empty list"),
    ],
)
def test_merged(current: t.Any, ours: t.Any, wanted: t.Any, config: t.Any, claimed: t.Any) -> None:
    assert daemon_json.merge(current, ours, wanted) == daemon_json.Merged(config, claimed, ())
    # What is merged once is left alone from then on.
    assert daemon_json.merge(config, claimed, wanted) == daemon_json.Merged(config, claimed, ())


@pytest.mark.parametrize(
    ("current", "ours", "wanted", "names"),
    [
        ({"live-restore": False}, {}, LIVE, ["live-restore"]),
        ({"live-restore": False}, LIVE, LIVE, ["live-restore"]),
        ({"log-opts": {"max-size": "9m", "tag": "x"}}, {}, {"log-opts": {"max-size": "50m"}}, ["log-opts.max-size"]),
        (
            {"exec-opts": ["native.cgroupdriver=cgroupfs"]},
            {},
            {"exec-opts": ["native.cgroupdriver=systemd"]},
            ["exec-opts[native.cgroupdriver=cgroupfs]"],
        ),
        ({"log-opts": "none"}, {}, {"log-opts": {"max-size": "50m"}}, ["log-opts"]),
    ],
)
def test_a_contradiction_is_named_and_can_be_taken_over(
    current: t.Any, ours: t.Any, wanted: t.Any, names: list[str]
) -> None:
    assert [conflict.name for conflict in daemon_json.merge(current, ours, wanted).conflicts] == names
    taken = daemon_json.merge(current, ours, wanted, names)
    assert (taken.conflicts, daemon_json.satisfied(taken.config, wanted), taken.ours) == ((), True, wanted)
    whole = daemon_json.merge(current, ours, wanted, [name.partition(".")[0].partition("[")[0] for name in names])
    assert whole == taken


@pytest.mark.parametrize(
    ("before", "after", "restart"),
    [
        ({}, LIVE, False),
        (LIVE, {}, True),
        ({"labels": ["a"]}, {"labels": ["b"]}, False),
        ({}, CDI, True),
        ({"log-opts": {"max-size": "1m"}}, {"log-opts": {"max-size": "2m"}}, True),
        (CDI, CDI, False),
    ],
)
def test_what_takes_a_restart(before: t.Any, after: t.Any, restart: bool) -> None:
    assert daemon_json.needs_restart(before, after) is restart


def test_what_is_lacking_is_named() -> None:
    wanted = {**LIVE, **CDI, "insecure-registries": ["a:1", "b:1"]}
    assert daemon_json.lacking({"insecure-registries": ["a:1"]}, wanted) == [
        "live-restore",
        "features.cdi",
        "insecure-registries[b:1]",
    ]
    assert not daemon_json.satisfied({}, wanted)
