# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing where something has to serve, whatever the disk says: what it does not take is told and made up for later.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .._diagnosis.diagnosis import Diagnosis
from .._state.client_file import remove, write
from .._state.durable import FULL
from .._state.state import Entry, State
from .._state.store import Store
from .journal import Journal


def not_taken(error: OSError, where: str) -> Diagnosis:
    """A failure of the host's disk: no release is to blame."""
    if error.errno in FULL:
        return Diagnosis("disk.full", f"{where} cannot be written: {error.strerror}", "Make room there.")
    return Diagnosis("internal", f"{where} cannot be written: {error}", "Look at the host's disks (`dmesg`).")


def write_down(store: Store, journal: Journal, state: State) -> str:
    """Save the state, or have it saved later; what to tell of that, '' where nothing."""
    error = store.save_or_remember(state)
    if error is None:
        return ""
    journal.note(f"the state cannot be written: {error}")
    return (
        f" The disk did not take what became of it ({error.strerror}): make room in {store.folder}, and the watch or "
        "the next run writes it down."
    )


def tell_clients(journal: Journal, serving: Entry | None, instance: str, client_dir: str) -> str:
    """Clients' files for what serves, none where nothing does; what to tell of it, '' where nothing."""
    try:
        if serving is None:
            remove(instance, client_dir)
        else:
            write(serving, client_dir)
    except OSError as error:
        journal.note(f"the clients' files cannot be written: {error}")
        return f" The clients' files in {client_dir} could not be written ({error.strerror}): the next run does it."
    return ""
