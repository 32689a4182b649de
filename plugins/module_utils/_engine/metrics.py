# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine counts, from its page of metrics: text, a line for each series, as Prometheus has it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import math
import re
import typing as t

from .._outside.printable import printable
from .http_client import Http, NoAnswer

SHOWN = 60
LARGEST = 2.0**63
# By name and labels.
Counted = t.Mapping[str, float]
_BOUND = re.compile(r'[{,]le="([^"]{1,32})"')


def series(http: Http, url: str, deadline: float, names: t.Collection[str]) -> dict[str, float]:
    """The values of the series with these names, by name and labels; NaN and infinite ones too. Raises NoAnswer."""
    reply = http.request("GET", f"{url}/metrics", deadline)
    if reply.status != 200:
        raise NoAnswer(f"/metrics answered {reply.status}")
    if not isinstance(reply.body, str):
        raise NoAnswer("/metrics holds JSON and no metrics")
    return parsed(reply.body, names)


def parsed(page: str, names: t.Collection[str]) -> dict[str, float]:
    """The values of the series with these names. Raises NoAnswer where one is no number."""
    found = {}
    for line in page.splitlines():
        if line.partition("{")[0].partition(" ")[0] in names:
            key, _space, value = line.rpartition(" ")
            try:
                found[key] = float(value)
            except ValueError:
                raise NoAnswer(f"/metrics says {printable(line[:SHOWN])!r}, which is no number") from None
    return found


def finite(counted: Counted) -> dict[str, float]:
    """Without what is no number to reckon with. Nothing that is counted comes near LARGEST, and sums stay finite."""
    return {key: value for key, value in counted.items() if abs(value) <= LARGEST}


def values(counted: Counted, names: t.Sequence[str]) -> list[float]:
    """Of each engine's, by the first of these names that is there: it may show the same under several."""
    for name in names:
        found = [value for key, value in counted.items() if key.partition("{")[0] == name]
        if found:
            return found
    return []


def total(counted: Counted, names: t.Sequence[str]) -> float | None:
    """Over all engines; None where it is not counted."""
    found = values(counted, names)
    return sum(found) if found else None


def buckets(counted: Counted, names: t.Sequence[str]) -> dict[float, float]:
    """A histogram over all engines: how many were at most so many seconds."""
    found: dict[float, float] = {}
    for name in names:
        for key, value in counted.items():
            bound = _BOUND.search(key) if key.partition("{")[0] == name else None
            upto = _seconds(bound[1]) if bound is not None else None
            if upto is not None:
                found[upto] = found.get(upto, 0.0) + value
        if found:
            break
    return found


def median(found: t.Mapping[float, float]) -> float | None:
    """Read off the buckets, as Prometheus does: between two bounds evenly, above the last one not at all."""
    half = max(found.values(), default=0.0) / 2
    if half <= 0:
        return None
    below, before = 0.0, 0.0
    for upto, count in sorted(found.items()):
        if count >= half:
            return None if math.isinf(upto) else below + (upto - below) * (half - before) / (count - before)
        below, before = upto, count
    return None


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value > 0 else None
