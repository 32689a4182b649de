# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What apt is given and what it says: sources in deb822 style, locks of others, lines that tell what failed.

Ansible's deb822_repository does not serve here: it needs python3-debian on the host, has no pins, takes any key that an
address gives out, and writes key and source one after another, with no proof that apt can use them and no way back.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import time
import typing as t

# What dpkg calls the machine's architecture.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
HEADER = "# Written by gpufleet.vllm, which overwrites it."
# apt's own words for a source that is switched off.
OFF = ("no", "false", "without", "off", "disable", "0")
LOCKED = "Could not get lock"
PAUSE = 3  # seconds between two attempts while somebody else uses apt
Run = t.Callable[[list[str]], tuple[int, str]]
Sleep = t.Callable[[float], None]


def stanza(fields: t.Mapping[str, str | t.Iterable[str]]) -> str:
    """One stanza in deb822 style; a field that says nothing is left out."""
    texts = {name: value if isinstance(value, str) else " ".join(value) for name, value in fields.items()}
    return "".join(f"{name}: {text}\n" for name, text in texts.items() if text)


def document(*stanzas: str) -> str:
    """A file of apt's that is ours."""
    return "\n".join([HEADER, "\n".join(stanzas)])


def patient(run: Run, lock_timeout: int, sleep: Sleep = time.sleep) -> Run:
    """RUN, tried again while somebody else uses apt.

    apt's own DPkg::Lock::Timeout is for dpkg's lock alone: an index and a download have locks of their own, for which
    apt does not wait.
    """

    def waiting(command: list[str]) -> tuple[int, str]:
        status, said = run(command)
        waited = 0
        while status and LOCKED in said and waited < lock_timeout:
            sleep(PAUSE)
            waited += PAUSE
            status, said = run(command)
        return status, said

    return waiting


def telling(said: str, warnings: bool = False) -> str:
    """The lines of a package manager that tell what went wrong; WARNINGS where they fail it too."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    begins = ("E:", "Err:", "Error", "W:") if warnings else ("E:", "Err:", "Error")
    failed = [line for line in lines if line.startswith(begins) or "No space left" in line]
    return " ".join(list(dict.fromkeys(failed))[:4] or lines[-3:])
