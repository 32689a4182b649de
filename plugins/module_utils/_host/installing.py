# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program on a host, as a module puts it in place.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import typing as t

from .._state import units
from .._state.durable import write_atomically

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


def program_needed(module: AnsibleModule) -> bool:
    """Whether the host has another program than the one that is to run, or none."""
    return not os.path.exists(units.PROGRAM) or module.sha256(units.PROGRAM) != module.params["program_digest"]


def install(module: AnsibleModule) -> None:
    """Put the units and the program in place, the program last: where it is, everything is.

    Units are enabled by their links, and systemd reads the timer from the disk when it starts it. Without a
    daemon-reload, which takes the GPUs from containers under NVIDIA's legacy hook: so what is new in the text of a unit
    that systemd has read already holds from the next boot, and both texts have to do until then.
    """
    for name, text in units.INSTALLED.items():
        write_atomically(os.path.join(units.UNIT_DIR, name), text, mode=0o644)
    for target, name in units.WANTED.items():
        wanted = os.path.join(units.UNIT_DIR, f"{target}.wants")
        os.makedirs(wanted, mode=0o755, exist_ok=True)
        if not os.path.lexists(os.path.join(wanted, name)):
            os.symlink(os.path.join(units.UNIT_DIR, name), os.path.join(wanted, name))
    code, _out, err = module.run_command(["systemctl", "start", units.WATCH_TIMER])
    if code != 0:
        raise units.UnitProblem(f"systemd did not start {units.WATCH_TIMER}: {' '.join(err.split())}")
    os.makedirs(os.path.dirname(units.PROGRAM), mode=0o755, exist_ok=True)
    module.atomic_move(module.params["program_source"], units.PROGRAM)
    os.chmod(units.PROGRAM, 0o755)
