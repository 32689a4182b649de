# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this program runs, and where it complains.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import subprocess
import sys
import typing as t

from .._outside.printable import printable


def run(command: t.Sequence[str]) -> tuple[int, str, str]:
    # This runs as a program of its own: there is no module whose run_command it could take.
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # pylint: disable=ansible-bad-function
    return done.returncode, done.stdout, done.stderr


def complain(what: t.Any) -> None:
    sys.stderr.write(f"{printable(what)}\n")
