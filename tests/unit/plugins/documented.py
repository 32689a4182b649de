# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module documents, with what it takes from fragments, as ansible-doc reads it."""

from __future__ import annotations

import types
import typing as t

from ansible.plugins.loader import fragment_loader
from ansible.utils.plugin_docs import get_docstring


def options_of(module: types.ModuleType) -> dict[str, t.Any]:
    doc, *_others = get_docstring(
        module.__file__, fragment_loader, collection_name="gpufleet.vllm", plugin_type="module"
    )
    return t.cast(dict[str, t.Any], doc["options"])
