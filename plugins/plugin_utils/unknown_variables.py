# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables that begin like those of the collection and that no role knows: one that is misspelt does nothing at all.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import difflib
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.names import listed
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import role_settings

# How alike a misspelt name is to the one that was meant, and one of somebody's own is not.
ALIKE = 0.85
OWN = "vllm_server_own_variables"


def prefixes() -> tuple[str, ...]:
    """Of roles, and of playbooks: `vllm_server_`, `vllm_maintenance_`."""
    return tuple(sorted({f"{'_'.join(name.split('_')[:2])}_" for name in role_settings.variables()}))


def found(variables: t.Iterable[str], own: t.Collection[str]) -> tuple[list[str], list[str]]:
    """A sentence for each that is near a known one, which is wrong, and one for all others, which is a warning."""
    known = role_settings.variables()
    begin = prefixes()
    unknown = sorted(name for name in variables if name.startswith(begin) and name not in known and name not in own)
    near = {name: _near(name, known) for name in unknown}
    errors = [
        f"{name} is no variable of any role. Did you mean {meant}? If it is one of your own, add it to {OWN}."
        for name, meant in near.items()
        if meant
    ]
    others = [name for name, meant in near.items() if not meant]
    if not others:
        return errors, []
    verb = "is no variable" if len(others) == 1 else "are no variables"
    return errors, [f"{listed(others)} {verb} of any role, and nothing reads it: correct it, or add it to {OWN}."]


def _near(name: str, known: t.Collection[str]) -> str:
    """What was meant. A longer name that begins with a known one is somebody's own, which that one is made of."""
    if any(name.startswith(f"{one}_") for one in known):
        return ""
    return next(iter(difflib.get_close_matches(name, known, 1, ALIKE)), "")
