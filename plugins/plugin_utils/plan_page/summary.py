# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plans of all hosts as a table for a terminal.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pages.written import table
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.plan_page import view

HEADINGS = ("host", "instance", "change", "downtime", "memory", "KV cache GiB", "requests x tokens")
RIGHT = (5, 6)


def summary(fleet: Json) -> str:
    """What would happen, then a line for each instance, hosts that cannot be planned first."""
    page = view.page(fleet)
    rows = [_cells(row) for row in page["rows"]]
    return "\n".join([" ".join(page["headline"]), *table(HEADINGS, rows, RIGHT), *_upgrades(fleet)])


def _upgrades(fleet: Json) -> list[str]:
    """A line for each host on which another release was asked about."""
    asked = [(one["name"], one["upgrade"]) for one in fleet["hosts"] if one.get("upgrade")]
    return [
        f"{name}: vLLM {found['from']} -> {found['to']}: {len(found['breaks'])} break, {len(found['changes'])} change"
        for name, found in asked
    ]


def _cells(row: Json) -> tuple[str, ...]:
    if not row["name"]:
        return (row["host"], "-", row["state_text"], "", "", "", "")
    change = "refused" if row["refused"] else row["change"] + (" (overruled)" if row["overruled"] else "")
    downtime = "" if row["refused"] else row["downtime"].replace("≈", "about")
    return (
        row["host"],
        row["name"],
        change,
        downtime or "-",
        row["verdict_text"] or "no GPU",
        row["kv_cache"] or "-",
        row["held"].replace(view.TIMES, "x") or "-",
    )
