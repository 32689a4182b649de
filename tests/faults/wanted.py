# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run is asked to serve: extra variables of a play."""

from __future__ import annotations

import time
import typing as t

import yaml

from ansible_collections.gpufleet.vllm.tests.faults.play import CHECKOUT

Json = dict[str, t.Any]
ASSISTANT: Json = yaml.safe_load((CHECKOUT / "molecule/shared/inventory/group_vars/cpu.yml").read_text())["assistant"]


def merged(base: Json, changes: Json) -> Json:
    """`combine(recursive=true)`."""
    both = {key: merged(base[key], value) for key, value in changes.items() if isinstance(base.get(key), dict)}
    return {**base, **changes, **both}


def wanted(instance: Json, *others: Json, **variables: t.Any) -> Json:
    """Variables that ask for these instances."""
    return {"vllm_server_instances": [instance, *others], **variables}


def never_seen(instance: Json) -> Json:
    """The same instance as a release that no run before has tried: what was rejected once is refused."""
    return merged(instance, {"env": {"FAULT_AT": str(time.time_ns())}})
