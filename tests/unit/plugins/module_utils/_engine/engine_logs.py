# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands around a cause in the logs of an engine."""

from __future__ import annotations

CORE = "(EngineCore pid=211) ERROR 11-20 10:00:00 [core.py:1150] "
WORKER = "(Worker_TP1 pid=300) ERROR 11-20 09:59:58 [multiproc_executor.py:870] "
API = "(APIServer pid=1) "
WRAPPERS = "\n".join(
    (
        CORE + "EngineCore failed to start.",
        API + "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
    )
)
TRACEBACK = "Traceback (most recent call last):"
DIRECT = "The above exception was the direct cause of the following exception:"
DURING = "During handling of the above exception, another exception occurred:"


def said(by: str, *lines: str) -> str:
    """Lines of one process."""
    return "".join(f"{by}{line}\n" for line in lines)
