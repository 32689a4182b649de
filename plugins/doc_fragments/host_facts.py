# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module is told that judges or plans a host."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  facts:
    description: RV(gpufleet.vllm.gpu_facts#module:ansible_facts.gpufleet) of the host.
    type: dict
    required: true
"""
