# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module calls that carry a secret: over the connection's standard input, never through a temporary file.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json


class PipedAction(ActionBase):  # type: ignore[misc,unused-ignore]
    """An action whose calls with a secret are piped, whatever `pipelining` and `keep_remote_files` are set to."""

    _piped = False
    # What it is that may not be written down, and how to do without.
    SECRET, WITHOUT = "An API key", "leave api_key out"

    def _is_pipelining_enabled(self, module_style: str, wrap_async: bool = False) -> bool:
        return self._piped or bool(super()._is_pipelining_enabled(module_style, wrap_async))

    def _pipes(self) -> bool:
        """Whether what is given to a command on the host reaches it over standard input."""
        become = getattr(self._connection, "become", None)
        return bool(self._connection.has_pipelining and getattr(become, "pipelining", True))

    def _execute_piped(self, module: str, module_args: Json, task_vars: Json) -> Json:
        """Raises AnsibleActionFail where the connection cannot pipe."""
        if not self._pipes():
            raise AnsibleActionFail(
                f"{self.SECRET} would be written to temporary files on its way: the host's connection or its way to "
                f"become root has no pipelining. Use ssh and sudo, or {self.WITHOUT}."
            )
        self._piped = True
        try:
            result: Json = self._execute_module(module, module_args=module_args, task_vars=task_vars)
        finally:
            self._piped = False
        return result
