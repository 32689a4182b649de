# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon that settings are brought to.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
from urllib.parse import urlencode

from .._docker.client import Docker, DockerError


class Daemon(Docker):
    """The daemon, with what it says of its own reloads."""

    def reloaded_since(self, since: float) -> bool:
        filters = json.dumps({"type": ["daemon"], "event": ["reload"]})
        query = urlencode({"since": f"{since:.6f}", "until": f"{int(since) + 3600}", "filters": filters})
        try:
            # With an end in the future the daemon keeps the line open: the first event is enough.
            return bool(self.first_line(f"/events?{query}", 1))
        except DockerError:
            return False
