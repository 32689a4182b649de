# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker's credential helpers: programs of the host that keep logins, as config.json names them.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import subprocess

from .._outside import documents

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Some of them ask the cloud that the host is in.
SECONDS = 30
LONGEST = 64 * 1024
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NONE_KEPT = "credentials not found"
SHAPE = {"Username?": str, "Secret": str}


class NoLogin(Exception):
    """There may be a login, and it is not one that can be used; the text says why, and holds nothing secret."""


def ask(helper: str, address: str, path: str = PATH) -> tuple[str, str] | None:
    """User and secret for the address of a registry; None where the helper keeps none. Raises NoLogin."""
    if not NAME.fullmatch(helper):
        raise NoLogin(f"config.json names the credential helper {helper[:64]!r}, which is no name of a program")
    program = f"docker-credential-{helper}"
    try:
        ended = subprocess.run(
            [program, "get"],
            input=address.encode(),
            capture_output=True,
            timeout=SECONDS,
            env={"PATH": path, "HOME": "/root", "LC_ALL": "C"},
            check=False,
        )
    except FileNotFoundError:
        raise NoLogin(f"the login to {address} is kept by {program}, which is not on this host: install it") from None
    except subprocess.TimeoutExpired:
        raise NoLogin(f"{program} has not answered within {SECONDS} s") from None
    except OSError as error:
        raise NoLogin(f"{program} does not start ({error.strerror})") from None
    said = ended.stdout[:LONGEST].decode("utf-8", "replace")
    if ended.returncode != 0:
        if NONE_KEPT in said.lower():
            return None
        # What a helper says of its failure may quote what it keeps.
        raise NoLogin(
            f"{program} ended with exit code {ended.returncode} when it was asked for {address}: run it by hand"
        )
    try:
        document = documents.parse(said)
    except ValueError:
        document = None
    if documents.misfit(document, SHAPE, "it") or not document["Secret"]:
        raise NoLogin(f"{program} answers what is no login: run it by hand")
    return document.get("Username") or "", document["Secret"]
