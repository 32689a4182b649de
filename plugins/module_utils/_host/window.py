# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host for some seconds: each engine read before and after, and the GPUs in between; read only.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._engine import window
from .._engine.expect import base_url
from .._engine.http_client import Http, NoAnswer
from .._gpu.reading import GpuReading, Meter
from .._state.observed import Observed
from .glance import AWAY

LONGEST = 600
EVERY = 1.0


class Seen(t.TypedDict):
    """`engines` by the instance's name; null with the reason under `unknown` where nobody can say. `gpus` are all."""

    engines: dict[str, window.Window | None]
    unknown: dict[str, str]
    gpus: list[GpuReading]


class Time(t.Protocol):
    """The module `time`, or its double."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float, /) -> None: ...


def look(instances: t.Sequence[Observed], http: Http, meter: Meter, seconds: float, time: Time) -> Seen:
    """All instances in the same seconds, so that a host with several takes no longer than one."""
    before = {one["name"]: _read(one, http, time) for one in instances}
    end = time.monotonic() + seconds
    meter.sample()
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(EVERY, left))
        meter.sample()
    after = {one["name"]: _read(one, http, time) for one in instances}
    found: Seen = {"engines": {}, "unknown": {}, "gpus": meter.readings()}
    for name, first in before.items():
        second = after[name]
        if isinstance(first, window.Reading) and isinstance(second, window.Reading):
            found["engines"][name] = window.between(first, second)
        else:
            found["engines"][name] = None
            found["unknown"][name] = next(one for one in (first, second) if isinstance(one, str))
    return found


def _read(seen: Observed, http: Http, time: Time) -> window.Reading | str:
    """The reading, or why there is none."""
    current = seen["current"]
    if current is None or not seen["healthy"]:
        return AWAY
    release = current["release"]
    try:
        return window.read(http, base_url(release["bind"], release["port"]), time.monotonic())
    except NoAnswer as error:
        return str(error)
