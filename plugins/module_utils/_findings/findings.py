# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What planning finds on its way: errors that stop it, doubts that may, warnings that do not. All, not the first.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .checks import Check, Doubt

UnknownArguments = t.Literal["refuse", "warn"]
PASS_ON = "vllm_server_unknown_arguments: warn passes it on as it is."


@dataclasses.dataclass
class Findings:
    """Sentences in the order they were found, each with its place.

    `unknown` says what a name is that the release does not know, `where` of whom a sentence speaks that is of no layer.
    """

    unknown: UnknownArguments = "refuse"
    where: str = "instance"
    errors: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)
    doubts: list[Doubt] = dataclasses.field(default_factory=list)

    def error(self, text: str) -> None:
        self.errors.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def doubt(self, check: Check | None, text: str, here: bool = False) -> None:
        """What is refused unless a switch, or a start of its like, says otherwise: see checks.Doubt."""
        self.doubts.append(Doubt(check, text, here))

    def unknown_name(self, text: str) -> None:
        """A name that this release does not know; a newer image may."""
        if self.unknown == "warn":
            self.warn(text)
        else:
            self.error(f"{text} {PASS_ON}")

    def unknown_value(self, check: Check, text: str) -> None:
        """A value that this release does not know; a newer image may."""
        if self.unknown == "warn":
            self.warn(text)
        else:
            self.doubt(check, text)
