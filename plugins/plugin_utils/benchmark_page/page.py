# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a benchmark, or of a comparison.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import pathlib

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.benchmark_page import view
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.pages import document

TEMPLATE = pathlib.Path(__file__).resolve().parent / "benchmark.html.j2"


def render(whole: Json) -> str:
    """The page for what gathered made. The same benchmark gives the same bytes."""
    return document.rendered(TEMPLATE, view.page(whole))
