# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module reaches the packages of a host."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  manager:
    description: The host's package manager.
    type: str
    choices: [apt, dnf]
    required: true
  lock_timeout:
    description: For how many seconds to wait while somebody else uses the package manager.
    type: int
    default: 60
"""
