# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an action writes a page for people."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  html:
    description:
      - Where to write the page, on the control node. A relative path starts where Ansible was started. Empty is
        nowhere.
    type: path
    default: ""
  json:
    description: Where to write the same as JSON, likewise.
    type: path
    default: ""
attributes:
  diff_mode:
    support: none
    description: No host is changed.
"""
