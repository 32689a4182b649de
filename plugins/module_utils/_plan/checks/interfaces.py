# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a model that its class in vLLM cannot do.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from ..._vllm import modalities
from ..._vllm.drafters import HIDDEN_STATES
from ..._vllm.schema import version_text
from ..._vllm.supports import interfaces
from ..model import figures
from .starting import Start


def problems(start: Start) -> list[str]:
    """A sentence for each; code that the model brings, or that runs any model, is asked by nobody here."""
    if start.values.get("model_impl") in ("transformers", "terratorch") or start.values.get("hf_overrides"):
        return []
    stages = figures.integer(start.values, "pipeline_parallel_size") or 1
    section = start.values.get("speculative_config")
    method = section.get("method") if isinstance(section, dict) else None
    found = []
    if start.values.get("enable_lora") is True:
        found.append(_text(start, interfaces.ADAPTERS, "enable_lora is set", "takes no adapters"))
    if stages > 1:
        text = f"pipeline_parallel_size is {stages}"
        found.append(_text(start, interfaces.STAGES, text, "cannot be split into stages"))
    if method in HIDDEN_STATES and start.at >= interfaces.HIDDEN_STATES_READ:
        text = f"speculative_config.method is {method}"
        found.append(_text(start, interfaces.HIDDEN_STATES, text, "gives a drafter no hidden states"))
    return [text for text in found if text]


def _text(start: Start, rows: interfaces.Rows, asked: str, lacks: str) -> str:
    name = modalities.architecture(start.config)
    cannot, since = interfaces.lacking(rows, name, start.at)
    later = f", or use vLLM {version_text(since)} or newer" if since else ""
    if not cannot:
        return ""
    return f"{asked}, and {start.model.name} ({name}) {lacks} in vLLM {start.version}: leave it out{later}."
