# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the control node keeps NVIDIA's pynvml, the one pure Python file that hosts get from it.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.bindings import pack

DISTRIBUTION = "nvidia-ml-py"
FILE = "pynvml.py"


def installed_source() -> bytes | None:
    """The source of the pynvml that nvidia-ml-py installed here; None where it is not installed.

    Asked of the distribution and not of `import pynvml`: an old package of another make has that name too.
    """
    try:
        return Path(str(importlib.metadata.distribution(DISTRIBUTION).locate_file(FILE))).read_bytes()
    except (importlib.metadata.PackageNotFoundError, OSError):
        return None


def along() -> dict[str, str]:
    """The argument that brings it to a module. Without pynvml here, the module looks for the host's own."""
    source = installed_source()
    return {"pynvml_source": pack(source)} if source else {}
