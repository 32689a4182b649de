# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a vLLM server as its operator says: budgets of tokens, phases of sampling, retries, requests in flight.

Needs Python 3.9 and the openai package. Written by the role vllm_client of gpufleet.vllm; docs/client.md is its manual.
"""

from __future__ import annotations

from .async_client import AsyncClient
from .budget import Budget, Count, InputTooLarge
from .client import Client
from .conversation import Message
from .in_flight import WouldWaitForItself
from .settings import Phase, Settings, SettingsError

__all__ = [
    "AsyncClient",
    "Budget",
    "Client",
    "Count",
    "InputTooLarge",
    "Message",
    "Phase",
    "Settings",
    "SettingsError",
    "WouldWaitForItself",
]
