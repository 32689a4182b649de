# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a model lies that no hub has, by how its source begins. Hosts know it too, without Ansible.

Private to the collection: may change without notice.
"""

from __future__ import annotations

# Before a path of the control node.
CONTROL_NODE = "control_node:"


def is_path(source: str) -> bool:
    """Whether it is one of the host or of the control node, and no address."""
    return source.startswith(("/", CONTROL_NODE))


def on_control_node(source: str) -> str:
    """The path there; '' where it comes from elsewhere."""
    return source[len(CONTROL_NODE) :] if source.startswith(CONTROL_NODE) else ""
