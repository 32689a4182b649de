# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actions share that put all hosts together on the control node: a table, a JSON file and a page.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.printable import printable_lines
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pages import written as written_to

display = Display()


class ReportAction(ActionBase):  # type: ignore[misc,unused-ignore]
    """Once for all hosts. It changes no host, and writes what it is asked to write in check mode too."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    OF_HOSTS: t.ClassVar[t.Sequence[str]] = ()  # what is known of hosts beside their results, each by host
    # Files beside JSON and page, each by its option, with what makes its text.
    FILES: t.ClassVar[t.Sequence[tuple[str, t.Callable[[Json], str]]]] = ()
    HINT: t.ClassVar[str]  # told where nobody asked for the page

    def gathered(self, args: Json, now: str, problems: list[str]) -> Json:
        """What is shown, of the arguments; what cannot be reckoned with goes into PROBLEMS."""
        raise NotImplementedError

    def summary(self, gathered: Json) -> str:
        """The lines of a terminal."""
        raise NotImplementedError

    def page(self, gathered: Json) -> str:
        """The HTML document."""
        raise NotImplementedError

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(
            {
                "results": {"type": "dict", "required": True},
                **{name: {"type": "dict"} for name in self.OF_HOSTS},
                "html": {"type": "path", "default": ""},
                "json": {"type": "path", "default": ""},
                **{name: {"type": "path", "default": ""} for name, _make in self.FILES},
            }
        )
        problems: list[str] = []
        gathered = self.gathered(args, written_to.now(), problems)
        display.display(printable_lines(self.summary(gathered)))
        written, amiss = written_to.files(
            (("json", written_to.document), ("html", self.page), *self.FILES), args, gathered
        )
        problems += amiss
        if problems:
            return {**result, "failed": True, "msg": " ".join(problems)}
        said = [f"Written: {path}" for path in written.values()]
        display.display("\n".join(said if args["html"] else [*said, self.HINT]))
        return {**result, "changed": False, "totals": gathered["totals"], **written}
