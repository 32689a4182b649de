# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts what all hosts showed together on the control node: a table, what is slow, a JSON file and a page."""

from __future__ import annotations

import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.concealing import concealed
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.printable import all_printable
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.canonical_json import canonical_json, plain
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pages.report_action import ReportAction
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.status_page import fleet, page, summary

# Characters of what one host tells. Some ten thousand are usual.
LARGEST = 4_000_000


class ActionModule(ReportAction):
    """What all hosts showed."""

    HINT = "A page of all this: -e vllm_status_html=status.html"
    OF_HOSTS = ("facts", "plans", "limits")

    def gathered(self, args: Json, now: str, problems: list[str]) -> Json:
        told = {name: _told(name, seen) for name, seen in args["results"].items()}
        of_hosts = {**args, "facts": {name: _read(known) for name, known in (args["facts"] or {}).items()}}
        known = {"results": told, **{name: plain(of_hosts[name] or {}, name, problems) for name in self.OF_HOSTS}}
        # What failed before a host could tell anything says it in words of Ansible's, or of what answered in its place.
        return fleet.gather(_hosts({name: concealed(all_printable(one)) for name, one in known.items()}), now)

    def summary(self, gathered: Json) -> str:
        return summary.summary(gathered)

    def page(self, gathered: Json) -> str:
        return page.render(gathered)


def _told(host: str, seen: t.Any) -> t.Any:
    """What a host told, or why it is nothing to reckon with: that costs no other one."""
    amiss: list[str] = []
    told = plain(seen, f"what {host} told", amiss)
    size = 0 if amiss else len(canonical_json(told))
    if size > LARGEST:
        amiss.append(f"{host} told {size} characters, more than {LARGEST} that a page of a fleet takes of one host.")
    return {"msg": amiss[0]} if amiss else told


def _read(facts: t.Any) -> Json:
    """What is read of a host's facts. Others are nobody's affair here, whatever somebody's own ones hold."""
    known = facts if isinstance(facts, t.Mapping) else {}
    return {name: known[name] for name in map(fleet.name_of, fleet.FACTS) if name in known}


def _hosts(given: t.Mapping[str, Json]) -> dict[str, fleet.Host]:
    """An empty plan is one that nobody asked for."""
    return {
        name: fleet.Host(
            seen if isinstance(seen, dict) else {},
            given["facts"].get(name) or {},
            given["plans"].get(name) or None,
            given["limits"].get(name),
        )
        for name, seen in given["results"].items()
    }
