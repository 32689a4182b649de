# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the door's files are on its host.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t


@dataclasses.dataclass(frozen=True)
class Places:
    """FOLDER is for what the role writes, RUN for sockets. HAProxy becomes USER once it has read its files."""

    folder: str = "/etc/gpufleet/gateway"
    run: str = "/run/gpufleet-gateway"
    user: str = "haproxy"

    @property
    def socket(self) -> str:
        return f"{self.run}/admin.sock"

    @property
    def config(self) -> str:
        return f"{self.folder}/haproxy.cfg"

    @property
    def instances(self) -> str:
        return f"{self.folder}/instances.json"

    def map(self, name: str) -> str:
        return f"{self.folder}/{name}.map"


def file_of_map(entries: t.Mapping[str, str]) -> str:
    """One of HAProxy's maps, as a file."""
    return "".join(f"{key} {value}\n" for key, value in sorted(entries.items()))
