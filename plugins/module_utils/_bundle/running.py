# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module runs the program that signs and verifies.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .manifest import BadBundle
from .signature import Run

# Nobody is there who could be asked for a passphrase.
QUIET = {"SSH_ASKPASS_REQUIRE": "never", "DISPLAY": ""}


def runner(module: t.Any) -> Run:
    """Of the AnsibleModule."""

    def run(words: t.Sequence[str], given: bytes) -> tuple[int, str, str]:
        program = module.get_bin_path(words[0])
        if program is None:
            raise BadBundle(f"there is no {words[0]}, which signs and verifies bundles: install OpenSSH's client")
        code, out, err = module.run_command(
            [program, *words[1:]], data=given, binary_data=True, environ_update=QUIET, handle_exceptions=False
        )
        return code, out, err

    return run
