# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a class of failures is: how it reads in a log, what it means, and what to do about it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """How a failure reads. `advice`, where it is more than the class says; {names} in it are groups of the pattern.

    `frames` has to be found in a traceback above the line; a case without a `pattern` is told by it alone. `set_by` are
    engine arguments or variables of the environment: such a case is one only where the operator has set one of them,
    which {set} in the advice names. `since` is the oldest of the releases read that has the text, or a report's.
    """

    pattern: str = ""
    advice: str = ""
    frames: str = ""
    set_by: tuple[str, ...] = ()
    since: str = ""


@dataclass(frozen=True)
class Kind:
    """A class of failures. The first case that matches is the one.

    `step` says which step of a fallback helps. `of_the_moment` is a failure that is not the release's. A `general`
    class is told only where none of the same failure says more. A `lead` is told by lines that are no exceptions too;
    others are so only where there is no exception.
    """

    name: str
    means: str
    advice: str
    cases: tuple[Case, ...]
    step: str = ""
    of_the_moment: bool = False
    general: bool = False
    lead: bool = False
