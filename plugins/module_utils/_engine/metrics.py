# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine counts, from its page of metrics: text, a line for each series, as Prometheus has it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._outside.printable import printable
from .http_client import Http, NoAnswer

SHOWN = 60


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
