# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet as a table for a terminal, and below it what is slow.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.printable import printable
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pages.written import shortened, table
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.status_page import view

HEADINGS = (
    *("host", "instance", "state", "release", "age", "change", "GPU memory", "use", "power", "temp"),
    *("KV", "running", "waiting", "first token", "failed before", "watch"),
)
RIGHT = (7, 8, 9, 10, 11, 12, 13)
# Characters of a cause in the table; the page has the whole.
CAUSE_SHOWN = 60
LINE = 2000


def summary(fleet: Json) -> str:
    """How the fleet is, a line for each instance, and then what is slow, why, and what to try."""
    page = view.page(fleet)
    rows = [_cells(row) for row in page["rows"]]
    slow = [line for row in page["rows"] for line in _slow(row)]
    return "\n".join(
        [
            " ".join(page["headline"]),
            *table(HEADINGS, rows, RIGHT),
            *(shortened(printable(line), LINE) for line in slow),
        ]
    )


def _cells(row: Json) -> tuple[str, ...]:
    if not row["name"]:
        return (row["host"], "-", row["state_text"], *("" for _more in HEADINGS[3:]))
    return (
        row["host"],
        row["name"],
        row["state_text"],
        row["release"] or "-",
        row["age"] or "-",
        row["change_text"],
        row["memory"] or "-",
        row["busy"] or "-",
        row["power"] or "-",
        row["temperature"].replace("°C", "C") or "-",
        row["kv_cache"],
        row["running"],
        row["waiting"],
        row["first_token"],
        shortened(f"{row['failure']['failure_class']}: {row['failure']['cause']}", CAUSE_SHOWN)
        if row["failure"]
        else "-",
        " ".join(row["watch"]) or "-",
    )


def _slow(row: Json) -> list[str]:
    if not row["name"]:
        return [f"{row['host']}: {row['because']}"] if row["because"] else []
    who = f"{row['host']}, {row['name']}"
    found = [f"{who}: {one['symptom']} ({one['rule']}). {one['cause']} {one['advice']}" for one in row["findings"]]
    if row["unknown"]:
        found.append(f"{who}: nobody can say of {'; '.join(row['unknown'])}.")
    return found
