# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an operator means these hosts, and no others.

The names themselves are the confirmation. A word like "yes" stands in a shell's history and in a job template, and
holds for whatever --limit leaves; the names of other hosts do not fit.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

VARIABLE = "vllm_remove_confirm"
SHOWN = 10


def problem(confirmed: t.Any, hosts: t.Sequence[str], stated_at_start: bool) -> str:
    """Why it is no confirmation for HOSTS, those of the play, or ''. STATED_AT_START: it is an extra variable."""
    # A text, or a list of names; of anything else, such as YAML's `true`, what it says is no name of a host.
    words = confirmed if isinstance(confirmed, (list, tuple)) else [] if confirmed is None else str(confirmed)
    names = set(words.replace(",", " ").split() if isinstance(words, str) else map(str, words))
    right = f"-e {VARIABLE}={','.join(hosts)}" if len(hosts) <= SHOWN else f"-e {VARIABLE}= with their names"
    told = f"{len(hosts)} hosts" if len(hosts) > SHOWN else ", ".join(hosts)
    if not names:
        return f"Nothing was touched. All of gpufleet.vllm would go from {told}: confirm it with {right}."
    if not stated_at_start:
        return (
            f"Nothing was touched. {VARIABLE} in an inventory confirms nothing: take it out, and confirm with {right}."
        )
    unnamed, others = sorted(set(hosts) - names), sorted(names - set(hosts))
    if unnamed or others:
        parts = [f"does not name {_some(unnamed)}"] if unnamed else []
        parts += [f"names {_some(others)}, which --limit leaves out or the inventory does not have"] if others else []
        return f"Nothing was touched. {VARIABLE} {' and '.join(parts)}: this run is about {told}. Confirm with {right}."
    return ""


def _some(names: t.Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
