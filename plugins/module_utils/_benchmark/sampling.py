# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine holds while it is under a load: its KV cache, and requests that run and wait, over time.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
import typing as t
from dataclasses import dataclass

from .._engine import metrics
from .._engine.http_client import Http, NoAnswer
from .._vllm.metric_names import SERIES

WITHIN = 5.0
# Seconds between two looks: a page of metrics costs an engine time.
EVERY = 1.0
# Looks that are kept of a run. Where there would be more, every other one goes, and fewer are taken from then on.
MOST = 240
READ = ("kv_cache", "running", "waiting")


@dataclass(frozen=True)
class Sample:
    """One look, so many seconds after the first: the share of the KV cache that is taken, the most of all engines
    behind the page, and the requests of all together. None is what was not told."""

    at: float
    kv_cache: float | None
    running: float | None
    waiting: float | None

    def as_list(self) -> list[float | None]:
        return [round(self.at, 2), self.kv_cache, self.running, self.waiting]


def look(http: Http, url: str, at: float) -> Sample | None:
    """One look; None where the engine does not answer, which a run is not thrown away for."""
    try:
        found = metrics.series(http, url, WITHIN, [name for read in READ for name in SERIES[read]])
    except NoAnswer:
        return None
    kv_cache = [value for value in metrics.values(found, SERIES["kv_cache"]) if 0 <= value <= 1]
    counted = [metrics.total(found, SERIES[name]) for name in ("running", "waiting")]
    running, waiting = (value if value is not None and math.isfinite(value) else None for value in counted)
    return Sample(at, max(kv_cache, default=None), running, waiting)


class Sampler:
    """Looks until it is told to stop."""

    def __init__(self, look_at: t.Callable[[float], Sample | None], every: float = EVERY) -> None:
        self._look, self._every = look_at, every
        self._stop = threading.Event()
        self.samples: list[Sample] = []

    @contextlib.contextmanager
    def running(self) -> t.Iterator[None]:
        thread = threading.Thread(target=self._go, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _go(self) -> None:
        began = time.monotonic()
        while True:
            sample = self._look(time.monotonic() - began)
            if sample is not None:
                self.keep(sample)
            if self._stop.wait(self._every):
                return

    def keep(self, sample: Sample) -> None:
        self.samples.append(sample)
        if len(self.samples) > MOST:
            del self.samples[1::2]
            self._every *= 2
