# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What planning finds on its way: errors that stop it, warnings that do not. All of them, not the first.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

UnknownArguments = t.Literal["refuse", "warn"]


@dataclasses.dataclass
class Findings:
    """Sentences in the order they were found. `unknown` says what a name is that the release does not know."""

    unknown: UnknownArguments = "refuse"
    errors: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)

    def error(self, text: str) -> None:
        self.errors.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def unknown_name(self, text: str) -> None:
        """A name that this release does not know; a newer image may."""
        (self.warnings if self.unknown == "warn" else self.errors).append(text)
