# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found becomes an instance, as a test asks for it."""

from __future__ import annotations

import functools
import pathlib
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._adopt import instance, pasted
from ansible_collections.gpufleet.vllm.plugins.module_utils._adopt.served import Served
from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm.schema import Schema, resolve
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import schema_files

ROLE = pathlib.Path(__file__).resolve().parents[5] / "roles" / "vllm_server"


@functools.cache
def schema(version: str = "0.26.0") -> Schema:
    return resolve(version, *schema_files.load(str(ROLE / "files" / "engine_args")))


def adopted(served: Served, version: str = "0.26.0", taken: t.Container[str] = ()) -> instance.Adopted:
    return instance.adopted(served, schema(version), taken)


def typed(text: str) -> instance.Adopted:
    """Of a text that starts one server."""
    (served,) = pasted.servers(text)
    return adopted(served)
