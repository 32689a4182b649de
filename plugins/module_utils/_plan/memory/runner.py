# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of vLLM's two model runners a start takes: they try themselves out differently, and count differently.

Source: VllmConfig.use_v2_model_runner and what it falls back for, in each release.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._vllm import runners
from ..model.architecture import Architecture
from .calibration import ALL_RUNNER_V2
from .request import Version


def second_runner(
    version: Version,
    architecture: Architecture | None,
    method: str = "",
    environment: t.Mapping[str, str] | None = None,
) -> bool:
    """Whether vLLM takes its second runner for ARCHITECTURE and speculative METHOD under ENVIRONMENT."""
    asked = (environment or {}).get(runners.VARIABLE)
    if asked is not None and version >= (0, 13, 0):
        return str(asked).strip().lower() not in ("0", "false", "")
    if version < (0, 22, 0):
        return False
    if method and method in next(names for first, names in runners.NOT_DRAFTED if version >= first):
        return False
    if version >= ALL_RUNNER_V2:
        return True
    if architecture is None:
        return False
    named = architecture.name in next(names for first, names in runners.BY_NAME if version >= first)
    if version < (0, 24, 0):
        return named and architecture.experts is None and architecture.quantization is None
    if version < (0, 25, 0):
        return named
    if architecture.layers.state is not None or not architecture.layers.known:
        return named and version >= (0, 27, 0)
    return named or architecture.experts is None
