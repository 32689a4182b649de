# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module nvidia_driver_install: what apt, dnf and compilers say is made fit for a terminal."""

from __future__ import annotations

from ansible_collections.gpufleet.vllm.plugins.plugin_utils.told_action import ToldAction


class ActionModule(ToldAction):
    """One module execution."""

    MODULE = "gpufleet.vllm.nvidia_driver_install"
