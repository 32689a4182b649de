# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes while an engine runs on: what clients are told, what the host acts on later, adapters.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .._state.client_file import write
from .._state.request import Planned
from .._state.state import Entry, State
from .._state.store import Store
from .._vllm.live_adapters import contents, folder_of, with_gone
from .failure import Failed, Fault
from .host import Host
from .journal import Journal
from .preflight import adapters_are_there
from .stages import Stage
from .trial import Trial
from .written import write_down


@dataclass
class Live:
    """One such change; adapters that are not served are taken back."""

    host: Host
    store: Store
    journal: Journal
    client_dir: str

    def go(self, state: State, before: Entry, plan: Planned) -> str:
        """The outcome, which the journal has told. BEFORE: what serves. Raises Refused, OSError."""
        current = replace(before, client=plan["client"], settings=plan["settings"])
        told = "the engine was not touched"
        if folder_of(current.release["container"]["volumes"]):
            self.journal.stage(Stage.LIVE, "adapters")
            adapters_are_there(current, before.settings)
            # After a kill too, names that were loaded are known to stand for a content.
            noted = replace(before, settings=with_gone(before.settings, contents(current.settings)))
            if noted != before:
                self.store.save(replace(state, current=noted))
            trial = Trial(self.host, self.journal, current, loaded=noted.settings)
            try:
                trial.attend()
                if trial.serve_adapters():
                    told = "the engine runs on and has proved itself with its adapters"
            except Failed as failure:
                return self._as_before(state, before, noted, trial, failure)
            known = {**contents(noted.settings), **trial.gone}
            current = replace(current, settings=with_gone(current.settings, known))
        write(current, self.client_dir)
        self.store.save(replace(state, current=current))
        self.journal.stage(Stage.LIVE, "client file and settings written")
        self.journal.end("live", f"{state.instance}: what clients and the host are told is new, {told}.")
        return "live"

    def _as_before(self, state: State, before: Entry, noted: Entry, trial: Trial, failure: Failed) -> str:
        """Adapters that the engine does not serve are unloaded, and those before them loaded and proved again."""
        fault = Fault(self.journal.stage_name, failure.diagnosis, self.journal.elapsed)
        self.journal.stage(Stage.ROLLBACK, f"{fault.diagnosis.failure_class}: {fault.diagnosis.cause}")
        back = Trial(self.host, self.journal, before, loaded=trial.entry.settings, gone=trial.gone)
        try:
            back.attend()
            back.wait_until_ready()  # one that died of it is started again by Docker
            if not back.serve_adapters():
                back.smoke()
            same = back.restarts_before == trial.restarts_before
            how = "nothing was restarted" if same else "the engine died of it, and Docker started it again"
            outcome, now = "rolled_back", f"The adapters before it are served again, proved; {how}."
            kept = replace(before, settings=with_gone(before.settings, trial.gone))
        except Failed as again:
            outcome, now = "failed", f"The adapters before it could not be proved again: {again.diagnosis.cause}."
            kept = noted
        text = f"{self.store.instance}: the change of adapters failed {fault.what} {now} {fault.advice}"
        text += write_down(self.store, self.journal, replace(state, current=kept))
        self.journal.end(outcome, text, failure=failure.diagnosis.as_dict(), serves=before.digest)
        return outcome
