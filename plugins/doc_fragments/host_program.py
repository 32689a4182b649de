# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module knows whether the host has the program that its action would have there."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  program_digest:
    description: SHA-256 of the program that the host shall have. Set by the action.
    type: str
  program_source:
    description: Where the action has put the program on the host. Set by the action.
    type: path
"""
